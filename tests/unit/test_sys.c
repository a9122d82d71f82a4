/* Descriptors, paths below a root, processes. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/sock.h"
#include "sys/spawn.h"

static char dir[] = "/tmp/hull-test-sys-XXXXXX";
static int root = -1;

static int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root < 0;
}

static int remove_dir(void **state)
{
    (void)state;
    struct err e = {0};
    fd_close(root);
    return path_remove_tree(AT_FDCWD, dir, &e);
}

static void paths_stay_inside(void **state)
{
    (void)state;
    struct err e = {0};
    auto_fd int deep = path_mkdirs_in(root, "/a/b/../b/c", 0755, &e);
    assert_true(deep >= 0);
    assert_int_equal(symlinkat("/etc/hostname", root, "abs"), 0);
    assert_int_equal(symlinkat("../../../../etc", root, "up"), 0);
    assert_err(path_open_in(root, "abs", O_RDONLY, &e), ERR_NOT_FOUND, "abs");
    assert_err(path_open_in(root, "up/passwd", O_RDONLY, &e), ERR_NOT_FOUND, "up/passwd");
    auto_fd int etc = path_mkdirs_in(root, "etc", 0755, &e);
    auto_fd int file = path_create_in(root, "up/made", O_WRONLY | O_CREAT, 0644, &e);
    assert_true(etc >= 0 && file >= 0);
    assert_int_equal(faccessat(etc, "made", F_OK, 0), 0);
    /* a link to what is not there yet: made inside, also when its text leads out */
    assert_int_equal(symlinkat("../../../new/place", root, "dangling"), 0);
    auto_fd int through = path_mkdirs_in(root, "dangling/deep", 0755, &e);
    assert_true(through >= 0);
    assert_int_equal(faccessat(root, "new/place/deep", F_OK, 0), 0);
    assert_int_equal(symlinkat("/dangling/links/f", root, "file"), 0);
    auto_fd int made = path_make_file_in(root, "/sub/../file", 0600, &e);
    assert_true(made >= 0);
    assert_int_equal(faccessat(root, "new/place/links/f", F_OK, 0), 0);
    assert_int_equal(symlinkat("loop", root, "loop"), 0);
    assert_true(path_mkdirs_in(root, "loop/x", 0755, &e) < 0);
    assert_true(path_make_file_in(root, "loop", 0600, &e) < 0);
    assert_true(path_make_file_in(root, "", 0600, &e) < 0);
    auto_fd int again = path_mkdirs_in(root, "up/x/y", 0755, &e);
    assert_true(again >= 0);
    assert_int_equal(faccessat(etc, "x/y", F_OK, 0), 0);
    assert_err(path_open_beneath(root, "up", O_RDONLY, 0, &e), ERR_INTERNAL, "up");
    assert_err(path_open_beneath(root, "../x", O_RDONLY, 0, &e), ERR_INTERNAL, "../x");
}

static void files_are_replaced_whole(void **state)
{
    (void)state;
    struct err e = {0};
    auto_fd int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_ok(file_replace(d, "f", "one", 3, 0640, &e));
    assert_ok(file_replace(d, "f", "second", 6, 0600, &e));
    auto_buf struct buf b = BUF_MAX(100), small = BUF_MAX(3);
    assert_ok(file_read(d, "f", &b, &e));
    assert_string_equal(buf_cstr(&b), "second");
    assert_err(file_read(d, "f", &small, &e), ERR_TOO_LARGE, "larger than 3");
    assert_err(file_read(d, "nope", &b, &e), ERR_NOT_FOUND, "nope");
}

static void trees_go_but_links_are_not_followed(void **state)
{
    (void)state;
    struct err e = {0};
    fd_close(path_mkdirs_in(root, "gone/x/y/z", 0755, &e));
    fd_close(path_mkdirs_in(root, "stays", 0755, &e));
    assert_int_equal(symlinkat("../stays", root, "gone/link"), 0);
    assert_ok(path_remove_tree(root, "gone", &e));
    assert_int_equal(faccessat(root, "gone", F_OK, 0), -1);
    assert_int_equal(faccessat(root, "stays", F_OK, 0), 0);
    assert_ok(path_remove_tree(root, "gone", &e));
}

static void children_get_only_listed_descriptors(void **state)
{
    (void)state;
    struct err e = {0};
    int r, w, stray_r, stray_w;
    assert_int_equal(fd_pipe(&r, &w, 0), 0);
    int stray[2];
    assert_int_equal(pipe2(stray, 0), 0); /* not close-on-exec: spawn must close it all the same */
    stray_r = stray[0];
    stray_w = stray[1];
    struct spawn_fd fds[] = {{1, w}, {5, r}};
    const char *argv[] = {"sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; exit 7", NULL};
    struct spawn_opts o = {.path = "sh", .argv = argv, .fds = fds, .n_fds = 2, .dir = "/"};
    struct proc p = PROC_NONE;
    assert_ok(spawn(&o, &p, &e));
    fd_close(w);
    auto_buf struct buf out = BUF_MAX(1000);
    assert_int_equal(fd_read_to_end(r, &out), 0);
    /* 3 is the directory that ls itself reads */
    assert_string_equal(buf_cstr(&out), "0 1 2 3 5 ");
    int status = -1;
    assert_ok(proc_wait(&p, 5000, -1, &status, &e));
    assert_int_equal(status, 7);
    assert_false(proc_alive(&p));
    proc_done(&p);
    fd_close(r);
    fd_close(stray_r);
    fd_close(stray_w);
}

