/* The commands that start processes: create, run, restore, exec, start. See cli.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/cli.h"
#include "runtime/io.h"
#include "runtime/notify.h"
#include "runtime/record.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/path.h"

static int number(const char *text, const char *what, uint64_t max, uint64_t *out, struct err *e)
{
    if (text != NULL && !str_to_u64(str_of(text), 0, max, out))
        return err_set(e, ERR_INVALID, "invalid value \"%s\" for flag -%s", text, what);
    return 0;
}

/* What the flags say about descriptors; detached is false for a foreground run or exec. */
static int read_io(const struct cli_values *v, bool detached, bool terminal, struct hullrun_io *io,
                   struct err *e)
{
    uint64_t preserve = 0;
    const char *path = cli_path(v, "console-socket"), *listen = getenv("LISTEN_FDS"),
               *pid = getenv("LISTEN_PID");
    *io = (struct hullrun_io){.fd = {0, 1, 2}, .console_sock = -1};
    TRY(number(cli_text(v, "preserve-fds"), "preserve-fds", 1024, &preserve, e));
    io->preserve_fds = preserve;
    uint64_t n = 0, own = 0;
    if (listen != NULL && pid != NULL && str_to_u64(str_of(listen), 1, 1024, &n) &&
        str_to_u64(str_of(pid), 1, INT_MAX, &own) && (pid_t)own == getpid())
        io->listen_fds = n;
    io->preserve_fds += io->listen_fds;
    if (path != NULL && !(detached && terminal))
        return err_set(e, ERR_INVALID,
                       "cannot use console socket if runc will not detach or allocate tty");
    io->want_console = io->plain_output = terminal && !detached;
    io->pidfd_socket = cli_path(v, "pidfd-socket");
    if (path != NULL && (io->console_sock = io_dial(path, e)) < 0)
        return -1;
    return 0;
}

/* Only `terminal` matters here; hullrun_create checks the rest. */
static int wants_terminal(const char *bundle, const char *config, struct arena *a, bool *out,
                          struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(SPEC_BYTES_MAX);
    struct oci_spec spec;
    TRY(spec_read(bundle, config, &text, e));
    TRY(spec_parse(buf_cstr(&text), text.n, a, &spec, e));
    *out = spec.process != NULL && spec.process->terminal;
    return 0;
}

/* A container that is made; afterwards what is known of it. */
struct making {
    const char *id;
    bool run, detached;
    const struct hullrun_criu_opts *criu; /* from images; NULL: anew */
    struct hullrun_result result;
    int notify; /* socket on which its program says that it is ready; -1 */
};

static void making_done(struct making *m)
{
    hullrun_result_done(&m->result);
    fd_close(m->notify);
}

/* The sticky bit keeps those who tidy up XDG_RUNTIME_DIR away. */
static int make_private_root(struct cli *c, struct err *e)
{
    TRY(path_mkdirs(c->root, 0700, e));
    return chmod(c->root, 01700) < 0 ? err_sys(e, "chmod %s", c->root) : 0;
}

static int make(struct cli *c, struct cli_values *v, struct making *m, struct err *e)
{
    const char *bundle = cli_path(v, "bundle"), *config = cli_text(v, "config");
    struct hullrun_create_opts o = {
        .root = c->root,
        .id = m->id,
        .bundle = bundle != NULL ? bundle : ".",
        .config = config,
        .pid_file = cli_absolute(c, cli_path(v, "pid-file")),
        .systemd_cgroup = c->systemd_cgroup,
        .no_pivot = cli_bool(v, "no-pivot"),
        .no_new_keyring = cli_bool(v, "no-new-keyring"),
        .rootless = c->rootless,
        .run = m->run,
        .notify = c->manager != NULL ? &m->notify : NULL,
        .log = cli_oplog(c),
    };
    bool terminal = false;
    if (geteuid() != 0 && !c->root_given)
        TRY(make_private_root(c, e));
    if (access(o.bundle, F_OK) < 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "chdir %s: no such file or directory", o.bundle);
    /* reading the config twice is only worth it when a terminal may be in play */
    if (m->run || cli_text(v, "console-socket") != NULL)
        TRY(wants_terminal(o.bundle, config, c->a, &terminal, e));
    TRY(read_io(v, m->detached, terminal, &o.io, e));
    int rc = m->criu != NULL ? hullrun_restore(&o, m->criu, &m->result, e)
                             : hullrun_create(&o, &m->result, e);
    fd_close(o.io.console_sock);
    return rc;
}

