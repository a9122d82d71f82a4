/* Credentials of registries: see credentials.h. */
#include "cli/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/config.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/spawn.h"

enum { HELPER_MS = 60000, ANSWER_MAX = 1 << 20, PAIR_MAX = 65536 };

#define HELPER_SECRET(T, F)            \
    F(T, str, server, "ServerURL", 0)  \
    F(T, str, username, "Username", 0) \
    F(T, str, secret, "Secret", 0)
JSON_TYPE(helper_secret, HELPER_SECRET)
JSON_DESC(helper_secret, HELPER_SECRET)

const char *credentials_key(struct cli *c, const char *server)
{
    struct str rest = str_of(server != NULL ? server : "");
    static const char *const schemes[] = {"https://", "http://"};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_starts(rest, schemes[i])) {
            rest.p += strlen(schemes[i]);
            rest.n -= strlen(schemes[i]);
        }
    struct str host = str_cut(&rest, '/');
    if (host.n == 0 || str_eq(host, "docker.io") || str_eq(host, "index.docker.io") ||
        str_eq(host, "registry-1.docker.io"))
        return HUB_KEY;
    return arena_strndup(c->arena, host.p, host.n);
}

/* ---- helpers ---- */

/* The helper for a registry: its own, or the one for all. NULL: config.json itself. */
static const char *helper_of(struct cli *c, const char *key)
{
    struct json_object *helpers, *v;
    if (c->config != NULL && json_object_object_get_ex(c->config, "credHelpers", &helpers) &&
        json_object_object_get_ex(helpers, key, &v))
        return json_object_get_string(v);
    return cli_config_str(c, "credsStore");
}

static int run_helper(struct cli *c, const char *name, const char *verb, const struct buf *input,
                      struct buf *out, int *out_status, struct err *e)
{
    const char *program = arena_printf(c->arena, "docker-credential-%s", name);
    const char *const argv[] = {program, verb, NULL};
    auto_fd int in = fd_memfd("credentials", input->p, input->n), from = -1, to = -1;
    struct proc p = PROC_NONE;
    if (in < 0)
        return err_neg(e, in, "memfd");
    int r = fd_pipe(&from, &to, 0);
    if (r < 0)
        return err_neg(e, r, "pipe");
    const struct spawn_fd fds[] = {{0, in}, {1, to}, {2, 2}};
    const struct spawn_opts o = {.path = program, .argv = argv, .fds = fds, .n_fds = 3};
    if (strchr(name, '/') != NULL)
        return err_set(e, ERR_INVALID, "invalid credential helper \"%s\"", name);
    if (spawn(&o, &p, e) < 0)
        return err_wrap(e, "error getting credentials");
    fd_close(take_fd(&to));
    r = fd_read_to_end(from, out);
    int waited = proc_wait(&p, HELPER_MS, -1, out_status, e);
    proc_done(&p);
    TRY(waited);
    return r < 0 ? err_neg(e, r, "read from %s", program) : 0;
}

static int helper_failed(const char *verb, const struct buf *out, struct err *e)
{
    struct str why = str_trim((struct str){buf_cstr(out), out->n});
    return err_set(e, ERR_INTERNAL, "error %s credentials - err: exit status 1, out: `%.*s`", verb,
                   STR_ARG(why));
}

static int helper_get(struct cli *c, const char *helper, const char *key, struct auth_config *out,
                      struct err *e)
{
    auto_buf struct buf input = BUF_MAX(4096), answer = BUF_MAX(ANSWER_MAX);
    struct helper_secret secret;
    int status;
    buf_adds(&input, key);
    TRY(run_helper(c, helper, "get", &input, &answer, &status, e));
    if (status != 0) {
        if (strstr(buf_cstr(&answer), "credentials not found in native keychain") != NULL)
            return 0;
        return helper_failed("getting", &answer, e);
    }
    TRY(json_parse(&helper_secret_json, &secret, buf_cstr(&answer), answer.n, c->arena, e));
    if (secret.username != NULL && strcmp(secret.username, "<token>") == 0) {
        out->identity_token = secret.secret;
    } else {
        out->username = secret.username;
        out->password = secret.secret;
    }
    return 0;
}

static int helper_put(struct cli *c, const char *helper, const char *key,
                      const struct auth_config *auth, struct err *e)
{
    auto_buf struct buf input = BUF_MAX(PAIR_MAX), answer = BUF_MAX(ANSWER_MAX);
    bool token = auth->identity_token != NULL && auth->identity_token[0] != '\0';
    const struct helper_secret secret = {.server = key,
                                         .username = token ? "<token>" : auth->username,
                                         .secret = token ? auth->identity_token : auth->password};
    int status;
    json_write(&helper_secret_json, &secret, &input);
    TRY(run_helper(c, helper, "store", &input, &answer, &status, e));
    return status != 0 ? helper_failed("storing", &answer, e) : 0;
}

/* ---- config.json ---- */

static const char *str_of_key(struct json_object *o, const char *key)
{
    struct json_object *v;
    return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : NULL;
}

