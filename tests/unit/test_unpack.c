/* hull-unpack as its parents use it: real archives made by tar, hostile ones made by hand. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/xattr.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <archive.h>
#include <archive_entry.h>

#include "folder.h"
#include "base/mem.h"
#include "sys/fd.h"
#include "sys/job.h"
#include "sys/path.h"
#include "types/unpack_job.h"

struct fixture {
    char dir[64];
    char *unpack;
    struct arena *a;
    int dir_fd;
    const struct userns_maps *maps; /* of the jobs; NULL: none */
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    const char *build = getenv("HULL_BUILD_DIR"); /* the runner's */
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/hull-test-unpack-XXXXXX");
    f->unpack = mem_printf("%s/src/archive/hull-unpack", build != NULL ? build : "build");
    f->a = arena_new();
    *state = f;
    if (mkdtemp(f->dir) == NULL)
        return -1;
    f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return f->dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    auto_fd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = path_remove_tree(tmp, f->dir + 5, &e);
    fd_close(f->dir_fd);
    free(f->unpack);
    arena_free(f->a);
    free(f);
    return r;
}

/* Run a shell script in the test's directory. */
static int open_dir(struct fixture *f, const char *name)
{
    (void)mkdirat(f->dir_fd, name, 0755);
    return openat(f->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int run(struct fixture *f, const struct unpack_job *job, const int *fds, size_t n,
               struct unpack_result *res, struct err *e)
{
    struct buf doc = BUF_MAX(1 << 20), out = BUF_MAX(1 << 20);
    json_write(&unpack_job_json, job, &doc);
    const struct job_opts o = {.program = f->unpack,
                               .doc = doc.p,
                               .doc_len = doc.n,
                               .fds = fds,
                               .n_fds = n,
                               .userns = f->maps,
                               .timeout_ms = 60000};
    int r = job_run(&o, &out, e);
    if (r == 0)
        r = json_parse(&unpack_result_json, res, out.p, out.n, f->a, e);
    buf_done(&doc);
    buf_done(&out);
    return r;
}

static int apply_to(struct fixture *f, const char *tar, const char *root, bool merged,
                    struct unpack_result *res, struct err *e)
{
    auto_fd int dir = open_dir(f, root);
    auto_fd int in = openat(f->dir_fd, tar, O_RDONLY | O_CLOEXEC);
    assert_true(dir >= 0 && in >= 0);
    const struct unpack_job job = {.op = "apply", .merged = merged};
    return run(f, &job, (int[]){dir, in}, 2, res, e);
}

static struct stat stat_of(struct fixture *f, const char *path)
{
    struct stat st = {0};
    if (fstatat(f->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        fail_msg("%s is missing", path);
    return st;
}

static bool exists(struct fixture *f, const char *path)
{
    struct stat st;
    return fstatat(f->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_apply_kinds(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct unpack_result res, again;
    sh(f->dir,
       "mkdir -p src/a/b src/empty; echo hi >src/a/b/f; ln -s b/f src/a/l; ln src/a/b/f src/a/h;"
       "mkfifo src/p; mknod src/c c 1 3; chmod 4755 src/a/b/f; chown 12:34 src/a; chmod 1777 "
       "src/empty;"
       "touch -d 2001-02-03T04:05:06Z src/a src/a/b/f; truncate -s 5M src/sparse; echo end "
       ">>src/sparse;"
       "setfattr -n user.x -v y src/a/b/f 2>/dev/null || true;"
       "tar -S --xattrs -C src -cf l.tar .; gzip -k l.tar; zstd -q l.tar 2>/dev/null || cp "
       "l.tar l.tar.zst;"
       "head -c 1000 l.tar >p1; tail -c +1001 l.tar >p2; gzip -c p1 >multi.gz; gzip -c p2 "
       ">>multi.gz");
    assert_ok(apply_to(f, "l.tar", "t1", false, &res, &e));
    assert_int_equal(stat_of(f, "t1/a").st_uid, 12);
    assert_int_equal(stat_of(f, "t1/a").st_mtim.tv_sec, 981173106);
    assert_int_equal(stat_of(f, "t1/a/b/f").st_mode, S_IFREG | 04755);
    assert_int_equal(stat_of(f, "t1/a/h").st_ino, stat_of(f, "t1/a/b/f").st_ino);
    assert_int_equal(stat_of(f, "t1/empty").st_mode, S_IFDIR | 01777);
    assert_int_equal(stat_of(f, "t1/c").st_rdev, makedev(1, 3));
    assert_true(S_ISFIFO(stat_of(f, "t1/p").st_mode));
    assert_int_equal(stat_of(f, "t1/sparse").st_size, 5 * 1024 * 1024 + 4);
    assert_true(stat_of(f, "t1/sparse").st_blocks < 100);
    sh(f->dir, "cmp src/sparse t1/sparse; diff -r --no-dereference src/a t1/a;"
               "echo \"$(sha256sum <l.tar | cut -d' ' -f1)\" >sum");
    struct buf sum = BUF_MAX(100);
    assert_ok(file_read(f->dir_fd, "sum", &sum, &e));
    assert_memory_equal(res.digest + 7, sum.p, 64);
    buf_done(&sum);
    static const char *const others[] = {"l.tar.gz", "l.tar.zst", "multi.gz"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_ok(apply_to(f, others[i],
                           others[i][0] == 'm' ? "t4"
                           : i == 0            ? "t2"
                                               : "t3",
                           false, &again, &e));
        assert_string_equal(again.digest, res.digest);
        assert_int_equal(again.size, res.size);
    }
}

static void test_whiteouts(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct unpack_result res;
    sh(f->dir,
       "mkdir -p s/d s/o s/imp/lied; touch s/d/.wh.gone s/o/.wh..wh..opq s/o/new s/.wh..wh.plnk "
       "s/imp/lied/f;"
       "tar -C s -cf w.tar d o imp/lied/f .wh..wh.plnk;"
       "mkdir -p m/d m/o/sub m/keep; touch m/d/gone m/d/stays m/o/old m/o/sub/x m/keep/k");
    assert_ok(apply_to(f, "w.tar", "t", false, &res, &e));
    struct stat st = stat_of(f, "t/d/gone");
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
    assert_false(exists(f, "t/d/.wh.gone"));
    assert_false(exists(f, "t/.wh..wh.plnk"));
    assert_int_equal(res.opaque.n, 1);
    assert_string_equal(res.opaque.v[0], "o");
    assert_int_equal(res.implied.n, 2);
    assert_string_equal(res.implied.v[0], "imp");
    assert_string_equal(res.implied.v[1], "imp/lied");
    assert_ok(apply_to(f, "w.tar", "m", true, &res, &e));
    assert_false(exists(f, "m/d/gone"));
    assert_true(exists(f, "m/d/stays"));
    assert_true(exists(f, "m/o/new"));
    assert_false(exists(f, "m/o/old"));
    assert_false(exists(f, "m/o/sub"));
    assert_true(exists(f, "m/keep/k"));
}

static void test_needs_merge(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct unpack_result res;
    sh(f->dir,
       "mkdir -p s/usr/lib s/x; ln -s usr/lib s/lib; echo f >s/usr/lib/f; tar -C s -cf a.tar lib;"
       "mkdir s2 s2/lib; echo n >s2/lib/n; tar -C s2 -cf b.tar lib/n; tar -Af a.tar b.tar;"
       "ln s/usr/lib/f s/x/h; tar -C s -cf h.tar usr/lib/f x/h; tar --delete -f h.tar usr/lib/f;"
       "mkdir -p m/usr/lib; echo f >m/usr/lib/f");
    assert_ok(apply_to(f, "a.tar", "t", false, &res, &e));
    assert_true(res.needs_merge);
    assert_ok(apply_to(f, "h.tar", "t2", false, &res, &e));
    assert_true(res.needs_merge);
    assert_ok(apply_to(f, "a.tar", "m", true, &res, &e));
    assert_false(res.needs_merge);
    assert_true(exists(f, "m/usr/lib/n"));
    assert_ok(apply_to(f, "h.tar", "m", true, &res, &e));
    assert_int_equal(stat_of(f, "m/x/h").st_nlink, 2);
}

/* ---- hostile archives ---- */

struct hostile {
    const char *name, *link, *hard;
    int type;
    const char *error; /* NULL: it must do no harm */
};

static void make_tar(struct fixture *f, const char *file, const struct hostile *list, size_t n)
{
    auto_free char *path = mem_printf("%s/%s", f->dir, file);
    struct archive *ar = archive_write_new();
    archive_write_set_format_pax_restricted(ar);
    assert_int_equal(archive_write_open_filename(ar, path), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *ent = archive_entry_new();
        archive_entry_set_pathname(ent, list[i].name);
        archive_entry_set_filetype(ent, (unsigned)list[i].type);
        archive_entry_set_perm(ent, 0644);
        if (list[i].link != NULL)
            archive_entry_set_symlink(ent, list[i].link);
        if (list[i].hard != NULL)
            archive_entry_set_hardlink(ent, list[i].hard);
        bool data = list[i].type == AE_IFREG && list[i].hard == NULL;
        archive_entry_set_size(ent, data ? 5 : 0);
        archive_entry_xattr_add_entry(ent, "trusted.overlay.opaque", "y", 1);
        archive_entry_xattr_add_entry(ent, "user.overlay.redirect", "/", 1);
        assert_int_equal(archive_write_header(ar, ent), ARCHIVE_OK);
        if (data)
            assert_int_equal(archive_write_data(ar, "evil\n", 5), 5);
        archive_entry_free(ent);
    }
    assert_int_equal(archive_write_close(ar), ARCHIVE_OK);
    archive_write_free(ar);
}

static void test_hostile(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct hostile e[2];
        const char *error; /* NULL: applied or asked to merge, harmlessly */
    } cases[] = {
        {{{"../victim", NULL, NULL, AE_IFREG, NULL}}, "outside of the archive's root"},
        {{{"a/../../victim", NULL, NULL, AE_IFREG, NULL}}, "outside of the archive's root"},
        {{{"/victim", NULL, NULL, AE_IFREG, NULL}}, NULL},
        {{{"l", "../", NULL, AE_IFLNK, NULL}, {"l/victim", NULL, NULL, AE_IFREG, NULL}}, NULL},
        {{{"tmp", NULL, NULL, AE_IFDIR, NULL}, {"tmp", "/tmp", NULL, AE_IFLNK, NULL}}, NULL},
        {{{"l", "/", NULL, AE_IFLNK, NULL}, {"l/victim", NULL, NULL, AE_IFREG, NULL}}, NULL},
        {{{"victim", "../victim", NULL, AE_IFLNK, NULL}, {"victim", NULL, NULL, AE_IFREG, NULL}},
         NULL},
        {{{"h", NULL, "../victim", AE_IFREG, NULL}}, "outside of the archive's root"},
        {{{"h", NULL, "/../../victim", AE_IFREG, NULL}}, "outside of the archive's root"},
        {{{"f", NULL, NULL, AE_IFREG, NULL}, {"f/g", NULL, NULL, AE_IFREG, NULL}},
         "not a directory"},
        {{{".wh...", NULL, NULL, AE_IFREG, NULL}}, "whiteout"},
        {{{".wh.", NULL, NULL, AE_IFREG, NULL}}, "whiteout"},
    };
    sh(f->dir, "echo good >victim");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int merged = 0; merged < 2; merged++) {
            struct err e = {0};
            struct unpack_result res = {0};
            auto_free char *root = mem_printf("t%zu-%d", i, merged);
            make_tar(f, "h.tar", cases[i].e, cases[i].e[1].name != NULL ? 2 : 1);
            int r = apply_to(f, "h.tar", root, merged == 1, &res, &e);
            if (cases[i].error == NULL ? r < 0 : r == 0 || strstr(e.msg, cases[i].error) == NULL)
                fail_msg("case %zu merged %d: %d %s", i, merged, r, e.msg);
        }
    }
    struct buf b = BUF_MAX(100);
    struct err e = {0};
    assert_ok(file_read(f->dir_fd, "victim", &b, &e));
    assert_string_equal(b.p, "good\n");
    buf_done(&b);
    /* absolute means below the root; attributes of overlay never come from a layer */
    auto_free char *inside = mem_printf("%s/t2-0/victim", f->dir);
    char value[8];
    assert_true(getxattr(inside, "trusted.overlay.opaque", value, sizeof(value)) < 0);
    assert_true(getxattr(inside, "user.overlay.redirect", value, sizeof(value)) < 0);
    assert_false(exists(f, "../victim"));
}

static void test_damaged(void **state)
{
    struct fixture *f = *state;
    struct unpack_result res;
    struct err e = {0};
    sh(f->dir,
       "mkdir s; head -c 100000 /dev/urandom >s/f; tar -C s -cf l.tar f; gzip -k l.tar;"
       "head -c 50000 l.tar >cut.tar; head -c 50000 l.tar.gz >cut.gz; (head -c 2000 l.tar.gz; "
       "head -c 60000 "
       "/dev/urandom) >bad.gz; head -c 5000 /dev/urandom >noise; : >empty;"
       "mkdir many; (cd many; seq 1 50 | xargs touch); tar -C many -cf many.tar .");
    assert_err(apply_to(f, "cut.tar", "t1", false, &res, &e), ERR_INVALID, "invalid tar");
    assert_err(apply_to(f, "cut.gz", "t2", false, &res, &e), ERR_INVALID, "gzip: unexpected EOF");
    assert_err(apply_to(f, "bad.gz", "t3", false, &res, &e), ERR_INVALID, "gzip: invalid data");
    assert_err(apply_to(f, "noise", "t4", false, &res, &e), ERR_INVALID, "invalid tar");
    assert_ok(apply_to(f, "empty", "t5", false, &res, &e));
    auto_fd int dir = open_dir(f, "t6");
    auto_fd int in = openat(f->dir_fd, "many.tar", O_RDONLY | O_CLOEXEC);
    const struct unpack_job few = {.op = "apply", .max_entries = 20},
                            small = {.op = "apply", .max_bytes = 4096};
    assert_err(run(f, &few, (int[]){dir, in}, 2, &res, &e), ERR_TOO_LARGE, "more than 20 entries");
    auto_fd int in2 = openat(f->dir_fd, "l.tar.gz", O_RDONLY | O_CLOEXEC);
    assert_err(run(f, &small, (int[]){dir, in2}, 2, &res, &e), ERR_TOO_LARGE,
               "larger than 4096 bytes");
    sh(f->dir, "truncate -s 1T hole; tar -S -cf sparse.tar hole; rm hole");
    assert_err(apply_to(f, "sparse.tar", "t7", false, &res, &e), ERR_TOO_LARGE,
               "\"hole\" is too large");
    const struct unpack_job odd = {.op = "explode"};
    assert_err(run(f, &odd, NULL, 0, &res, &e), ERR_INVALID, "unknown operation \"explode\"");
}

/* An answer that is known early does not wait for bytes that nobody sends. */
static void test_early_answer(void **state)
{
    struct fixture *f = *state;
    const struct hostile bad = {"../victim", NULL, NULL, AE_IFREG, NULL};
    struct unpack_result res = {0};
    struct err e = {0};
    auto_fd int dir = open_dir(f, "t"), from = -1, to = -1;
    auto_buf struct buf tar = BUF_MAX(1 << 20), doc = BUF_MAX(1 << 20), out = BUF_MAX(1 << 20);
    make_tar(f, "h.tar", &bad, 1);
    sh(f->dir, "truncate -s 8192 h.tar");
    assert_ok(file_read(f->dir_fd, "h.tar", &tar, &e));
    /* a pipe that stays open */
    assert_int_equal(fd_pipe(&from, &to, 0), 0);
    assert_int_equal(fd_write_all(to, tar.p, 4096), 0);
    const struct unpack_job plain = {.op = "apply"}, follow = {.op = "apply", .follow = true};
    assert_err(run(f, &plain, (int[]){dir, from}, 2, &res, &e), ERR_INVALID, "outside");
    /* a file of which more was announced than ever comes */
    auto_fd int in = openat(f->dir_fd, "h.tar", O_RDONLY | O_CLOEXEC);
    auto_job struct job j = JOB_NONE;
    json_write(&unpack_job_json, &follow, &doc);
    const struct job_opts o = {.program = f->unpack,
                               .doc = doc.p,
                               .doc_len = doc.n,
                               .fds = (int[]){dir, in},
                               .n_fds = 2,
                               .timeout_ms = 60000};
    assert_ok(job_start(&j, &o, &e));
    for (int i = 0; i < 50; i++) { /* most of them are never read */
        const struct unpack_notice notice = {.size = 4096 + i};
        buf_reset(&out);
        json_write(&unpack_notice_json, &notice, &out);
        job_notify(&j, out.p, out.n, true);
    }
    buf_reset(&out);
    assert_int_equal(fd_wait_readable(j.proc.pidfd, -1), 0); /* it has ended */
    assert_err(job_finish(&j, &out, &e), ERR_INVALID, "outside");
}

/* Files of all sizes around what is filled beside the reading, replaced and linked right behind. */
static void test_many_files(void **state)
{
    struct fixture *f = *state;
    struct unpack_result res = {0};
    struct err e = {0};
    sh(f->dir,
       "umask 022; mkdir s again; cd s;"
       "for n in 0 1 511 512 70000 524288 1048575 1048576 1048577 3000000; do"
       "  head -c $n /dev/zero | tr '\\0' x >size$n; ln size$n z$n; done;"
       "for n in $(seq 300); do echo $n >n$n; ln n$n link$n; done;"
       "chmod 4755 n1; chmod 2711 n2; chown 12:34 n1 n3; touch -d @1000000001.5 n4;"
       "echo newer >../again/n5; echo newer >../again/size70000;"
       "tar --format=pax --sort=name -cf ../a.tar .; tar --format=pax -rf ../a.tar -C ../again "
       "n5 size70000");
    assert_ok(apply_to(f, "a.tar", "t", false, &res, &e));
    assert_int_equal(res.entries, 623);
    sh(f->dir, "mkdir expected; tar -C expected -xpf a.tar;"
               "list() { (cd $1; find . -printf '%P %y %m %U:%G %s %n %T@\\n' | sort); };"
               "list expected >1; list t >2; diff 1 2; diff -r expected t");
}

/* ---- packing and copying ---- */

static void test_pack_and_diff(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct unpack_result res;
    sh(f->dir,
       "mkdir -p s/d/e; echo x >s/d/f; ln s/d/f s/d/h; ln -s f s/d/l; mknod s/d/gone c 0 0; "
       "chown 5:6 s/d/e");
    auto_fd int root = open_dir(f, "s");
    auto_fd int out = openat(f->dir_fd, "o.tgz", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    char *opaque[] = {(char *)(uintptr_t) "d/e"};
    struct unpack_job job = {.op = "diff", .compression = "gzip", .opaque = {.v = opaque, .n = 1}};
    assert_ok(run(f, &job, (int[]){root, out}, 2, &res, &e));
    sh(f->dir,
       "test \"$(tar -tzf o.tgz | tr '\\n' ' ')\" = 'd/ d/e/ d/e/.wh..wh..opq d/f d/.wh.gone "
       "d/h d/l ';"
       "mkdir x; tar -C x -xzf o.tgz; test \"$(stat -c %h x/d/f)\" = 2; gzip -dc o.tgz | "
       "sha256sum | cut -c1-64 >sum");
    struct buf sum = BUF_MAX(100);
    assert_ok(file_read(f->dir_fd, "sum", &sum, &e));
    assert_memory_equal(res.digest + 7, sum.p, 64);
    buf_done(&sum);
    struct unpack_result back;
    assert_ok(apply_to(f, "o.tgz", "t", false, &back, &e));
    assert_string_equal(back.digest, res.digest);
    assert_int_equal(back.opaque.n, 1);
}

static void cp_out(struct fixture *f, const char *path, const char *file, struct err *e, int want)
{
    struct unpack_result res;
    auto_fd int root = open_dir(f, "c");
    auto_fd int out = openat(f->dir_fd, file, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    const struct unpack_job job = {.op = "cp-out", .path = path};
    assert_int_equal(run(f, &job, (int[]){root, out}, 2, &res, e), want);
}

static void test_copy(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct unpack_result res;
    sh(f->dir,
       "mkdir -p c/etc/d c/var/run; echo x >c/etc/d/f; ln -s /etc c/link; ln -s d/f c/etc/rel; "
       "ln -s ../../.. c/var/up;"
       "mkdir in; echo new >in/n; mkdir in/sub; tar -C in -cf in.tar .; mkdir in2; echo y "
       ">in2/d; tar -C in2 -cf in2.tar d");
    cp_out(f, "/link/d", "o1", &e, 0); /* parents are followed inside the root */
    cp_out(f, "etc/d/.", "o2", &e, 0);
    cp_out(f, "/link", "o3", &e, 0); /* the last part is not */
    cp_out(f, "/var/up/../../etc/d/f", "o4", &e, 0);
    sh(f->dir,
       "test \"$(tar -tf o1 | tr '\\n' ' ')\" = 'd/ d/f '; test \"$(tar -tf o2 | tr '\\n' ' "
       "')\" = './ ./f ';"
       "test \"$(tar -tvf o3 | cut -c1)\" = l; test \"$(tar -xOf o4)\" = x");
    cp_out(f, "/nope", "o5", &e, -1);
    assert_int_equal(e.kind, ERR_NOT_FOUND);

    auto_fd int root = open_dir(f, "c");
    struct unpack_job job = {.op = "cp-in", .path = "/link/d"};
    auto_fd int in = openat(f->dir_fd, "in.tar", O_RDONLY | O_CLOEXEC);
    assert_ok(run(f, &job, (int[]){root, in}, 2, &res, &e));
    assert_true(exists(f, "c/etc/d/n"));
    assert_true(exists(f, "c/etc/d/sub"));
    job.path = "/etc";
    job.no_overwrite_dir_non_dir = true;
    auto_fd int in2 = openat(f->dir_fd, "in2.tar", O_RDONLY | O_CLOEXEC);
    assert_err(run(f, &job, (int[]){root, in2}, 2, &res, &e), ERR_INVALID,
               "cannot overwrite directory \"d\" with non-directory");
    job.path = "/etc/d/f";
    assert_err(run(f, &job, (int[]){root, in2}, 2, &res, &e), ERR_INVALID,
               "extraction point is not a directory");
    job.path = "/no";
    assert_err(run(f, &job, (int[]){root, in2}, 2, &res, &e), ERR_NOT_FOUND, "no");
}

static void test_stat(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct path_stat st;
    sh(f->dir, "mkdir -p c/etc; ln -s ../x c/etc/l; chmod 1777 c/etc");
    static const struct {
        const char *path, *name, *target;
        uint64_t mode;
    } cases[] = {{"/etc", "etc", "", 1ULL << 31 | 1ULL << 20 | 0777},
                 {"/etc/l", "l", "/x", 1ULL << 27 | 0777},
                 {"/etc/.", ".", "", 1ULL << 31 | 1ULL << 20 | 0777},
                 {"/", "/", "", 1ULL << 31 | 0755}};
    auto_fd int root = open_dir(f, "c");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf doc = BUF_MAX(1 << 16), out = BUF_MAX(1 << 16);
        const struct unpack_job job = {.op = "stat", .path = cases[i].path};
        json_write(&unpack_job_json, &job, &doc);
        const struct job_opts o = {
            .program = f->unpack, .doc = doc.p, .doc_len = doc.n, .fds = &root, .n_fds = 1};
        assert_ok(job_run(&o, &out, &e));
        assert_ok(json_parse(&path_stat_json, &st, out.p, out.n, f->a, &e));
        assert_string_equal(st.name, cases[i].name);
        assert_string_equal(st.link_target, cases[i].target);
        assert_int_equal(st.mode, cases[i].mode);
        buf_done(&doc);
        buf_done(&out);
    }
}

/* In a user namespace the tar has the ids inside, and the files those outside. */
static void test_userns(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct unpack_result res;
    const struct userns_maps maps = {"0:100000:1000", "0:200000:1000"};
    if (geteuid() != 0)
        skip();
    sh(f->dir, "mkdir src; echo hi >src/a; touch src/odd; chown 7:8 src/a; chown 1000:0 src/odd;"
               "for name in a odd; do tar --numeric-owner -C src -cf $name.tar $name; done;"
               "mkdir root; chown 100000:200000 root");
    auto_fd int root = open_dir(f, "root");
    auto_fd int in = openat(f->dir_fd, "a.tar", O_RDONLY | O_CLOEXEC);
    auto_fd int odd = openat(f->dir_fd, "odd.tar", O_RDONLY | O_CLOEXEC);
    auto_fd int out = openat(f->dir_fd, "out.tar", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct unpack_job put = {.op = "cp-in", .path = "/", .userns = true},
                      diff = {.op = "diff", .userns = true};
    f->maps = &maps;
    assert_ok(run(f, &put, (int[]){root, in}, 2, &res, &e));
    assert_int_equal(stat_of(f, "root/a").st_uid, 100007);
    assert_int_equal(stat_of(f, "root/a").st_gid, 200008);
    assert_ok(run(f, &diff, (int[]){root, out}, 2, &res, &e));
    sh(f->dir, "tar --numeric-owner -tvf out.tar | grep -q '^-.* 7/8 .* a$'");
    /* an id that the mapping does not have */
    assert_err(run(f, &put, (int[]){root, odd}, 2, &res, &e), ERR_INTERNAL,
               "set owner: invalid argument");
    put.userns = false; /* against the parent's word */
    assert_err(run(f, &put, (int[]){root, in}, 2, &res, &e), ERR_INTERNAL,
               "did not enter a user namespace");
}

/* A file capability counts for root of one user namespace on disk, and for any root in an archive.
 */
static void test_userns_capabilities(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct unpack_result res;
    const struct userns_maps maps = {"0:100000:1000", "0:100000:1000"};
    const uint32_t mapped[] = {
        VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE, 1 << CAP_NET_RAW, 0, 0, 0, 100000};
    uint32_t got[6] = {0};
    if (geteuid() != 0)
        skip();
    sh(f->dir, "mkdir root back again; touch root/f; chown -R 100000:100000 root again");
    auto_fd int file = openat(f->dir_fd, "root/f", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fsetxattr(file, XATTR_NAME_CAPS, mapped, sizeof(mapped), 0), 0);
    auto_fd int root = open_dir(f, "root"), again = open_dir(f, "again");
    auto_fd int out = openat(f->dir_fd, "out.tar", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const struct unpack_job diff = {.op = "diff", .userns = true},
                            put = {.op = "cp-in", .path = "/", .userns = true};
    f->maps = &maps;
    assert_ok(run(f, &diff, (int[]){root, out}, 2, &res, &e));
    sh(f->dir, "tar --xattrs --xattrs-include='*' -C back -xf out.tar");
    auto_fd int back = openat(f->dir_fd, "back/f", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fgetxattr(back, XATTR_NAME_CAPS, got, sizeof(got)), XATTR_CAPS_SZ_2);
    assert_int_equal(got[0], VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE);
    assert_int_equal(got[1], mapped[1]);
    assert_int_equal(lseek(out, 0, SEEK_SET), 0);
    assert_ok(run(f, &put, (int[]){again, out}, 2, &res, &e));
    auto_fd int put_in = openat(f->dir_fd, "again/f", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fgetxattr(put_in, XATTR_NAME_CAPS, got, sizeof(got)), XATTR_CAPS_SZ_3);
    assert_memory_equal(got, mapped, sizeof(mapped));
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_apply_kinds),  CASE(test_whiteouts),  CASE(test_needs_merge),
        CASE(test_hostile),      CASE(test_damaged),    CASE(test_pack_and_diff),
        CASE(test_early_answer), CASE(test_many_files), CASE(test_copy),
        CASE(test_stat),         CASE(test_userns),     CASE(test_userns_capabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
