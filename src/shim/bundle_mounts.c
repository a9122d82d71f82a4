/*
 * Mounting root file systems: see bundle_mounts.h. Option words become flags by one table; all
 * others are the file system's. A long list of overlay layers does not fit the kernel's page: then
 * their common folder becomes the working directory and the names are relative to it. With uidmap=
 * and gidmap= that folder is first mounted id-mapped on BUNDLE/lower.
 */
#include "shim/bundle_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "runtime/idmap.h"
#include "sys/fd.h"
#include "sys/overlay.h"
#include "sys/userns.h"

#define LOWER "lowerdir="
#define DATA_MAX ((size_t)4000) /* of the kernel's page */
#define MOUNTS_MAX 16

static const struct {
    const char *word;
    unsigned long set, clear;
} words[] = {
    {"async", 0, MS_SYNCHRONOUS},
    {"atime", 0, MS_NOATIME},
    {"bind", MS_BIND, 0},
    {"defaults", 0, 0},
    {"dev", 0, MS_NODEV},
    {"diratime", 0, MS_NODIRATIME},
    {"dirsync", MS_DIRSYNC, 0},
    {"exec", 0, MS_NOEXEC},
    {"noatime", MS_NOATIME, 0},
    {"nodev", MS_NODEV, 0},
    {"nodiratime", MS_NODIRATIME, 0},
    {"noexec", MS_NOEXEC, 0},
    {"norelatime", 0, MS_RELATIME},
    {"nosuid", MS_NOSUID, 0},
    {"rbind", MS_BIND | MS_REC, 0},
    {"relatime", MS_RELATIME, 0},
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"strictatime", MS_STRICTATIME, 0},
    {"suid", 0, MS_NOSUID},
    {"sync", MS_SYNCHRONOUS, 0},
};

struct plan {
    unsigned long flags;
    struct buf data;
    struct userns_maps maps;
};

static void plan_done(struct plan *p)
{
    buf_done(&p->data);
}

static void plan_word(struct plan *p, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i].word, word) != 0)
            continue;
        p->flags = (p->flags | words[i].set) & ~words[i].clear;
        return;
    }
    if (strncmp(word, "uidmap=", 7) == 0) {
        p->maps.uid = word + 7;
        return;
    }
    if (strncmp(word, "gidmap=", 7) == 0) {
        p->maps.gid = word + 7;
        return;
    }
    if (p->data.n > 0)
        buf_addc(&p->data, ',');
    buf_adds(&p->data, word);
}

/* The value of lowerdir= among the words, or an empty view. */
static struct str lower_of(const struct buf *data)
{
    struct str rest = {data->p, data->n};
    while (rest.n > 0) {
        struct str word = str_cut(&rest, ',');
        if (str_starts(word, LOWER))
            return (struct str){word.p + strlen(LOWER), word.n - strlen(LOWER)};
    }
    return (struct str){0};
}

/* Write the words again with the layers relative to their folder; -1: that is no use. */
static int shorten(const struct buf *data, struct buf *out, char **out_folder)
{
    struct str lower = lower_of(data), folder = overlay_folder(lower);
    if (folder.n < 2 || folder.p[0] != '/')
        return -1;
    buf_add(out, data->p, (size_t)(lower.p - data->p));
    overlay_rebase(lower, folder, "", out);
    buf_adds(out, lower.p + lower.n);
    *out_folder = str_dup(folder);
    return out->n > DATA_MAX ? -1 : 0;
}

static int mount_in(const char *folder, const Types__Mount *m, const char *target,
                    unsigned long flags, const char *data, struct err *e)
{
    auto_fd int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder != NULL && (here < 0 || chdir(folder) < 0))
        return err_sys(e, "chdir %s", folder);
    int r = mount(m->source, target, m->type, flags, data), saved = errno;
    if (folder != NULL && fchdir(here) < 0)
        return err_sys(e, "chdir back");
    errno = saved;
    if (r < 0)
        return err_sys(e,
                       "failed to mount rootfs component: mount source: \"%s\", target: \"%s\", "
                       "fstype: %s, flags: %lu, data: \"%s\"",
                       m->source, target, m->type, flags, data);
    return 0;
}

/* ---- with ids mapped ---- */

/* Show folder on place with the ids of a user namespace that has these mappings. */
static int show_mapped(const char *folder, const char *place, const struct userns_maps *m,
                       bool readonly, struct err *e)
{
    if (m->uid == NULL || m->gid == NULL)
        return err_set(e, ERR_INVALID, "mount of %s: uidmap and gidmap come together", folder);
    auto_fd int userns = idmap_userns_new(m, e);
    return userns < 0 ? -1 : overlay_show_mapped(folder, place, userns, readonly, e);
}

