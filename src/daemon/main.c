/* hulld: the daemon with the Docker Engine API. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/daemon.h"

/* Before the first thread: what all threads inherit. */
static void prepare_process(void)
{
    sigset_t all;
    /* a heap a thread would let the resident size creep, and so would what is kept once freed */
    mallopt(M_ARENA_MAX, 2);              /* NOLINT(concurrency-mt-unsafe): no other thread yet */
    mallopt(M_TRIM_THRESHOLD, 128 << 10); /* NOLINT(concurrency-mt-unsafe): the same */
    mallopt(M_MMAP_THRESHOLD, 128 << 10); /* NOLINT(concurrency-mt-unsafe): no longer moves up */
    umask(0022);
    signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static int fail(const struct err *e)
{
    fprintf(stderr, "%s\n", e->msg);
    return 1;
}

static int print_help(void)
{
    auto_buf struct buf text = BUF_MAX(1u << 16);
    daemon_config_help(&text);
    fputs(buf_cstr(&text), stdout);
    return 0;
}

static int run(const struct daemon_config *c)
{
    struct err e = {0};
    enum log_level level = LOG_INFO;

    if (c->help)
        return print_help();
    if (c->version) {
        printf("Hull version %s\n", HULL_VERSION);
        return 0;
    }
    if (c->validate) {
        fputs("configuration OK\n", stderr);
        return 0;
    }
    (void)log_level_parse(c->log_level, &level); /* checked with the configuration */
    log_init(STDERR_FILENO, level);
    if (geteuid() != 0) {
        err_set(&e, ERR_FORBIDDEN, "hulld needs to be started with root privileges");
        return fail(&e);
    }
    if (daemon_run(c, &e) < 0)
        return fail(&e);
    return 0;
}

int main(int argc, char **argv)
{
    struct daemon_config c = {0};
    struct err e = {0};

    prepare_process();
    int r = daemon_config_read(argc, argv, &c, &e) < 0 ? fail(&e) : run(&c);
    daemon_config_done(&c);
    return r;
}