#define MAKING_NONE .result = {0, -1, -1}, .notify = -1

int cli_create(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    CLEANUP(making_done) struct making m = {MAKING_NONE, .id = args[0], .detached = true};
    (void)n;
    return make(c, v, &m, e) < 0 ? err_wrap(e, "runc create failed") : 0;
}

/* Whoever started us wants to know when the program inside is ready. */
static int wait_ready(struct cli *c, const char *id, int sock, struct err *e)
{
    struct hullrun_state s;
    TRY(hullrun_get_state(c->root, id, c->a, &s, e));
    auto_fd int pidfd = s.pid > 0 ? pidfd_open((pid_t)s.pid, 0) : -1;
    if (pidfd >= 0) /* else it has ended */
        notify_wait(sock, c->manager, (pid_t)s.pid, pidfd);
    return 0;
}

int cli_start(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    auto_fd int sock = -1;
    (void)v;
    (void)n;
    if (c->manager != NULL)
        TRY(hullrun_notify_listen(c->root, args[0], &sock, e));
    TRY(hullrun_start(c->root, args[0], e));
    return sock >= 0 ? wait_ready(c, args[0], sock, e) : 0;
}

static int run_detached(struct cli *c, struct cli_values *v, struct making *m, struct err *e)
{
    TRY(make(c, v, m, e));
    if (m->notify >= 0)
        notify_wait(m->notify, c->manager, m->result.pid, m->result.pidfd);
    return 0;
}

static int run_foreground(struct cli *c, struct cli_values *v, struct making *m, struct err *e)
{
    struct err late = {0};
    if (!cli_bool(v, "no-subreaper"))
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* orphans without a pid namespace */
    TRY(make(c, v, m, e));
    struct cli_ready ready = {m->notify, c->manager};
    int status = cli_foreground(&m->result, &ready, e);
    /* what we could not watch has been killed, but may not have ended yet */
    if (!cli_bool(v, "keep") && hullrun_delete(c->root, m->id, status < 0, &late) < 0)
        cli_log(c, "error", late.msg);
    return status;
}

int cli_run(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    CLEANUP(making_done)
    struct making m = {MAKING_NONE, .id = args[0], .run = true, .detached = cli_bool(v, "detach")};
    (void)n;
    int status = (m.detached ? run_detached : run_foreground)(c, v, &m, e);
    return status < 0 ? err_wrap(e, "runc run failed") : status;
}

int cli_restore(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    struct hullrun_criu_opts criu;
    CLEANUP(making_done)
    struct making m = {MAKING_NONE, .id = args[0], .run = true, .detached = cli_bool(v, "detach"),
                       .criu = &criu};
    (void)n;
    TRY(cli_criu_opts(c, v, &criu, e));
    return (m.detached ? run_detached : run_foreground)(c, v, &m, e);
}

/* ---- exec --------------------------------------------------------------------------------- */

static int read_process_file(const char *path, struct arena *a, struct oci_process *out,
                             struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(SPEC_BYTES_MAX);
    TRY(file_read(AT_FDCWD, path, &text, e));
    return json_parse(&oci_process_json, out, buf_cstr(&text), text.n, a, e);
}

static int container_process(struct cli *c, const char *id, struct oci_process *out, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(SPEC_BYTES_MAX);
    struct oci_spec spec;
    auto_fd int dir = record_open(c->root, id, e);
    TRY(dir);
    TRY(file_read(dir, "config.json", &text, e));
    TRY(spec_parse(buf_cstr(&text), text.n, c->a, &spec, e));
    *out = *spec.process;
    return 0;
}

static int user_id(struct str text, const char *what, uint64_t *out, struct err *e)
{
    return str_to_u64(text, 0, UINT32_MAX, out)
               ? 0
               : err_set(e, ERR_INVALID, "bad %s: strconv.Atoi: parsing \"%.*s\": invalid syntax",
                         what, STR_ARG(text));
}

