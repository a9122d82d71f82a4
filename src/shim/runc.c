/*
 * Runtimes with runc's command line. One table-like function builds the arguments of each command;
 * what went wrong is the last error in the program's own log.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "shim/oci.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/sock.h"
#include "sys/spawn.h"

#define ARGS_MAX 32
#define SPEC_FD 3 /* of the program: what it is to read */
#define LOG_MAX ((size_t)256 << 10)

/* has copies of what it needs: the container may be gone before the program has ended */
struct call {
    struct reaper *reaper;
    const char *verb; /* of the error: "create" */
    char *binary, *bundle, *log, *pid_file, *console_path;
    int console_listen; /* -1: no terminal */
    oci_done *done;
    void *arg;
};

struct args {
    const char *v[ARGS_MAX];
    size_t n;
};

static void add(struct args *a, const char *arg)
{
    if (a->n < ARGS_MAX) /* always: commands are built here only */
        a->v[a->n++] = arg;
}

#define LOG_LINE(T, F)           \
    F(T, str, level, "level", 0) \
    F(T, str, msg, "msg", 0)
JSON_TYPE(log_line, LOG_LINE)
JSON_DESC(log_line, LOG_LINE)

static void call_free(struct call *c)
{
    if (c->console_listen >= 0) {
        close(c->console_listen);
        (void)unlink(c->console_path); /* made by us */
    }
    (void)unlink(c->log); /* the program may have written none */
    free(c->binary);
    free(c->bundle);
    free(c->log);
    free(c->pid_file);
    free(c->console_path);
    free(c);
}

/* The length of the JSON object that s begins with; 0: it begins with none. */
static size_t object_len(struct str s)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (i == 0 && c != '{')
            return 0;
        if (c == '"')
            quoted = !quoted;
        else if (quoted && c == '\\')
            i++;
        else if (!quoted && c == '{')
            depth++;
        else if (!quoted && c == '}' && --depth == 0)
            return i + 1;
    }
    return 0;
}

static bool is_error(const char *level)
{
    static const char *const levels[] = {"error", "fatal", "panic"};
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (level != NULL && strcmp(level, levels[i]) == 0)
            return true;
    return false;
}

/*
 * The program's last words: the last message of level error (or worse) in its log, where an object
 * may take a line (runc) or several (crun 1.28); in a log that is no JSON, the last line with text.
 * NULL when it said nothing.
 */
static const char *last_words(struct str log, struct arena *arena)
{
    struct err ignored = {0};
    const char *said = NULL, *text = NULL;
    for (log = str_trim(log); log.n > 0; log = str_trim(log)) {
        struct str entry = {log.p, object_len(log)};
        struct log_line l;
        if (entry.n > 0 && json_parse(&log_line_json, &l, entry.p, entry.n, arena, &ignored) == 0) {
            log = (struct str){log.p + entry.n, log.n - entry.n};
            if (is_error(l.level))
                said = l.msg != NULL ? l.msg : "";
            continue;
        }
        entry = str_trim(str_cut(&log, '\n'));
        if (entry.n > 0)
            text = arena_strndup(arena, entry.p, entry.n);
    }
    return said != NULL ? said : text;
}

static void failure(const struct call *c, int status, struct err *e)
{
    auto_arena struct arena *arena = arena_new();
    auto_buf struct buf log = BUF_MAX(LOG_MAX);
    struct err unread = {0};
    int r = file_read(AT_FDCWD, c->log, &log, &unread);
    const char *last = r == 0 ? last_words((struct str){log.p, log.n}, arena) : NULL;
    if (last != NULL)
        (void)err_set(e, ERR_UNKNOWN, "OCI runtime %s failed: %s", c->verb, last);
    else
        (void)err_set(
            e, ERR_UNKNOWN,
            "OCI runtime %s failed: unable to retrieve OCI runtime error (%s): %s did not "
            "terminate successfully: exit status %d",
            c->verb, r < 0 ? unread.msg : "no error in its log", c->binary, status);
}

