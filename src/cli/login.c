/* hull login, logout: credentials are tried by the daemon and kept by us. */
#include <stdio.h>
#include <termios.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/credentials.h"
#include "cli/session.h"
#include "cli/table.h"
#include "sys/fd.h"

enum { LINE_BYTES = 4096, PASSWORD_MAX = 65536 };

struct login_opts {
    const char *username, *password;
    bool password_stdin;
};

/* ---- what the user types ---- */

static char *read_line(struct cli *cli, const char *prompt, bool secret)
{
    char line[LINE_BYTES];
    struct termios was, quiet;
    bool hidden = secret && tcgetattr(0, &was) == 0;
    put(prompt);
    (void)fflush(stdout);
    if (hidden) {
        quiet = was;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(0, TCSAFLUSH, &quiet);
    }
    char *got = fgets(line, sizeof(line), stdin);
    if (hidden) {
        (void)tcsetattr(0, TCSAFLUSH, &was);
        put("\n");
    }
    if (got == NULL)
        return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    return arena_strdup(cli->arena, line);
}

static int password_from_stdin(struct call *c, struct login_opts *o, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(PASSWORD_MAX);
    int r = fd_read_to_end(0, &b);
    if (r < 0)
        return err_neg(e, r, "read the password from standard input");
    while (b.n > 0 && (b.p[b.n - 1] == '\n' || b.p[b.n - 1] == '\r'))
        b.n--;
    o->password = arena_strndup(c->cli->arena, b.n > 0 ? b.p : "", b.n);
    return 0;
}

static int check_flags(struct call *c, struct login_opts *o, struct err *e)
{
    if (o->password != NULL)
        warn_line("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    if (o->password != NULL && o->password_stdin)
        return err_set(e, ERR_INVALID, "--password and --password-stdin are mutually exclusive");
    if (o->password_stdin && o->username == NULL)
        return err_set(e, ERR_INVALID, "Must provide --username with --password-stdin");
    return o->password_stdin ? password_from_stdin(c, o, e) : 0;
}

static int ask_user(struct call *c, struct login_opts *o, const struct auth_config *stored,
                    struct err *e)
{
    struct cli *cli = c->cli;
    if (!term_is(0))
        return err_set(e, ERR_INVALID, "cannot perform an interactive login from a non-TTY device");
    if (o->username == NULL) {
        bool has = stored->username != NULL && stored->username[0] != '\0';
        o->username = read_line(
            cli, has ? arena_printf(cli->arena, "Username (%s): ", stored->username) : "Username: ",
            false);
        if (has && o->username != NULL && o->username[0] == '\0')
            o->username = stored->username;
    }
    if (o->username == NULL || o->username[0] == '\0')
        return err_set(e, ERR_INVALID, "username is required");
    if (o->password == NULL)
        o->password = read_line(cli, "Password: ", true);
    if (o->password == NULL || o->password[0] == '\0')
        return err_set(e, ERR_INVALID, "password is required");
    return 0;
}

/* ---- login ---- */

/* Try; what shall be kept is then in *io. */
static int try_auth(struct call *c, struct auth_config *io, struct err *e)
{
    struct auth_reply reply;
    TRY(cli_send_json(c->cli, "POST", "/auth", &auth_config_json, io, &auth_reply_json, &reply, e));
    if (reply.token != NULL && reply.token[0] != '\0') {
        io->password = "";
        io->identity_token = reply.token;
    }
    return 0;
}

static int keep(struct call *c, const char *key, const struct auth_config *auth, struct err *e)
{
    bool plain;
    if (credentials_put(c->cli, key, auth, &plain, e) < 0)
        return err_wrap(e, "error saving credentials");
    if (plain)
        warn_line("\nWARNING! Your credentials are stored unencrypted in '%s/config.json'.\n"
                  "Configure a credential helper to remove this warning. See\n"
                  "https://docs.docker.com/go/credential-store/\n",
                  c->cli->config_dir);
    put_line("Login Succeeded");
    return 0;
}

/* True when what is stored still serves. */
static bool stored_is_good(struct call *c, struct auth_config *stored)
{
    struct err why = {0};
    bool some = (stored->username != NULL && stored->username[0] != '\0') ||
                (stored->identity_token != NULL && stored->identity_token[0] != '\0');
    if (!some)
        return false;
    warn_line("Authenticating with existing credentials... [Username: %s]",
              stored->username != NULL ? stored->username : "<token>");
    if (try_auth(c, stored, &why) == 0)
        return true;
    warn_line("Login did not succeed, error: %s", why.msg);
    return false;
}

static int login_run(struct call *c, struct err *e)
{
    struct login_opts *o = c->opts;
    const char *key = credentials_key(c->cli, c->args.n > 0 ? c->args.v[0] : NULL);
    struct auth_config stored;
    TRY(check_flags(c, o, e));
    TRY(credentials_get(c->cli, key, &stored, e));
    if (o->username == NULL && o->password == NULL && stored_is_good(c, &stored))
        return keep(c, key, &stored, e);
    if (o->username == NULL || o->password == NULL)
        TRY(ask_user(c, o, &stored, e));
    struct auth_config auth = {
        .username = o->username, .password = o->password, .server_address = key};
    TRY(try_auth(c, &auth, e));
    return keep(c, key, &auth, e);
}

/* ---- logout ---- */

static int logout_run(struct call *c, struct err *e UNUSED)
{
    const char *key = credentials_key(c->cli, c->args.n > 0 ? c->args.v[0] : NULL);
    struct err why = {0};
    put_line("Removing login credentials for %s", key);
    if (credentials_erase(c->cli, key, &why) < 0)
        warn_line("WARNING: could not erase credentials:\n%s: %s", key, why.msg);
    return 0;
}

static const struct flag login_table[] = {
    {"password", 'p', FLAG_STR, offsetof(struct login_opts, password), NULL,
     "Password or Personal Access Token (PAT)"},
    {"password-stdin", 0, FLAG_BOOL, offsetof(struct login_opts, password_stdin), NULL,
     "Take the Password or Personal Access Token (PAT) from stdin"},
    {"username", 'u', FLAG_STR, offsetof(struct login_opts, username), NULL, "Username"},
};
static const struct flag_set login_set = FLAGS(login_table);

const struct command cmd_login = {
    .name = "login",
    .usage = "[OPTIONS] [SERVER]",
    .help = "Authenticate to a registry",
    .max_args = 1,
    .opts_size = sizeof(struct login_opts),
    .flags = &login_set,
    .run = login_run,
};
const struct command cmd_logout = {
    .name = "logout",
    .usage = "[SERVER]",
    .help = "Log out from a registry",
    .max_args = 1,
    .run = logout_run,
};