static void waits_time_out_and_signals_are_told(void **state)
{
    (void)state;
    struct err e = {0};
    const char *argv[] = {"sleep", "100", NULL};
    struct spawn_opts o = {.path = "sleep", .argv = argv};
    struct proc p = PROC_NONE;
    assert_ok(spawn(&o, &p, &e));
    assert_err(proc_wait(&p, 10, -1, NULL, &e), ERR_TIMEOUT, "did not end");
    assert_ok(proc_kill(&p, SIGTERM, &e));
    int status = 0;
    assert_ok(proc_wait(&p, -1, -1, &status, &e));
    assert_int_equal(status, 128 + SIGTERM);
    proc_done(&p);
    o.path = "/nonexistent/program";
    assert_err(spawn(&o, &p, &e), ERR_NOT_FOUND, "/nonexistent/program");
}

/* This program, started by path in folder, says what it finds as name. */
static void assert_found(const char *path, const char *folder, const char *name,
                         const char *expected)
{
    struct err e = {0};
    struct proc p = PROC_NONE;
    const char *argv[] = {"anything", "find", name, NULL};
    auto_fd int r = -1, w = -1;
    auto_buf struct buf out = BUF_MAX(5000);
    int status = -1;
    assert_int_equal(fd_pipe(&r, &w, 0), 0);
    const struct spawn_opts o = {
        .path = path, .argv = argv, .fds = (struct spawn_fd[]){{1, w}}, .n_fds = 1, .dir = folder};
    assert_ok(spawn(&o, &p, &e));
    fd_close(take_fd(&w));
    assert_int_equal(fd_read_to_end(r, &out), 0);
    assert_ok(proc_wait(&p, 5000, -1, &status, &e));
    proc_done(&p);
    assert_int_equal(status, 0);
    assert_string_equal(buf_cstr(&out), expected);
}

/* Beside the name that was called, then beside the file; never in the working folder. */
static void our_programs_are_found(void **state)
{
    (void)state;
    struct err e = {0};
    auto_free char *self = path_beside("test_sys"), *none = path_beside("hull-none");
    auto_free char *installed = path_helper("hull-none");
    assert_non_null(self);
    assert_null(none);
    assert_string_equal(installed, HULL_HELPER_DIR "/hull-none");

    auto_fd int links = path_mkdirs_in(root, "links", 0755, &e);
    auto_free char *link = mem_printf("%s/links/called", dir);
    auto_free char *other = mem_printf("%s/links/other", dir);
    auto_free char *folder = mem_printf("%s/links", dir);
    assert_int_equal(symlinkat(self, links, "called"), 0);
    assert_int_equal(symlinkat(self, links, "other"), 0);
    assert_found(link, "/", "other", other);
    assert_found(link, "/", "test_sys", self);
    assert_found("./called", folder, "other", HULL_HELPER_DIR "/other");
}

static void descriptors_travel(void **state)
{
    (void)state;
    int sv[2], r, w, got = -1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    assert_int_equal(fd_pipe(&r, &w, 0), 0);
    assert_int_equal(fd_send(sv[0], "hi", 2, (int[]){w, r}, 2), 0);
    char text[8];
    size_t n_fds = 9;
    assert_int_equal(fd_recv(sv[1], text, sizeof(text), &got, 1, &n_fds), 2);
    assert_int_equal(n_fds, 1);
    assert_true((fcntl(got, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(write(got, "x", 1), 1);
    int fds[] = {sv[0], sv[1], r, w, got};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fd_close(fds[i]);
    auto_fd int mem = fd_memfd("job", "abc", 3);
    assert_true(mem >= 0);
    assert_int_equal(write(mem, "x", 1), -1);
    assert_int_equal(errno, EPERM);
}

static void sockets_by_path(void **state)
{
    (void)state;
    struct err e = {0};
    char path[64], deep[200];
    struct stat st;

    (void)snprintf(path, sizeof(path), "/tmp/test-sys-%d.sock", (int)getpid());
    memset(deep, 'x', sizeof(deep));
    deep[sizeof(deep) - 1] = '\0';
    assert_err(sock_dial(path, 100, &e), ERR_UNAVAILABLE, "dial unix");
    assert_int_equal(e.sys, ENOENT);
    assert_err(sock_dial(deep, 100, &e), ERR_INVALID, "must have 1 to 107 bytes");
    int fd = sock_listen(path, 0640, (gid_t)-1, &e);
    assert_true(fd >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_err(sock_listen(path, 0640, (gid_t)-1, &e), ERR_EXISTS, "another process listens");
    int client = sock_dial(path, 100, &e);
    assert_true(client >= 0);
    fd_close(client);
    fd_close(fd);
    assert_err(sock_dial(path, 0, &e), ERR_UNAVAILABLE, "refused");
    fd = sock_listen(path, 0600, (gid_t)-1, &e); /* the file of a server that is gone */
    assert_true(fd >= 0);
    fd_close(fd);
    assert_int_equal(unlink(path), 0);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_err(sock_listen(path, 0600, (gid_t)-1, &e), ERR_EXISTS, "is not a socket");
    fd_close(fd);
    assert_int_equal(unlink(path), 0);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "find") == 0) {
        auto_free char *path = path_helper(argv[2]);
        return fputs(path, stdout) < 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_stay_inside),
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(trees_go_but_links_are_not_followed),
        cmocka_unit_test(children_get_only_listed_descriptors),
        cmocka_unit_test(waits_time_out_and_signals_are_told),
        cmocka_unit_test(our_programs_are_found),
        cmocka_unit_test(descriptors_travel),
        cmocka_unit_test(sockets_by_path),
    };
    return cmocka_run_group_tests_name("sys", tests, make_dir, remove_dir);
}