/* The terminal's master, which the program has sent before it ended. */
static int take_console(const struct call *c, int *out, struct err *e)
{
    char name[256];
    size_t n_fds = 0;
    auto_fd int conn = accept4(c->console_listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (conn < 0 || fd_recv(conn, name, sizeof(name), out, 1, &n_fds) < 0 || n_fds != 1)
        return err_set(e, ERR_UNKNOWN, "OCI runtime %s failed: no terminal was received", c->verb);
    return 0;
}

static int take_result(const struct call *c, struct oci_result *res, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(64);
    uint64_t pid = 0;
    if (c->pid_file != NULL) {
        TRY(file_read(AT_FDCWD, c->pid_file, &text, e));
        if (!str_to_u64(str_trim((struct str){text.p, text.n}), 1, INT32_MAX, &pid))
            return err_set(e, ERR_UNKNOWN, "OCI runtime %s failed: \"%s\" is not a process id",
                           c->verb, buf_cstr(&text));
        res->pid = (pid_t)pid;
    }
    return c->console_listen < 0 ? 0 : take_console(c, &res->console, e);
}

static void on_exit_of(void *arg, pid_t pid, int status, int64_t exited_ns)
{
    struct call *c = arg;
    struct oci_result res = {.console = -1};
    struct err e = {0};
    int r = 0;
    (void)pid;
    (void)exited_ns;
    if (status != 0)
        failure(c, status, &e);
    else
        r = take_result(c, &res, &e);
    c->done(c->arg, status != 0 || r < 0 ? NULL : &res, status != 0 || r < 0 ? &e : NULL);
    call_free(c);
}

/* A listening socket for the console; a short path, for sockets have no more. */
static int listen_console(struct call *c, struct err *e)
{
    static unsigned count;
    c->console_path = mem_printf("/run/hull-console-%d-%u.sock", (int)getpid(), count++);
    c->console_listen = sock_listen(c->console_path, 0600, (gid_t)-1, e);
    if (c->console_listen < 0)
        return err_wrap(e, "console");
    (void)fd_set_nonblock(c->console_listen, true); /* cannot fail on an open descriptor */
    return 0;
}

static struct call *call_new(const struct oci *o, const char *verb, const char *log_name,
                             struct args *a, oci_done *done, void *arg)
{
    struct call *c = mem_alloc(sizeof(*c));
    *c = (struct call){
        .reaper = o->reaper, .verb = verb, .console_listen = -1, .done = done, .arg = arg};
    c->binary = mem_strdup(o->binary);
    c->bundle = mem_strdup(o->bundle);
    c->log = mem_printf("%s/%slog.json", o->bundle, log_name);
    (void)unlink(c->log); /* an older one would be appended to */
    add(a, o->binary);
    add(a, "--root");
    add(a, o->root);
    add(a, "--log");
    add(a, c->log);
    add(a, "--log-format");
    add(a, "json");
    if (o->systemd_cgroup)
        add(a, "--systemd-cgroup");
    return c;
}

/* Takes c. */
static int call_spawn(struct call *c, struct args *a, const struct spawn_fd *fds, size_t n_fds,
                      struct err *e)
{
    struct proc proc = PROC_NONE;
    add(a, NULL);
    const struct spawn_opts so = {
        .path = c->binary, .argv = a->v, .fds = fds, .n_fds = n_fds, .dir = c->bundle};
    if (spawn(&so, &proc, e) < 0) {
        struct err why = *e;
        (void)err_set(
            e, ERR_UNKNOWN,
            "OCI runtime %s failed: unable to retrieve OCI runtime error (open %s: no such "
            "file or directory): fork/exec %s: %s",
            c->verb, c->log, c->binary,
            why.kind == ERR_NOT_FOUND ? "no such file or directory" : why.msg);
        call_free(c);
        return -1;
    }
    fd_close(proc.pidfd);
    reaper_watch(c->reaper, proc.pid, on_exit_of, c);
    return 0;
}

/* What create, exec and restore share: the process's streams and where its pid goes. Takes c on
 * failure. */
static int add_process(struct call *c, struct args *a, const char *name, const struct oci_io *io,
                       struct spawn_fd fds[static 3], size_t *n, struct err *e)
{
    c->pid_file = mem_printf("%s/%s.pid", c->bundle, name);
    add(a, "--pid-file");
    add(a, c->pid_file);
    if (io->terminal) {
        if (listen_console(c, e) < 0) {
            call_free(c);
            return -1;
        }
        add(a, "--console-socket");
        add(a, c->console_path);
        return 0;
    }
    for (int i = 0; i < 3; i++)
        if (io->fd[i] >= 0)
            fds[(*n)++] = (struct spawn_fd){i, io->fd[i]};
    return 0;
}

static int runc_create(const struct oci *o, const struct oci_io *io, oci_done *done, void *arg,
                       struct err *e)
{
    struct args a = {.n = 0};
    struct spawn_fd fds[3];
    size_t n = 0;
    struct call *c = call_new(o, "create", "", &a, done, arg);
    add(&a, "create");
    add(&a, "--bundle");
    add(&a, o->bundle);
    if (o->no_pivot)
        add(&a, "--no-pivot");
    if (o->no_new_keyring)
        add(&a, "--no-new-keyring");
    TRY(add_process(c, &a, "init", io, fds, &n, e));
    add(&a, o->id);
    return call_spawn(c, &a, fds, n, e);
}

static int runc_exec(const struct oci *o, const char *exec_id, const char *spec,
                     const struct oci_io *io, oci_done *done, void *arg, struct err *e)
{
    struct args a = {.n = 0};
    struct spawn_fd fds[4];
    size_t n = 0;
    auto_free char *log_name = mem_printf("%s.", exec_id);
    auto_fd int memfd = fd_memfd("process.json", spec, strlen(spec));
    if (memfd < 0)
        return err_neg(e, memfd, "exec %s", exec_id);
    struct call *c = call_new(o, "exec", log_name, &a, done, arg);
    add(&a, "exec");
    add(&a, "--process");
    add(&a, "/proc/self/fd/3");
    add(&a, "--detach");
    TRY(add_process(c, &a, exec_id, io, fds, &n, e));
    fds[n++] = (struct spawn_fd){SPEC_FD, memfd};
    add(&a, o->id);
    return call_spawn(c, &a, fds, n, e);
}

static void add_images(struct args *a, const struct oci_images *i)
{
    const struct {
        const char *flag, *value;
    } texts[] = {{"--image-path", i->path},
                 {"--work-path", i->work_path},
                 {"--parent-path", i->parent_path},
                 {"--manage-cgroups-mode", i->cgroups_mode}};
    const struct {
        const char *flag;
        bool on;
    } flags[] = {{"--leave-running", i->leave_running},
                 {"--tcp-established", i->open_tcp},
                 {"--ext-unix-sk", i->external_unix_sockets},
                 {"--shell-job", i->terminal},
                 {"--file-locks", i->file_locks}};
    for (size_t k = 0; k < ARRAY_LEN(texts); k++)
        if (texts[k].value[0] != '\0') {
            add(a, texts[k].flag);
            add(a, texts[k].value);
        }
    for (size_t k = 0; k < ARRAY_LEN(flags); k++)
        if (flags[k].on)
            add(a, flags[k].flag);
}

static int runc_checkpoint(const struct oci *o, const struct oci_images *images, oci_done *done,
                           void *arg, struct err *e)
{
    struct args a = {.n = 0};
    struct call *c = call_new(o, "checkpoint", "checkpoint.", &a, done, arg);
    add(&a, "checkpoint");
    add_images(&a, images);
    add(&a, o->id);
    return call_spawn(c, &a, NULL, 0, e);
}

static int runc_restore(const struct oci *o, const struct oci_images *images,
                        const struct oci_io *io, oci_done *done, void *arg, struct err *e)
{
    struct args a = {.n = 0};
    struct spawn_fd fds[3];
    size_t n = 0;
    struct call *c = call_new(o, "restore", "restore.", &a, done, arg);
    add(&a, "restore");
    add(&a, "--bundle");
    add(&a, o->bundle);
    add(&a, "--detach");
    add(&a, "--no-subreaper");
    if (o->no_pivot)
        add(&a, "--no-pivot");
    add_images(&a, images);
    TRY(add_process(c, &a, "init", io, fds, &n, e));
    add(&a, o->id);
    return call_spawn(c, &a, fds, n, e);
}

static int simple(const struct oci *o, const char *verb, const char *const *more, oci_done *done,
                  void *arg, struct err *e)
{
    struct args a = {.n = 0};
    auto_free char *log_name = mem_printf("%s.", verb);
    struct call *c = call_new(o, verb, log_name, &a, done, arg);
    add(&a, verb);
    for (; *more != NULL; more++)
        add(&a, *more);
    add(&a, o->id);
    return call_spawn(c, &a, NULL, 0, e);
}

static const char *const no_more[] = {NULL};

static int runc_start(const struct oci *o, oci_done *done, void *arg, struct err *e)
{
    return simple(o, "start", no_more, done, arg, e);
}

static int runc_pause(const struct oci *o, bool pause, oci_done *done, void *arg, struct err *e)
{
    return simple(o, pause ? "pause" : "resume", no_more, done, arg, e);
}

static int runc_del(const struct oci *o, oci_done *done, void *arg, struct err *e)
{
    static const char *const force[] = {"--force", NULL};
    return simple(o, "delete", force, done, arg, e);
}

/* `kill` wants the signal behind the id. */
static int runc_kill_all(const struct oci *o, int signo, oci_done *done, void *arg, struct err *e)
{
    struct args a = {.n = 0};
    char number[16];
    (void)snprintf(number, sizeof(number), "%d", signo);
    struct call *c = call_new(o, "kill", "kill.", &a, done, arg);
    add(&a, "kill");
    add(&a, "--all");
    add(&a, o->id);
    add(&a, number);
    return call_spawn(c, &a, NULL, 0, e);
}

static int runc_update(const struct oci *o, const char *resources, oci_done *done, void *arg,
                       struct err *e)
{
    struct args a = {.n = 0};
    auto_fd int memfd = fd_memfd("resources.json", resources, strlen(resources));
    if (memfd < 0)
        return err_neg(e, memfd, "update");
    struct call *c = call_new(o, "update", "update.", &a, done, arg);
    add(&a, "update");
    add(&a, "--resources");
    add(&a, "-");
    const struct spawn_fd fds[] = {{0, memfd}};
    add(&a, o->id);
    return call_spawn(c, &a, fds, 1, e);
}

static int runc_delete_now(const struct oci *o, struct err *e)
{
    const char *const argv[] = {o->binary, "--root", o->root, "delete", "--force", o->id, NULL};
    const struct spawn_opts so = {.path = o->binary, .argv = argv};
    struct proc proc = PROC_NONE;
    int status = 0;
    TRY(spawn(&so, &proc, e));
    int r = proc_wait(&proc, 10000, -1, &status, e);
    proc_done(&proc);
    if (r == 0 && status != 0)
        return err_set(e, ERR_UNKNOWN, "%s delete: exit status %d", o->binary, status);
    return r;
}

const struct oci_ops oci_runc = {
    .create = runc_create,
    .start = runc_start,
    .exec = runc_exec,
    .kill_all = runc_kill_all,
    .del = runc_del,
    .pause = runc_pause,
    .checkpoint = runc_checkpoint,
    .restore = runc_restore,
    .update = runc_update,
    .delete_now = runc_delete_now,
};
