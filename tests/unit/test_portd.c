/* hull-portd as a program: ports are really held, what reaches them is relayed, and it outlives its
 * client. */
#include "test.h"
#include "netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/portd.h"
#include "sys/fd.h"
#include "sys/path.h"

static bool own_ns;
static char dir[] = "/tmp/hull-portd-XXXXXX";
static char *program, *control;

static struct portd_port port_of(int proto, const char *ip, uint16_t port, const char *to,
                                 uint16_t to_port)
{
    struct portd_port p = {.key = {.proto = proto, .port = port}, .to_port = to_port};

    assert_true(ip_parse(str_of(ip), &p.key.ip));
    if (to[0] != '\0')
        assert_true(ip_parse(str_of(to), &p.to));
    return p;
}

static int socket_for(const char *ip, uint16_t port, int type, bool server)
{
    struct timeval patience = {.tv_sec = 5};
    struct sockaddr_storage sa;
    struct ip_addr a = {0};
    int fd, on = 1;

    assert_true(ip_parse(str_of(ip), &a));
    socklen_t n = ip_to_sockaddr(a, port, &sa);
    fd = socket(sa.ss_family, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (server &&
        (bind(fd, (struct sockaddr *)&sa, n) < 0 || (type == SOCK_STREAM && listen(fd, 5) < 0))) {
        int error = errno;
        fd_close(fd);
        return -error;
    }
    if (!server && connect(fd, (struct sockaddr *)&sa, n) < 0) {
        int error = errno;
        fd_close(fd);
        return -error;
    }
    return fd;
}

/* True once connecting fails: waits for hull-portd to be gone. */
static bool gone(const char *ip, uint16_t port)
{
    for (int64_t end = time_mono_ns() + 5 * NS_PER_S; time_mono_ns() < end; poll(NULL, 0, 5)) {
        int fd = socket_for(ip, port, SOCK_STREAM, false);
        if (fd == -ECONNREFUSED)
            return true;
        fd_close(fd);
    }
    return false;
}

static void expect_read(int fd, const char *want)
{
    char got[64] = "";

    assert_int_equal(recv(fd, got, strlen(want), MSG_WAITALL), strlen(want));
    assert_string_equal(got, want);
}

static void test_held_and_refused(void **state)
{
    struct portd_port p = port_of(PORT_TCP, "0.0.0.0", 80, "", 0),
                      u = port_of(PORT_UDP, "::", 53, "", 0);
    struct portd_port far = port_of(PORT_TCP, "10.9.9.9", 80, "", 0);
    struct portd *d;
    struct err e;

    (void)state;
    if (!own_ns)
        skip();
    d = portd_new(program, control);
    assert_ok(portd_hold(d, &p, &e));
    assert_ok(portd_hold(d, &u, &e));
    assert_int_equal(socket_for("127.0.0.1", 80, SOCK_STREAM, true), -EADDRINUSE);
    assert_int_equal(socket_for("::", 53, SOCK_DGRAM, true), -EADDRINUSE);
    int own = socket_for("127.0.0.1", 81, SOCK_STREAM, true);
    assert_true(own >= 0);
    p.key.port = 81;
    assert_err(portd_hold(d, &p, &e), ERR_CONFLICT,
               "failed to bind host port 0.0.0.0:81/tcp: address already in use");
    assert_int_equal(e.sys, EADDRINUSE);
    assert_err(portd_hold(d, &far, &e), ERR_CONFLICT,
               "failed to bind host port 10.9.9.9:80/tcp: cannot assign requested address");
    p.key.port = 80;
    assert_ok(portd_release(d, p.key, &e));
    assert_ok(portd_release(d, p.key, &e));
    assert_ok(portd_release(d, u.key, &e));
    int again = socket_for("127.0.0.1", 80, SOCK_STREAM, true);
    assert_true(again >= 0);
    fd_close(again);
    fd_close(own);
    portd_free(d);
}

static void test_relays(void **state)
{
    struct portd_port p = port_of(PORT_TCP, "::", 8080, "127.0.0.1", 9000),
                      u = port_of(PORT_UDP, "::", 8053, "127.0.0.1", 9053);
    struct portd *d;
    struct err e;

    (void)state;
    if (!own_ns)
        skip();
    int server = socket_for("127.0.0.1", 9000, SOCK_STREAM, true),
        dgram = socket_for("127.0.0.1", 9053, SOCK_DGRAM, true);
    d = portd_new(program, control);
    assert_ok(portd_hold(d, &p, &e));
    assert_ok(portd_hold(d, &u, &e));
    int c = socket_for("::1", 8080, SOCK_STREAM, false);
    assert_true(c >= 0);
    int s = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(fd_write_all(c, "ping", 4), 0);
    assert_int_equal(shutdown(c, SHUT_WR), 0); /* half-close passes through */
    expect_read(s, "ping");
    assert_int_equal(recv(s, (char[1]){0}, 1, 0), 0);
    assert_int_equal(fd_write_all(s, "pong", 4), 0);
    fd_close(s);
    expect_read(c, "pong");
    assert_int_equal(recv(c, (char[1]){0}, 1, 0), 0);
    fd_close(c);

    int a = socket_for("::1", 8053, SOCK_DGRAM, false),
        b = socket_for("::1", 8053, SOCK_DGRAM, false);
    assert_int_equal(send(a, "from a", 6, 0), 6);
    assert_int_equal(send(b, "from b", 6, 0), 6);
    for (int i = 0; i < 2; i++) { /* each answer goes to its own peer */
        struct sockaddr_storage from;
        socklen_t n = sizeof(from);
        char got[16];
        assert_int_equal(recvfrom(dgram, got, sizeof(got), 0, (struct sockaddr *)&from, &n), 6);
        assert_int_equal(sendto(dgram, got + 5, 1, 0, (struct sockaddr *)&from, n), 1);
    }
    expect_read(a, "a");
    expect_read(b, "b");
    fd_close(a);
    fd_close(b);

    p.to_port = 9001; /* nobody there: the connection ends, nothing else happens */
    assert_ok(portd_hold(d, &p, &e));
    c = socket_for("::1", 8080, SOCK_STREAM, false);
    assert_true(recv(c, (char[1]){0}, 1, 0) <= 0);
    fd_close(c);
    fd_close(server);
    fd_close(dgram);
    assert_ok(portd_sync(d, NULL, 0, &e));
    assert_true(gone("::1", 8080));
    portd_free(d);
}

/* Bytes in both directions at once, more than any buffer holds. */
static void test_volume(void **state)
{
    struct portd_port p = port_of(PORT_TCP, "::1", 8081, "127.0.0.1", 9002);
    const size_t total = 8 << 20;
    size_t sent[2] = {0}, got[2] = {0};
    static char chunk[65536];
    struct portd *d;
    struct err e;

    (void)state;
    if (!own_ns)
        skip();
    int server = socket_for("127.0.0.1", 9002, SOCK_STREAM, true);
    d = portd_new(program, control);
    assert_ok(portd_hold(d, &p, &e));
    int end[2] = {socket_for("::1", 8081, SOCK_STREAM, false), -1};
    end[1] = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    while (got[0] < total || got[1] < total) {
        struct pollfd pfd[2];
        for (int i = 0; i < 2; i++)
            pfd[i] = (struct pollfd){end[i], (short)(POLLIN | (sent[i] < total ? POLLOUT : 0)), 0};
        assert_true(poll(pfd, 2, 5000) > 0);
        for (int i = 0; i < 2; i++) {
            ssize_t n = 0;
            if (pfd[i].revents & POLLIN) {
                n = recv(end[i], chunk, sizeof(chunk), MSG_DONTWAIT);
                assert_true(n > 0);
                got[i] += (size_t)n;
            }
            if (pfd[i].revents & POLLOUT) {
                n = send(end[i], chunk, MIN(sizeof(chunk), total - sent[i]), MSG_DONTWAIT);
                sent[i] += n > 0 ? (size_t)n : 0;
            }
        }
    }
    assert_int_equal(got[0], total);
    assert_int_equal(got[1], total);
    fd_close(end[0]);
    fd_close(end[1]);
    fd_close(server);
    assert_ok(portd_release(d, p.key, &e));
    portd_free(d);
}

/* Without ports one ends when its client goes: whoever comes at that moment gets another. */
static void test_one_that_ends(void **state)
{
    struct portd_port p = port_of(PORT_TCP, "::1", 8084, "", 0);
    struct err e;

    (void)state;
    if (!own_ns)
        skip();
    for (int i = 0; i < 100; i++) {
        struct portd *d = portd_new(program, control);
        assert_ok(portd_hold(d, &p, &e));
        assert_ok(portd_release(d, p.key, &e));
        portd_free(d);
    }
}

static void test_outlives_its_client(void **state)
{
    struct portd_port two[] = {port_of(PORT_TCP, "::1", 8082, "", 0),
                               port_of(PORT_TCP, "::1", 8083, "", 0)};
    struct portd *d;
    struct err e;

    (void)state;
    if (!own_ns)
        skip();
    d = portd_new(program, control);
    assert_ok(portd_hold(d, &two[0], &e));
    portd_free(d); /* as a daemon that was killed */
    assert_int_equal(socket_for("::1", 8082, SOCK_STREAM, true), -EADDRINUSE);
    d = portd_new(program, control);
    assert_ok(portd_sync(d, &two[1], 1, &e)); /* the first belonged to a container that is gone */
    assert_int_equal(socket_for("::1", 8083, SOCK_STREAM, true), -EADDRINUSE);
    assert_true(gone("::1", 8082));
    assert_ok(portd_sync(d, NULL, 0, &e));
    assert_true(gone("::1", 8083));
    portd_free(d);
}

/* The hull-portd of our namespace. */
static pid_t find_portd(void)
{
    DIR *d = opendir("/proc");
    const struct dirent *ent;
    struct stat ours, its;
    pid_t pid = 0;

    assert_int_equal(stat("/proc/self/ns/net", &ours), 0);
    while (pid == 0 && (ent = readdir(d)) != NULL) {
        auto_buf struct buf comm = BUF_MAX(64);
        auto_free char *path = mem_printf("/proc/%s/comm", ent->d_name),
                       *ns = mem_printf("/proc/%s/ns/net", ent->d_name);
        uint64_t n;
        struct err e;
        if (str_to_u64(str_of(ent->d_name), 2, INT32_MAX, &n) &&
            file_read(AT_FDCWD, path, &comm, &e) == 0 &&
            strcmp(buf_cstr(&comm), "hull-portd\n") == 0 && stat(ns, &its) == 0 &&
            its.st_ino == ours.st_ino)
            pid = (pid_t)n;
    }
    closedir(d);
    return pid;
}

/* Killed while the daemon runs: another takes over, without anybody asking for it. */
static void test_comes_back(void **state)
{
    struct portd_port p = port_of(PORT_TCP, "::1", 8085, "127.0.0.1", 9003);
    struct portd *d;
    struct err e;
    int c = -1;

    (void)state;
    if (!own_ns)
        skip();
    int server = socket_for("127.0.0.1", 9003, SOCK_STREAM, true);
    d = portd_new(program, control);
    assert_ok(portd_hold(d, &p, &e));
    pid_t first = find_portd(), second;
    assert_true(first > 0);
    assert_int_equal(kill(first, SIGKILL), 0);
    int64_t end = time_mono_ns() + 5 * NS_PER_S;
    do {
        poll(NULL, 0, 5);
        second = find_portd();
    } while ((second == 0 || second == first) && time_mono_ns() < end);
    assert_true(second > 0 && second != first);
    do {
        fd_close(c);
        c = socket_for("::1", 8085, SOCK_STREAM, false);
    } while (c < 0 && time_mono_ns() < end);
    assert_true(c >= 0);
    fd_close(c);
    fd_close(server);
    assert_ok(portd_release(d, p.key, &e));
    portd_free(d);
}

static void test_no_program(void **state)
{
    struct portd_port p = port_of(PORT_TCP, "::1", 8084, "", 0);
    auto_free char *other = mem_printf("%s/other.sock", dir);
    struct portd *d = portd_new("/nonexistent/hull-portd", other);
    struct err e;

    (void)state;
    assert_err(portd_hold(d, &p, &e), ERR_NOT_FOUND, "hull-portd");
    portd_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_and_refused),
        cmocka_unit_test(test_relays),
        cmocka_unit_test(test_volume),
        cmocka_unit_test(test_one_that_ends),
        cmocka_unit_test(test_outlives_its_client),
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_no_program),
    };
    int r;

    program = mem_printf("%s/src/net/hull-portd",
                         getenv("HULL_BUILD_DIR") != NULL ? getenv("HULL_BUILD_DIR") : "build");
    own_ns = in_own_netns() && mkdtemp(dir) != NULL;
    control = mem_printf("%s/portd.sock", dir);
    r = cmocka_run_group_tests(tests, NULL, NULL);
    auto_free char *other = mem_printf("%s/other.sock", dir);
    (void)unlink(control);
    (void)unlink(other);
    (void)rmdir(dir);
    free(program);
    free(control);
    return r;
}
