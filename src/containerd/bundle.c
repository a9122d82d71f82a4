/* Bundles: see bundle.h. */
#include "containerd/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "types/oci_runtime.h"

#define FILE_MAX ((size_t)64 << 10)
#define UNMOUNTS_MAX 32

const char *bundle_path(const struct ctd *d, const char *ns, const char *id, struct arena *a)
{
    return arena_printf(a, "%s/" TASK_DIR "/%s/%s", d->state, ns, id);
}

/* What is looked at in a spec. */
#define BUNDLE_LINUX(T, F) F(T, list, gid_mappings, "gidMappings", 0, oci_id_mapping)
JSON_TYPE(bundle_linux, BUNDLE_LINUX)
JSON_DESC(bundle_linux, BUNDLE_LINUX)

#define BUNDLE_SPEC(T, F) F(T, val, linux_, "linux", 0, bundle_linux)
JSON_TYPE(bundle_spec, BUNDLE_SPEC)
JSON_DESC(bundle_spec, BUNDLE_SPEC)

/* Root of a user namespace must get through to its root file system. */
static int let_root_in(int dir, const void *spec, size_t n, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct bundle_spec s;
    struct err unread; /* the runtime says it better */
    if (json_parse(&bundle_spec_json, &s, spec, n, a, &unread) < 0)
        return 0;
    vec_each(m, &s.linux_.gid_mappings)
        if (m->container_id == 0 &&
            (fchown(dir, (uid_t)-1, (gid_t)m->host_id) < 0 || fchmod(dir, 0710) < 0))
            return err_sys(e, "set the group of the bundle");
    return 0;
}

static int fill(int dir, const char *work, const void *spec, size_t n, struct err *e)
{
    auto_fd int config = openat(dir, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (config < 0)
        return err_sys(e, "create config.json");
    int r = fd_write_all(config, spec, n);
    if (r < 0)
        return err_neg(e, r, "write config.json");
    if (mkdirat(dir, "rootfs", 0711) < 0)
        return err_sys(e, "mkdir rootfs");
    if (mkfifoat(dir, "log", 0700) < 0)
        return err_sys(e, "mkfifo log");
    TRY(path_mkdirs(work, 0711, e));
    TRY(let_root_in(dir, spec, n, e));
    return symlinkat(work, dir, "work") < 0 ? err_sys(e, "link work") : 0;
}

int bundle_create(const struct ctd *d, const char *ns, const char *id, const void *spec, size_t n,
                  struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct err ignored;
    const char *path = bundle_path(d, ns, id, a);
    const char *work = arena_printf(a, "%s/" TASK_DIR "/%s/%s", d->root, ns, id);
    int made = mkdir(path, 0700);
    if (made < 0 && errno == ENOENT) {
        TRY(path_mkdirs(arena_printf(a, "%s/" TASK_DIR "/%s", d->state, ns), 0711, e));
        made = mkdir(path, 0700);
    }
    if (made < 0 && errno == EEXIST)
        return err_set(e, ERR_EXISTS, "bundle %s: already exists", path);
    if (made < 0)
        return err_sys(e, "mkdir %s", path);
    auto_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = dir < 0 ? err_sys(e, "open %s", path) : fill(dir, work, spec, n, e);
    if (r < 0)
        (void)bundle_remove(d, ns, id, &ignored); /* the first error is the one to tell */
    return r;
}

int bundle_write(const char *bundle, const char *name, const char *text, struct err *e)
{
    auto_free char *path = mem_printf("%s/%s", bundle, name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
    return r < 0 ? err_neg(e, r, "write %s", path) : 0;
}

const char *bundle_read(const char *bundle, const char *name, struct arena *a)
{
    auto_buf struct buf text = BUF_MAX(FILE_MAX);
    struct err ignored;
    if (file_read(AT_FDCWD, arena_printf(a, "%s/%s", bundle, name), &text, &ignored) < 0)
        return NULL;
    return arena_strndup(a, buf_cstr(&text), text.n);
}

static int remove_below(const char *parent, const char *name, struct err *e)
{
    auto_fd int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? 0 : err_sys(e, "open %s", parent);
    if (path_remove_tree(dir, name, e) < 0 && e->kind != ERR_NOT_FOUND)
        return -1;
    return 0;
}

int bundle_remove(const struct ctd *d, const char *ns, const char *id, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const char *rootfs = arena_printf(a, "%s/rootfs", bundle_path(d, ns, id, a));
    /* the shim has done it, unless it died; nothing is removed through a mount */
    (void)umount2(arena_printf(a, "%s/lower", bundle_path(d, ns, id, a)),
                  MNT_DETACH | UMOUNT_NOFOLLOW);
    for (int i = 0; i < UNMOUNTS_MAX && umount2(rootfs, MNT_DETACH | UMOUNT_NOFOLLOW) == 0; i++)
        continue;
    TRY(remove_below(arena_printf(a, "%s/" TASK_DIR "/%s", d->root, ns), id, e));
    return remove_below(arena_printf(a, "%s/" TASK_DIR "/%s", d->state, ns), id, e);
}