static int set_user(const char *user, struct oci_user *out, struct err *e)
{
    struct str rest = str_of(user), uid = str_cut(&rest, ':');
    TRY(user_id(uid, "uid", &out->uid, e));
    return uid.n < strlen(user) ? user_id(rest, "gid", &out->gid, e) : 0;
}

static void add_caps(const struct strv *names, struct oci_process *p, struct arena *a)
{
    static const struct oci_capabilities none;
    struct oci_capabilities *c =
        arena_dup(a, p->capabilities != NULL ? p->capabilities : &none, sizeof(none));
    for (size_t i = 0; i < names->n; i++) {
        vec_push_in(a, &c->bounding, names->v[i]);
        vec_push_in(a, &c->effective, names->v[i]);
        vec_push_in(a, &c->permitted, names->v[i]);
        if (strv_has(&c->inheritable, names->v[i]))
            vec_push_in(a, &c->ambient, names->v[i]);
    }
    p->capabilities = c;
}

/* The container's own process with what the flags change. */
static int process_of_flags(struct cli *c, const struct cli_values *v, char **args, int n,
                            struct oci_process *p, struct err *e)
{
    TRY(container_process(c, args[0], p, e));
    if (n < 2)
        return err_set(e, ERR_INVALID, "exec args cannot be empty");
    p->args = (struct strv){args + 1, (size_t)n - 1, 0};
    p->terminal = cli_bool(v, "tty");
    p->console_size = NULL;
    if (cli_text(v, "cwd") != NULL)
        p->cwd = cli_text(v, "cwd");
    const struct strv *env = cli_list(v, "env");
    struct strv all = {0}; /* the document's array may not grow: copy it */
    for (size_t i = 0; i < p->env.n; i++)
        vec_push_in(c->a, &all, p->env.v[i]);
    for (size_t i = 0; i < env->n; i++)
        vec_push_in(c->a, &all, env->v[i]);
    p->env = all;
    if (cli_text(v, "user") != NULL)
        TRY(set_user(cli_text(v, "user"), &p->user, e));
    const struct strv *gids = cli_list(v, "additional-gids");
    for (size_t i = 0; i < gids->n; i++) {
        uint64_t gid = 0;
        TRY(number(gids->v[i], "additional-gids", UINT32_MAX, &gid, e));
        vec_push_in(c->a, &p->user.additional_gids, (int64_t)gid);
    }
    if (cli_bool(v, "no-new-privs"))
        p->no_new_privileges = true;
    if (cli_text(v, "apparmor") != NULL)
        p->apparmor_profile = cli_text(v, "apparmor");
    if (cli_text(v, "process-label") != NULL)
        p->selinux_label = cli_text(v, "process-label");
    if (cli_list(v, "cap")->n > 0)
        add_caps(cli_list(v, "cap"), p, c->a);
    return 0;
}

static int exec_status(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    struct oci_process p;
    struct hullrun_result r;
    const char *file = cli_text(v, "process");
    bool detached = cli_bool(v, "detach");
    struct hullrun_exec_opts o = {
        .root = c->root,
        .id = args[0],
        .process = &p,
        .pid_file = cli_absolute(c, cli_text(v, "pid-file")),
        .cgroups = cli_list(v, "cgroup"),
        .ignore_paused = cli_bool(v, "ignore-paused"),
        .log = cli_oplog(c),
    };
    if (file != NULL && *file != '\0')
        TRY(read_process_file(file, c->a, &p, e));
    else
        TRY(process_of_flags(c, v, args, n, &p, e));
    TRY(read_io(v, detached, p.terminal, &o.io, e));
    int rc = hullrun_exec(&o, &r, e);
    fd_close(o.io.console_sock);
    TRY(rc);
    int status = detached ? 0 : cli_foreground(&r, NULL, e);
    hullrun_result_done(&r);
    return status;
}

int cli_exec(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    int status = exec_status(c, v, args, n, e);
    return status < 0 ? err_wrap(e, "exec failed") : status;
}
