/*
 * Bind mounts: which attributes they get, and id mappings. Source: runtime-spec config.md "Mounts",
 * config-linux.md; mount_setattr(2).
 */
#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "runtime/mounting.h"
#include "sys/fd.h"

/* What a user namespace may not take off a mount that it got from outside. */
#define LOCKED (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define ACCESS_TIME ((uint64_t)MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME)

/* Options that say nothing of these attributes leave them; those that deny one are refused. */
static int change_unlocked(int mnt, const struct mount_options *o, uint64_t set, uint64_t clear,
                           struct err *e)
{
    uint64_t have = 0;
    int rc = mount_attributes(mnt, &have);
    if (rc < 0)
        return err_neg(e, rc, "read mount attributes");
    if ((have & LOCKED & o->clear) != 0 ||
        (o->atime && (have & ACCESS_TIME) != (set & ACCESS_TIME)))
        return err_neg(e, -EPERM, "cannot clear locked flags");
    rc = mount_change(mnt, (set & ~ACCESS_TIME) | (have & LOCKED),
                      clear & ~ACCESS_TIME & ~(have & LOCKED), 0, false);
    return rc < 0 ? err_neg(e, rc, "set mount attributes") : 0;
}

static int change_attributes(int mnt, const struct mount_options *o, struct err *e)
{
    uint64_t set, clear;
    if (!o->attributes) /* all as at the source */
        return 0;
    mount_bind_attributes(o, &set, &clear);
    int rc = mount_change(mnt, set, clear, 0, false);
    if (rc == -EPERM)
        return change_unlocked(mnt, o, set, clear, e);
    return rc < 0 ? err_neg(e, rc, "set mount attributes") : 0;
}

static int clone_source(struct mounting *g, const char *source)
{
    struct rootfs_clone_order order = {
        .path = source,
        .recursive = g->o.recursive,
        .idmap = rootfs_is_idmapped(g->m),
        .idmap_recursive = g->o.ridmap,
        .mount = (size_t)(g->m - g->r->spec->mounts.v),
    };
    return rootfs_clone_by(g->r, &order);
}

int mounting_bind(struct mounting *g, struct err *e)
{
    struct stat st;
    const char *source = g->m->source;
    if (*g->o.data != '\0')
        return err_set(e, ERR_INVALID,
                       "bind mounts cannot have any filesystem-specific options applied");
    if (source == NULL)
        return err_set(e, ERR_INVALID, "bind mount without a source");
    if (source[0] != '/')
        source = arena_printf(g->r->a, "%s/%s", g->r->bundle, source);
    auto_fd int mnt = clone_source(g, source);
    if (mnt < 0)
        return err_neg(e, mnt, "bind %s", source);
    if (fstat(mnt, &st) < 0)
        return err_sys(e, "stat %s", source);
    auto_fd int target = mounting_target(g, S_ISDIR(st.st_mode), mnt, NULL, e);
    if (target < 0)
        return -1;
    TRY(change_attributes(mnt, &g->o, e));
    return mounting_attach(g, mnt, target, e);
}