/* The entry of auths, by name or by an older form of it. *out_name: its name. */
static struct json_object *find_entry(struct cli *c, struct json_object *config, const char *key,
                                      const char **out_name)
{
    struct json_object *auths, *entry;
    if (config == NULL || !json_object_object_get_ex(config, "auths", &auths) ||
        !json_object_is_type(auths, json_type_object))
        return NULL;
    *out_name = key;
    if (json_object_object_get_ex(auths, key, &entry))
        return entry;
    struct json_object_iter it;
    json_object_object_foreachC(auths, it)
    {
        if (strcmp(credentials_key(c, it.key), key) == 0) {
            *out_name = arena_strdup(c->arena, it.key);
            return it.val;
        }
    }
    return NULL;
}

static int read_entry(struct cli *c, struct json_object *entry, struct auth_config *out,
                      struct err *e)
{
    auto_buf struct buf pair = BUF_MAX(PAIR_MAX);
    const char *encoded = str_of_key(entry, "auth");
    out->identity_token = str_of_key(entry, "identitytoken");
    out->registry_token = str_of_key(entry, "registrytoken");
    if (encoded == NULL || encoded[0] == '\0')
        return 0;
    if (!base64_decode(encoded, &pair) || pair.p == NULL || strchr(pair.p, ':') == NULL)
        return err_set(e, ERR_INVALID, "invalid auth configuration file");
    size_t user = strcspn(pair.p, ":");
    out->username = arena_strndup(c->arena, pair.p, user);
    out->password = arena_strdup(c->arena, pair.p + user + 1);
    return 0;
}

/* {"auth": base64 of user and password}, or the token. */
static struct json_object *new_entry(const struct auth_config *auth)
{
    struct json_object *entry = json_object_new_object();
    auto_buf struct buf pair = BUF_MAX(PAIR_MAX), text = BUF_MAX(2 * PAIR_MAX);
    buf_printf(&pair, "%s:%s", auth->username != NULL ? auth->username : "",
               auth->password != NULL ? auth->password : "");
    base64_encode(pair.p, pair.n, &text);
    json_object_object_add(entry, "auth", json_object_new_string(buf_cstr(&text)));
    if (auth->identity_token != NULL && auth->identity_token[0] != '\0')
        json_object_object_add(entry, "identitytoken",
                               json_object_new_string(auth->identity_token));
    return entry;
}

static struct json_object *auths_of(struct cli *c)
{
    struct json_object *auths;
    if (c->config == NULL)
        c->config = json_object_new_object();
    if (!json_object_object_get_ex(c->config, "auths", &auths)) {
        auths = json_object_new_object();
        json_object_object_add(c->config, "auths", auths);
    }
    return auths;
}

/* ---- both ---- */

int credentials_get(struct cli *c, const char *key, struct auth_config *out, struct err *e)
{
    const char *helper = helper_of(c, key), *name;
    struct json_object *entry = NULL, *given = NULL;
    int r = 0;
    if (c->auth_config != NULL)
        given = json_tokener_parse(c->auth_config);
    *out = (struct auth_config){.server_address = key};
    entry = find_entry(c, given, key, &name);
    if (entry != NULL)
        r = read_entry(c, entry, out, e);
    else if (helper != NULL)
        r = helper_get(c, helper, key, out, e);
    else if ((entry = find_entry(c, c->config, key, &name)) != NULL)
        r = read_entry(c, entry, out, e);
    /* what was read from the environment goes with its document */
    out->identity_token = arena_strdup(c->arena, out->identity_token);
    out->registry_token = arena_strdup(c->arena, out->registry_token);
    json_object_put(given);
    return r;
}

int credentials_put(struct cli *c, const char *key, const struct auth_config *auth, bool *out_plain,
                    struct err *e)
{
    const char *helper = helper_of(c, key);
    *out_plain = helper == NULL;
    if (helper != NULL)
        TRY(helper_put(c, helper, key, auth, e));
    json_object_object_add(auths_of(c), key,
                           helper != NULL ? json_object_new_object() : new_entry(auth));
    return config_save(c, e);
}

int credentials_erase(struct cli *c, const char *key, struct err *e)
{
    const char *helper = helper_of(c, key), *name;
    auto_buf struct buf input = BUF_MAX(4096), answer = BUF_MAX(ANSWER_MAX);
    int status = 0;
    if (helper != NULL) {
        buf_adds(&input, key);
        TRY(run_helper(c, helper, "erase", &input, &answer, &status, e));
    }
    if (find_entry(c, c->config, key, &name) != NULL) {
        json_object_object_del(auths_of(c), name);
        TRY(config_save(c, e));
    }
    return status != 0 ? helper_failed("erasing", &answer, e) : 0;
}

int credentials_header(struct cli *c, const char *key, const char **out, struct err *e)
{
    auto_buf struct buf json = BUF_MAX(PAIR_MAX), text = BUF_MAX(2 * PAIR_MAX);
    struct auth_config auth;
    TRY(credentials_get(c, key, &auth, e));
    *out = "";
    if ((auth.username == NULL || auth.username[0] == '\0') &&
        (auth.identity_token == NULL || auth.identity_token[0] == '\0') &&
        (auth.registry_token == NULL || auth.registry_token[0] == '\0'))
        return 0;
    json_write(&auth_config_json, &auth, &json);
    base64_encode_url(json.p, json.n, &text);
    *out = arena_strdup(c->arena, buf_cstr(&text));
    return 0;
}
