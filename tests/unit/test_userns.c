/* User namespaces for containers: mappings as text, subordinate ids, layers in another place, and
 * namespaces that hull-sandbox makes. */
#include "test.h"
#include "netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "daemon/remap.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/overlay.h"
#include "sys/path.h"
#include "sys/userns.h"

static bool own_ns;
static struct err e;

static void ids_are_found_outside(void **state)
{
    const char *two = "0:100000:65536,65536:300000:10";
    const struct userns_maps root = {"0:1000:1", "0:100000:65536"}, none = {"1:1000:1", "0:5:1"};
    uint32_t id;
    uid_t uid;
    gid_t gid;

    (void)state;
    assert_ok(userns_to_host(two, 0, &id, &e));
    assert_int_equal(id, 100000);
    assert_ok(userns_to_host(two, 65545, &id, &e));
    assert_int_equal(id, 300009);
    assert_err(userns_to_host(two, 65546, &id, &e), ERR_INVALID,
               "Container ID 65546 cannot be mapped to a host ID");
    assert_ok(userns_root(&root, &uid, &gid, &e));
    assert_int_equal(uid, 1000);
    assert_int_equal(gid, 100000);
    assert_err(userns_root(&none, &uid, &gid, &e), ERR_INVALID, "Container ID 0 cannot be mapped");
    static const char *const wrong[] = {
        "x", "0:1", "0:1:0", "0:1:2:3", "-1:1:1", "0:4294967295:2", "0 1 2", "0:1:2,", ",0:1:2"};
    for (size_t i = 0; i < ARRAY_LEN(wrong) - 2; i++)
        assert_err(userns_to_host(wrong[i], 4000000000, &id, &e), ERR_INVALID,
                   "invalid id mapping");
    assert_err(userns_to_host(wrong[ARRAY_LEN(wrong) - 1], 4000000000, &id, &e), ERR_INVALID,
               "invalid id mapping \"\"");
}

static void subordinate_ids_are_read(void **state)
{
    auto_arena struct arena *a = arena_new();
    const char *file = "one:300000:65536\ntwo:100000:10\n\nodd\none:xx:5\none:200000:5\n1001:7:1\n";

    (void)state;
    assert_string_equal(subid_ranges(file, "one", 1000, a), "0:200000:5,5:300000:65536");
    assert_string_equal(subid_ranges(file, "two", 1001, a), "0:7:1,1:100000:10");
    assert_string_equal(subid_ranges(file, "three", 1003, a), "");
    assert_int_equal(subid_free(""), 100000);
    assert_int_equal(subid_free("a:100000:65536\n"), 165536);
    assert_int_equal(subid_free("b:165536:65536\na:100000:65536\n"), 231072);
    assert_int_equal(subid_free("a:150000:10\n"), 150010); /* a gap that is too small */
    assert_int_equal(subid_free("a:500000:65536\n"), 100000);
}

