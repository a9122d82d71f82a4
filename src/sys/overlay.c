/* See overlay.h. Source: mount_setattr(2), the kernel's Documentation/filesystems/idmappings.rst.
 */
#include "sys/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>

#include "sys/fd.h"
#include "sys/mounts.h"

struct str overlay_folder(struct str lower)
{
    struct str common = str_cut(&lower, ':');
    while (lower.n > 0) {
        struct str dir = str_cut(&lower, ':');
        size_t n = 0;
        while (n < common.n && n < dir.n && common.p[n] == dir.p[n])
            n++;
        common.n = n;
    }
    while (common.n > 0 && common.p[common.n - 1] != '/')
        common.n--;
    return common;
}

void overlay_rebase(struct str lower, struct str folder, const char *to, struct buf *out)
{
    while (lower.n > 0) {
        struct str dir = str_cut(&lower, ':');
        buf_adds(out, to);
        buf_add(out, dir.p + folder.n, dir.n - folder.n);
        if (lower.n > 0)
            buf_addc(out, ':');
    }
}

int overlay_show_mapped(const char *folder, const char *place, int userns_fd, bool readonly,
                        struct err *e)
{
    auto_fd int tree = mount_clone(AT_FDCWD, folder, false);
    auto_fd int at = open(place, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (tree < 0)
        return err_neg(e, tree, "clone the mount of %s", folder);
    if (at < 0)
        return err_sys(e, "open %s", place);
    int r = mount_idmap(tree, userns_fd, false);
    if (r == -EINVAL || r == -ENOSYS)
        return err_set(e, ERR_UNIMPLEMENTED,
                       "the file system of %s cannot be mounted id-mapped on this kernel, as a "
                       "container in a user namespace needs it",
                       folder);
    if (r == 0 && readonly)
        r = mount_change(tree, MOUNT_ATTR_RDONLY, 0, 0, false);
    if (r < 0)
        return err_neg(e, r, "id-mapped mount of %s", folder);
    r = mount_attach(tree, at);
    return r < 0 ? err_neg(e, r, "mount on %s", place) : 0;
}
