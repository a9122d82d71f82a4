/* The event loop: descriptors, timers, signals, deletion from within callbacks. */
#include "test.h"

#include <sys/epoll.h>

#include "base/loop.h"
#include "sys/fd.h"

struct ctx {
    struct loop *l;
    struct source *other;
    int seen;
};

static void on_fd(struct source *s, int fd, uint32_t events, void *arg)
{
    struct ctx *c = arg;
    char byte;
    assert_true((events & EPOLLIN) != 0);
    assert_int_equal(read(fd, &byte, 1), 1);
    c->seen++;
    loop_del(c->other); /* ready in the same batch: must not be called any more */
    loop_del(s);
}

static void on_other(struct source *s, int fd, uint32_t events, void *arg)
{
    (void)events;
    struct ctx *c = arg;
    char byte;
    (void)!read(fd, &byte, 1);
    c->seen++;
    loop_del(s);
}

static void on_timer(struct source *s, void *arg)
{
    (void)s;
    struct ctx *c = arg;
    c->seen += 10;
    loop_stop(c->l);
}

static void on_signal(int signo, void *arg)
{
    struct ctx *c = arg;
    c->seen = signo;
    loop_stop(c->l);
}

static void sources_may_die_in_callbacks(void **state)
{
    (void)state;
    struct err e = {0};
    struct ctx c = {.l = loop_new(&e)};
    assert_non_null(c.l);
    int r1, w1, r2, w2;
    assert_int_equal(fd_pipe(&r1, &w1, 0), 0);
    assert_int_equal(fd_pipe(&r2, &w2, 0), 0);
    c.other = loop_add_fd(c.l, r2, EPOLLIN, on_other, &c, &e);
    struct source *first = loop_add_fd(c.l, r1, EPOLLIN, on_fd, &c, &e);
    assert_non_null(c.other);
    assert_non_null(first);
    assert_int_equal(write(w1, "x", 1), 1);
    assert_non_null(loop_add_timer(c.l, 20, on_timer, &c, &e));
    assert_ok(loop_run(c.l, &e));
    assert_int_equal(c.seen, 11);
    loop_free(c.l);
    int fds[] = {r1, w1, r2, w2};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fd_close(fds[i]);
}

static void signals_arrive(void **state)
{
    (void)state;
    struct err e = {0};
    struct ctx c = {.l = loop_new(&e)};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    assert_ok(loop_add_signals(c.l, &set, on_signal, &c, &e));
    raise(SIGUSR1);
    assert_ok(loop_run(c.l, &e));
    assert_int_equal(c.seen, SIGUSR1);
    loop_free(c.l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_may_die_in_callbacks),
        cmocka_unit_test(signals_arrive),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