static void users_that_cannot_be_are_named(void **state)
{
    auto_arena struct arena *a = arena_new();
    struct userns_maps m;
    static const struct {
        const char *spec, *text;
    } cases[] = {
        {"a:b:c", "Invalid user/group specification in --userns-remap: \"a:b:c\""},
        {"no-such-user",
         "Error during uid lookup for \"no-such-user\": getent unable to find entry "
         "\"no-such-user\" in passwd database"},
        {"2147480000", "Uid 2147480000 has no entry in /etc/passwd: getent unable to find entry "
                       "\"2147480000\" in passwd database"},
        {"root:no-such-group",
         "Error during groupname lookup for \"no-such-group\": getent unable to "
         "find entry \"no-such-group\" in group database"},
        {"root:2147480000",
         "Gid 2147480000 has no entry in /etc/passwd: getent unable to find entry "
         "\"2147480000\" in group database"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_err(remap_resolve(cases[i].spec, a, &m, &e), ERR_INVALID, cases[i].text);
    assert_ok(remap_resolve(NULL, a, &m, &e));
    assert_null(m.uid);
    assert_ok(remap_resolve("", a, &m, &e));
    assert_null(m.uid);
}

static void layers_move(void **state)
{
    static const struct {
        const char *lower, *folder, *moved;
    } cases[] = {
        {"/d/s/12/fs:/d/s/1/fs", "/d/s/", "/p/12/fs:/p/1/fs"}, /* not /d/s/1 */
        {"/d/s/1/fs", "/d/s/1/", "/p/fs"},
        {"/a/x:/b/x", "/", "/p/a/x:/p/b/x"},
        {"", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_buf struct buf out = BUF_MAX(256);
        struct str lower = str_of(cases[i].lower), folder = overlay_folder(lower);

        assert_true(str_eq(folder, cases[i].folder));
        overlay_rebase(lower, folder, "/p/", &out);
        assert_string_equal(buf_cstr(&out), cases[i].moved);
    }
}

static const char *sandbox_program(struct arena *a)
{
    return arena_printf(a, "%s/src/net/hull-sandbox", getenv("HULL_BUILD_DIR"));
}

static ino_t inode(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

static ino_t owner_of(int ns_fd)
{
    auto_fd int owner = ioctl(ns_fd, NS_GET_USERNS);

    assert_true(owner >= 0);
    return inode(owner);
}

/* The network namespace belongs to the user namespace, which others can join; ours stays ours. */
static void namespaces_are_made_together(void **state)
{
    auto_arena struct arena *a = arena_new();
    struct userns_rq rq = {
        .helper = sandbox_program(a), .maps = {"0:100000:65536", "0:200000:65536"}, .net = true};
    auto_netns struct netns one = NETNS_NONE, two = NETNS_NONE;
    auto_userns struct userns plain = USERNS_NONE;
    struct nl_link lo;

    (void)state;
    if (!own_ns)
        skip();
    assert_ok(netns_new_in(&rq, &one, &e));
    assert_int_equal(owner_of(one.fd), inode(one.user_fd));
    assert_ok(nl_link_get(one.nl, "lo", &lo, &e));
    rq.join = arena_printf(a, "/proc/self/fd/%d", one.user_fd);
    assert_ok(netns_new_in(&rq, &two, &e));
    assert_int_equal(owner_of(two.fd), inode(one.user_fd));
    assert_int_equal(inode(two.user_fd), inode(one.user_fd));
    assert_int_not_equal(inode(two.fd), inode(one.fd));
    rq = (struct userns_rq){.helper = rq.helper, .maps = rq.maps};
    assert_ok(userns_make(&rq, &plain, &e));
    assert_int_equal(plain.net_fd, -1);
    assert_int_not_equal(inode(plain.user_fd), inode(one.user_fd));
    rq.maps.uid = "0:100000:1,0:200000:1"; /* the kernel takes no id twice */
    assert_err(userns_make(&rq, &plain, &e), ERR_INTERNAL,
               "uid_map of a user namespace (0:100000:1,");
}

/* Layers on a file system that knows no id-mapped mounts: the reason is told, and nothing stays. */
static void what_cannot_be_mapped_is_said(void **state)
{
    auto_arena struct arena *a = arena_new();
    const struct userns_rq rq = {.helper = sandbox_program(a), .maps = {"0:1000:1", "0:1000:1"}};
    auto_userns struct userns u = USERNS_NONE;
    char place[] = "/tmp/hull-test-userns-XXXXXX";

    (void)state;
    if (!own_ns)
        skip();
    assert_ok(userns_make(&rq, &u, &e));
    assert_non_null(mkdtemp(place));
    assert_err(overlay_show_mapped("/proc/", place, u.user_fd, true, &e), ERR_UNIMPLEMENTED,
               "the file system of /proc/ cannot be mounted id-mapped on this kernel");
    assert_int_equal(rmdir(place), 0); /* nothing is mounted there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_found_outside),
        cmocka_unit_test(subordinate_ids_are_read),
        cmocka_unit_test(users_that_cannot_be_are_named),
        cmocka_unit_test(layers_move),
        cmocka_unit_test(namespaces_are_made_together),
        cmocka_unit_test(what_cannot_be_mapped_is_said),
    };

    own_ns = in_own_netns();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
