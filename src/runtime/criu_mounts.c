/* Mounts from outside: see criu_mounts.h. */
#include "runtime/criu_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/devices.h"
#include "runtime/rootfs.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/mounts.h"
#include "sys/path.h"

#define NULL_DEVICE "/dev/null"

static bool is_type(const struct oci_mount *m, const char *type)
{
    return m->type != NULL && strcmp(m->type, type) == 0;
}

static bool is_bind(const struct oci_mount *m)
{
    return strv_has(&m->options, "bind") || strv_has(&m->options, "rbind");
}

/* ---- where ---------------------------------------------------------------------------------- */

/* The path of an open file below the root that is open as well. NULL when it cannot be told. */
static const char *path_below(const struct criu_mounts *m, int root, int fd)
{
    char link[64], path[2][4096];
    int fds[2] = {root, fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fds[i]);
        ssize_t n = readlink(link, path[i], sizeof(path[i]) - 1);
        if (n < 0)
            return NULL;
        path[i][n] = '\0';
    }
    size_t n = strcmp(path[0], "/") == 0 ? 0 : strlen(path[0]);
    if (strncmp(path[1], path[0], n) != 0 || (path[1][n] != '/' && path[1][n] != '\0'))
        return NULL;
    return arena_strdup(m->a, path[1] + n);
}

/* The place in the container that a destination means: links of the image are followed, what is not
 * there yet (it may lie in another mount) stays as it is named. */