/* The overlay keeps of the lower mount what it needs: it is in place for a moment only. */
static int mount_mapped(const char *bundle, const Types__Mount *m, const char *target,
                        const struct plan *p, struct err *e)
{
    auto_buf struct buf data = BUF_MAX((size_t)1 << 20);
    auto_free char *folder = NULL, *place = mem_printf("%s/lower", bundle);
    if (shorten(&p->data, &data, &folder) < 0)
        return err_set(e, ERR_INVALID, "mount of %s: layers without a folder in common", m->source);
    if (mkdir(place, 0700) < 0 && errno != EEXIST)
        return err_sys(e, "mkdir %s", place);
    int r = show_mapped(folder, place, &p->maps, true, e);
    if (r == 0) {
        r = mount_in(place, m, target, p->flags, buf_cstr(&data), e);
        (void)umount2(place, MNT_DETACH | UMOUNT_NOFOLLOW); /* just mounted by us */
    }
    (void)rmdir(place); /* else with the bundle */
    return r;
}

static int mount_plain(const Types__Mount *m, const char *target, const struct plan *p,
                       struct err *e)
{
    auto_buf struct buf shorter = BUF_MAX((size_t)1 << 20);
    auto_free char *folder = NULL;
    bool is_short = p->data.n <= DATA_MAX;
    if (!is_short && shorten(&p->data, &shorter, &folder) < 0)
        return err_set(e, ERR_INVALID, "mount of %s: options are too long", m->source);
    return mount_in(folder, m, target, p->flags, buf_cstr(is_short ? &p->data : &shorter), e);
}

static int mount_one(const char *bundle, const Types__Mount *m, const char *target, struct err *e)
{
    CLEANUP(plan_done) struct plan p = {.data = BUF_MAX((size_t)1 << 20)};
    for (size_t i = 0; i < m->n_options; i++)
        plan_word(&p, m->options[i]);
    if (p.data.over)
        return err_set(e, ERR_INVALID, "mount of %s: options are too long", m->source);
    if ((p.flags & MS_BIND) == 0 && strcmp(m->type, "bind") == 0)
        p.flags |= MS_BIND;
    bool mapped = p.maps.uid != NULL || p.maps.gid != NULL;
    if (!mapped)
        TRY(mount_plain(m, target, &p, e));
    else if ((p.flags & MS_BIND) != 0)
        TRY(show_mapped(m->source, target, &p.maps, false, e));
    else
        TRY(mount_mapped(bundle, m, target, &p, e));
    unsigned long change = p.flags & ~(unsigned long)(MS_BIND | MS_REC);
    if ((p.flags & MS_BIND) == 0 || change == 0)
        return 0;
    /* a bind mount takes its flags only in a second step */
    if (mount(NULL, target, NULL, change | MS_REMOUNT | MS_BIND, NULL) < 0) {
        err_sys(e, "remount %s", target);
        (void)umount2(target, MNT_DETACH);
        return -1;
    }
    return 0;
}

int bundle_mount(const char *bundle, Types__Mount *const *mounts, size_t n, struct err *e)
{
    if (n == 0)
        return 0;
    if (n > MOUNTS_MAX)
        return err_set(e, ERR_INVALID, "more than %d mounts for a root file system", MOUNTS_MAX);
    auto_free char *rootfs = mem_printf("%s/rootfs", bundle);
    if (mkdir(rootfs, 0711) < 0 && errno != EEXIST)
        return err_sys(e, "mkdir %s", rootfs);
    for (size_t i = 0; i < n; i++) {
        struct str at = str_of(mounts[i]->target);
        if (str_starts(at, "/") || strstr(mounts[i]->target, "..") != NULL) {
            (void)err_set(e, ERR_INVALID, "mount target \"%s\" is not below the root file system",
                          mounts[i]->target);
        } else {
            auto_free char *target =
                mem_printf("%s%s%s", rootfs, at.n > 0 ? "/" : "", mounts[i]->target);
            if (mount_one(bundle, mounts[i], target, e) == 0)
                continue;
        }
        struct err ignored = {0};
        (void)bundle_unmount(bundle, &ignored); /* the first error is the one to tell */
        return -1;
    }
    return 0;
}

int bundle_unmount(const char *bundle, struct err *e)
{
    auto_free char *rootfs = mem_printf("%s/rootfs", bundle);
    auto_free char *lower = mem_printf("%s/lower", bundle);
    (void)umount2(lower,
                  MNT_DETACH | UMOUNT_NOFOLLOW); /* of a shim that was killed as it mounted */
    for (int i = 0; i <= MOUNTS_MAX; i++) {
        if (umount2(rootfs, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
            continue;
        if (errno == EINVAL || errno == ENOENT)
            return 0;
        return err_sys(e, "unmount %s", rootfs);
    }
    return err_set(e, ERR_INTERNAL, "unmount %s: more mounts than were made", rootfs);
}
