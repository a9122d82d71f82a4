/*
 * hull-containerd: images, snapshots and running containers for whoever speaks containerd's API.
 * Stopping it, or killing it, leaves shims and containers running; the next one finds them.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "containerd/bus.h"
#include "containerd/config.h"
#include "containerd/ctd.h"
#include "containerd/publish.h"
#include "containerd/tasks.h"
#include "containerd/transfer.h"
#include "sys/fd.h"
#include "sys/notify.h"
#include "sys/path.h"
#include "sys/sock.h"

#define UNPACK "hull-unpack"
#define GRACE_MS 1000
#define SLOW_CALLS 512

/* Before the first thread: what all threads inherit. */
static void prepare_process(void)
{
    sigset_t all;
    struct rlimit files;
    /* NOLINTBEGIN(concurrency-mt-unsafe): no other thread yet */
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 20);
    (void)umask(0022);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    /* NOLINTEND(concurrency-mt-unsafe) */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* a descriptor or two for each shim */
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static const char *own_path(struct arena *a)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    return n > 0 ? arena_strndup(a, path, (size_t)n) : "/usr/bin/hull-containerd";
}

static const char *dir_of(const char *path, struct arena *a)
{
    return arena_strndup(a, path, (size_t)(strrchr(path, '/') - path));
}

/* As told, beside us (a test, a build), else in libexec. */
static const char *unpack_path(const struct config *c, struct arena *a)
{
    if (c->helper_dir != NULL)
        return arena_printf(a, "%s/" UNPACK, c->helper_dir);
    auto_free char *path = path_helper(UNPACK);
    return arena_strdup(a, path);
}

/* ---- identity ---- */

static int make_uuid(char out[static 37], struct err *e)
{
    unsigned char b[16];
    char hex[33];
    if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
        return err_sys(e, "getrandom");
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* version 4, variant 1: RFC 9562 */
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    str_hex(b, sizeof(b), hex);
    (void)snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                   hex + 20);
    return 0;
}

static int load_uuid(const char *root, char out[static 37], struct err *e)
{
    auto_buf struct buf text = BUF_MAX(64);
    auto_fd int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(e, "open %s", root);
    if (file_read(dir, "uuid", &text, e) == 0 && text.n == 36) {
        memcpy(out, text.p, 37);
        return 0;
    }
    err_clear(e);
    TRY(make_uuid(out, e));
    return file_replace(dir, "uuid", out, 36, 0600, e);
}

/* ---- serving ---- */

static void add_services(struct grpc_server *s)
{
    service_meta_add(s);
    service_containers_add(s);
    service_content_add(s);
    service_images_add(s);
    service_snapshots_add(s);
    service_leases_add(s);
    service_events_add(s);
    service_diff_add(s);
    service_tasks_add(s);
    service_streaming_add(s);
    service_transfer_add(s);
}

static int make_dirs(const struct config *c, struct err *e)
{
    auto_free char *parent =
        mem_strndup(c->address, (size_t)(strrchr(c->address, '/') - c->address));
    TRY(path_mkdirs(c->root, 0711, e));
    TRY(path_mkdirs(c->state, 0711, e));
    return *parent != '\0' ? path_mkdirs(parent, 0711, e) : 0;
}

/* Wait for a signal that means the end. */
static int wait_for_end(struct err *e)
{
    sigset_t all;
    struct signalfd_siginfo si;
    (void)sigfillset(&all);
    auto_fd int fd = signalfd(-1, &all, SFD_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "signalfd");
    while (read(fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
        if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT || si.ssi_signo == SIGQUIT) {
            log_info("stopping", "signal", sigabbrev_np((int)si.ssi_signo), NULL);
            return 0;
        }
    return err_sys(e, "read signals");
}

static int serve(struct ctd *d, struct err *e)
{
    const struct grpc_server_opts o = {.ctx = d, .max_slow_calls = SLOW_CALLS};
    struct grpc_server *server;
    TRY(grpc_server_new(&o, &server, e));
    add_services(server);
    int fd = sock_listen(d->address, 0660, (gid_t)-1, e);
    int r = fd < 0 ? -1 : grpc_server_listen(server, fd, e);
    if (r == 0) {
        log_info("serving", "address", d->address, "root", d->root, NULL);
        notify("READY=1");
        r = wait_for_end(e);
        notify("STOPPING=1");
    }
    bus_end(d->bus);
    grpc_server_free(server, GRACE_MS);
    if (fd >= 0)
        (void)unlink(d->address);
    return r;
}

static int run(const struct config *c, struct arena *a, struct err *e)
{
    const char *self = own_path(a);
    struct ctd d = {.address = c->address,
                    .ttrpc_address = c->ttrpc_address,
                    .root = c->root,
                    .state = c->state,
                    .self = self,
                    .self_dir = dir_of(self, a),
                    .path = getenv("PATH")}; /* NOLINT(concurrency-mt-unsafe): before threads */
    TRY(make_dirs(c, e));
    d.bus = bus_new();
    d.streams = streams_new();
    const struct store_opts so = {.root = d.root,
                                  .unpack_path = unpack_path(c, a),
                                  .event = bus_store_event,
                                  .event_arg = d.bus};
    int r = store_open(&so, &d.store, e); /* locks the root: one instance */
    if (r < 0 && e->kind == ERR_UNAVAILABLE)
        (void)err_wrap(e, "is another hull-containerd running on %s?", d.root);
    if (r == 0)
        r = load_uuid(d.root, d.uuid, e);
    if (r == 0)
        r = tasks_new(&d, &d.tasks, e);
    if (r == 0)
        r = serve(&d, e);
    tasks_free(d.tasks);
    streams_free(d.streams);
    store_close(d.store);
    bus_free(d.bus);
    return r;
}

static int fail(const struct err *e)
{
    (void)dprintf(STDERR_FILENO, "hull-containerd: %s\n", e->msg);
    return 1;
}

int main(int argc, char **argv)
{
    auto_arena struct arena *a = arena_new();
    struct err e = {0};
    struct config c;
    enum log_level level;
    if (config_read(argc, argv, a, &c, &e) < 0)
        return fail(&e);
    if (c.version) {
        (void)printf("hull-containerd %s\n", HULL_VERSION);
        return 0;
    }
    if (!log_level_parse(c.log_level, &level)) {
        (void)err_set(&e, ERR_INVALID, "not a log level: %s", c.log_level);
        return fail(&e);
    }
    log_init(STDERR_FILENO, level);
    prepare_process();
    if (c.rest[0] != NULL && strcmp(c.rest[0], "publish") == 0)
        return publish_command(c.rest, c.address, &e) < 0 ? fail(&e) : 0;
    if (c.rest[0] != NULL) {
        (void)err_set(&e, ERR_INVALID, "unknown command \"%s\"", c.rest[0]);
        return fail(&e);
    }
    return run(&c, a, &e) < 0 ? fail(&e) : 0;
}