static const char *place_of(const struct criu_mounts *m, int root, const char *dest)
{
    dest = rootfs_strip(m->rootfs, dest);
    if (*dest != '/')
        dest = arena_printf(m->a, "/%s", dest);
    for (size_t n = strlen(dest); n > 1; n--) {
        if (dest[n] != '\0' && dest[n] != '/')
            continue;
        const char *head = arena_strndup(m->a, dest, n);
        auto_fd int fd =
            path_openat2(root, head, O_PATH, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
        const char *real = fd < 0 ? NULL : path_below(m, root, fd);
        if (real != NULL)
            return arena_printf(m->a, "%s%s", real, dest + n);
    }
    return dest;
}

/* ---- which ---------------------------------------------------------------------------------- */

/* The directory of the container's cgroup in a hierarchy, or, when it has none of its own, ours. */
static const char *cgroup_source(const struct criu_mounts *m, const struct cgroup_hier *h)
{
    struct str rest = str_of(h->controllers), first = str_cut(&rest, ',');
    const char *path = cgroup_path(m->cgroup, arena_strndup(m->a, first.p, first.n));
    return path != NULL ? path : arena_printf(m->a, "%s%s", h->mount, h->own);
}

/* Without a namespace the container's part of the tree is bound; else it is a mount of its own. */
static void add_cgroups(const struct criu_mounts *m, const char *place, struct criu_pairs *out)
{
    if (spec_ns(m->spec, "cgroup") != NULL || m->host->hiers.n == 0)
        return;
    if (m->host->mode == CGROUP_V2) {
        struct criu_pair p = {place, cgroup_source(m, &m->host->hiers.v[0])};
        vec_push_in(m->a, out, p);
        return;
    }
    vec_each(h, &m->host->hiers) {
        if (*h->controllers == '\0')
            continue;
        struct criu_pair p = {arena_printf(m->a, "%s/%s", place, h->base), cgroup_source(m, h)};
        vec_push_in(m->a, out, p);
    }
}

/* In a user namespace device nodes are binds of the host's. A name that is no mount does no harm.
 */
static void add_devices(const struct criu_mounts *m, struct criu_pairs *out)
{
    vec_each(d, &m->spec->linux_->devices) {
        struct criu_pair p = {d->path, d->path};
        if (d->path != NULL)
            vec_push_in(m->a, out, p);
    }
    for (size_t i = 0; i < DEVICE_DEFAULTS; i++) {
        struct criu_pair p = {device_defaults[i].path, device_defaults[i].path};
        vec_push_in(m->a, out, p);
    }
}

/* Plain: criu looks for the mount that a source lies on by taking names off its end. */
static const char *source_of(const struct criu_mounts *m, const char *source)
{
    if (*source != '/')
        source = arena_printf(m->a, "%s/%s", m->bundle, source);
    auto_free char *real = realpath(source, NULL);
    return real != NULL ? arena_strdup(m->a, real) : source;
}

static int add_mounts(const struct criu_mounts *m, struct criu_pairs *out, struct err *e)
{
    auto_fd int root = open(m->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_sys(e, "open rootfs %s", m->rootfs);
    vec_each(mount, &m->spec->mounts) {
        if (mount->destination == NULL)
            continue;
        if (is_type(mount, "cgroup") && !is_bind(mount)) {
            add_cgroups(m, place_of(m, root, mount->destination), out);
        } else if (is_bind(mount) && mount->source != NULL) {
            struct criu_pair p = {place_of(m, root, mount->destination),
                                  source_of(m, mount->source)};
            vec_push_in(m->a, out, p);
        }
    }
    add_devices(m, out);
    return 0;
}

/* Masked directories are covered by a file system of the container's own; masked files by its null
 * device, which criu sees as a mount of one file. */
static int add_masks(const struct criu_mounts *m, pid_t init, struct criu_pairs *out, struct err *e)
{
    const struct strv *masked = &m->spec->linux_->masked_paths;
    const char *root = arena_printf(m->a, "/proc/%d/root", (int)init);
    auto_fd int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "open %s", root);
    for (size_t i = 0; i < masked->n; i++) {
        struct stat st;
        struct criu_pair p = {masked->v[i], NULL_DEVICE};
        auto_fd int at =
            path_openat2(fd, p.key, O_PATH, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
        if (at >= 0 && fstat(at, &st) == 0 && !S_ISDIR(st.st_mode))
            vec_push_in(m->a, out, p);
    }
    return 0;
}

int criu_mounts_dump(const struct criu_mounts *m, pid_t init, struct criu_pairs *out, struct err *e)
{
    TRY(add_mounts(m, out, e));
    vec_each(p, out)
        p->val = p->key;
    return add_masks(m, init, out, e);
}

int criu_mounts_restore(const struct criu_mounts *m, struct criu_pairs *out, struct err *e)
{
    struct criu_pair null = {NULL_DEVICE, NULL_DEVICE};
    TRY(add_mounts(m, out, e));
    if (m->spec->linux_->masked_paths.n > 0)
        vec_push_in(m->a, out, null);
    return 0;
}

/* ---- the places ----------------------------------------------------------------------------- */

/* What criu will fill itself: a tmpfs comes with all that was in it. */
static bool on_tmpfs(const struct oci_spec *spec, const char *dest)
{
    vec_each(m, &spec->mounts) {
        size_t n = m->destination != NULL ? strlen(m->destination) : 0;
        if (is_type(m, "tmpfs") && n > 0 && strncmp(dest, m->destination, n) == 0 && dest[n] == '/')
            return true;
    }
    return false;
}

/* Binds are mounted, since the places of others may lie in them. */
static int make_place(struct rootfs *r, const struct oci_mount *m, struct err *e)
{
    if (is_bind(m))
        return rootfs_mount(r, m, e);
    auto_fd int fd = rootfs_target(r, m->destination, true, e);
    return fd < 0 ? -1 : 0;
}

static int make_places(struct rootfs *r, struct err *e)
{
    vec_each(m, &r->spec->mounts) {
        const char *dest = m->destination;
        if (dest == NULL || is_type(m, "cgroup") || on_tmpfs(r->spec, dest) ||
            strv_has(&m->options, "remount"))
            continue;
        if (make_place(r, m, e) < 0)
            return err_wrap(e, "create criu restore mountpoint for %s mount", dest);
    }
    return 0;
}

static int show(const char *rootfs, const char *at, struct err *e)
{
    return mount(rootfs, at, "", MS_BIND | MS_REC, "") < 0 ? err_sys(e, "bind rootfs %s", rootfs)
                                                           : 0;
}

/* Nothing of these mounts stays: whose ids they map does not matter. */
static int clone_plain(void *arg, const struct rootfs_clone_order *order)
{
    (void)arg;
    return mount_clone(AT_FDCWD, order->path, order->recursive);
}

int criu_mounts_prepare(const struct criu_mounts *m, const char *at, struct err *e)
{
    struct oci_spec spec = *m->spec;
    spec.mounts.v = arena_dup(m->a, spec.mounts.v, spec.mounts.n * sizeof(*spec.mounts.v));
    vec_each(own, &spec.mounts)
        if (own->destination != NULL)
            own->destination = rootfs_strip(m->rootfs, own->destination);
    CLEANUP(rootfs_done)
    struct rootfs r = {
        .spec = &spec,
        .path = at,
        .bundle = m->bundle,
        .host = m->host,
        .cgroup = m->cgroup,
        .a = m->a,
        .clone_outside = clone_plain,
        .fd = -1,
        .proc_fd = -1,
    };
    TRY(rootfs_open(&r, e));
    TRY(show(m->rootfs, at, e));
    r.fd = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r.fd < 0)
        return err_sys(e, "open rootfs %s", at);
    TRY(make_places(&r, e));
    /* criu wants the bare root, as a mount of its own */
    if (umount2(at, MNT_DETACH) < 0)
        return err_sys(e, "unmount %s", at);
    return show(m->rootfs, at, e);
}
