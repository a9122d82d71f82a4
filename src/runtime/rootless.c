/* Containers of ordinary users: see rootless.h. */
#include "runtime/rootless.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/str.h"
#include "runtime/spec.h"
#include "sys/path.h"

struct id_range {
    unsigned long inside, outside, count;
};

/* The n-th line of our namespace's map of user ids. */
static bool uid_range(const char *map, size_t nth, struct id_range *out)
{
    for (; nth > 0 && map != NULL; nth--) {
        map = strchr(map, '\n');
        map = map != NULL ? map + 1 : NULL;
    }
    /* NOLINTNEXTLINE(cert-err34-c): the kernel writes it */
    return map != NULL && sscanf(map, "%lu %lu %lu", &out->inside, &out->outside, &out->count) == 3;
}

static bool uid_map(struct buf *out)
{
    struct err ignored = {0};
    return file_read(AT_FDCWD, "/proc/self/uid_map", out, &ignored) == 0;
}

/* The initial user namespace maps all ids to themselves. */
bool rootless_in_userns(void)
{
    CLEANUP(buf_done) struct buf map = BUF_MAX(65536);
    struct id_range r;
    if (!uid_map(&map))
        return false;
    return !uid_range(buf_cstr(&map), 0, &r) || r.inside != 0 || r.outside != 0 ||
           r.count != UINT32_MAX;
}

uid_t rootless_owner(void)
{
    CLEANUP(buf_done) struct buf map = BUF_MAX(65536);
    uid_t own = geteuid();
    struct id_range r;
    if (!uid_map(&map))
        return own;
    for (size_t i = 0; uid_range(buf_cstr(&map), i, &r); i++)
        if (own >= r.inside && own - r.inside < r.count)
            return (uid_t)(own - r.inside + r.outside);
    return own;
}

bool rootless_forgives(enum hullrun_rootless mode, const struct err *e)
{
    if (e->sys != EPERM && e->sys != EACCES && e->sys != EROFS)
        return false;
    return mode == HULLRUN_ROOTLESS_AUTO ? geteuid() != 0 || rootless_in_userns()
                                         : mode == HULLRUN_ROOTLESS_YES;
}

/* Files of the mount would belong to nobody: the kernel says only "invalid argument". */
static int check_mount_ids(const struct oci_spec *s, const struct oci_mount *m, struct err *e)
{
    for (size_t i = 0; i < m->options.n; i++) {
        struct str value = str_of(m->options.v[i]), key = str_cut(&value, '=');
        bool uid = str_eq(key, "uid");
        uint64_t id;
        if ((!uid && !str_eq(key, "gid")) || !str_to_u64(value, 0, UINT32_MAX, &id))
            continue;
        if ((uid ? spec_host_uid : spec_host_gid)(s, id) < 0)
            return err_set(e, ERR_INVALID,
                           "cannot specify %s mount options for unmapped %.*s in rootless "
                           "containers",
                           m->options.v[i], STR_ARG(key));
    }
    return 0;
}

int rootless_check(const struct oci_spec *s, struct err *e)
{
    const struct oci_namespace *user = spec_ns(s, "user");
    if (user == NULL)
        return err_set(e, ERR_INVALID, "rootless container requires user namespaces");
    bool made = user->path == NULL || *user->path == '\0';
    if (made && s->linux_->uid_mappings.n == 0)
        return err_set(e, ERR_INVALID, "rootless containers requires at least one UID mapping");
    if (made && s->linux_->gid_mappings.n == 0)
        return err_set(e, ERR_INVALID, "rootless containers requires at least one GID mapping");
    vec_each(m, &s->mounts)
        if (made)
            TRY(check_mount_ids(s, m, e));
    return 0;
}
