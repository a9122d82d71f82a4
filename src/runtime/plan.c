/* What a container will be, checked before anything is made: see create.h. */
#include "runtime/create.h"

#include <errno.h>
#include <sched.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/time.h"
#include "runtime/io.h"
#include "runtime/process.h"
#include "runtime/spec.h"
#include "sys/mounts.h"

static int find_rootfs(struct create *c, struct err *e)
{
    const char *path = c->spec.root->path;
    auto_free char *full =
        path[0] == '/' ? mem_strdup(path) : mem_printf("%s/%s", c->record.bundle, path);
    auto_free char *real = realpath(full, NULL);
    if (real == NULL)
        return err_sys(e, "invalid rootfs: %s", full);
    struct stat st;
    if (lstat(full, &st) < 0 || S_ISLNK(st.st_mode))
        return err_set(e, ERR_INVALID, "invalid rootfs: not an absolute path, or a symlink");
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_INVALID, "invalid rootfs: %s is not a directory", full);
    c->record.rootfs = arena_strdup(c->a, real);
    c->rootfs_mount = mount_id_of(real);
    return 0;
}

static void fill_record(struct create *c)
{
    const struct oci_spec *s = &c->spec;
    c->record.version = RECORD_VERSION;
    c->record.id = c->o->id;
    c->record.created = time_now_ns();
    c->record.annotations = s->annotations;
    c->record.namespaces = spec_new_flags(s) | spec_join_flags(s);
    c->record.own_pid_ns = (spec_new_flags(s) & CLONE_NEWPID) != 0;
    c->record.no_new_keyring = c->o->no_new_keyring;
    if (!s->process->terminal)
        record_descriptors("self", c->o->io.fd, c->a, &c->record.stdio);
    c->record.poststart = s->hooks->poststart.n > 0;
    c->record.poststop = s->hooks->poststop.n > 0;
    c->record.unit = c->unit.name;
    c->record.unit_manager = c->unit.manager;
    c->record.cgroup_mode = c->cgroup.mode;
    vec_each(d, &c->cgroup.dirs) {
        struct record_dir *to = vec_add_in(c->a, &c->record.cgroup);
        *to = (struct record_dir){d->controllers, d->path, d->mount};
    }
}

/* systemd rounds some limits: its values are the ones to write. */
static int plan_unit(struct create *c, struct oci_resources *r, struct err *e)
{
    TRY(unit_plan(c->spec.linux_->cgroups_path != NULL ? c->spec.linux_->cgroups_path : "",
                  c->o->id, c->a, &c->unit, e));
    cgroup_plan(&c->host, c->unit.path, c->o->id, c->a, &c->cgroup);
    unit_devices(&c->devices, c->a, &c->properties);
    TRY(unit_resources(r, c->host.mode, c->a, &c->properties, e));
    return unit_annotations(&c->spec.annotations, c->a, &c->properties, e);
}

static int plan_cgroup(struct create *c, struct err *e)
{
    const struct oci_linux *l = c->spec.linux_;
    struct oci_resources *r = NULL;
    if (l->resources != NULL) {
        r = ARENA_NEW(c->a, struct oci_resources);
        json_copy(&oci_resources_json, r, l->resources, c->a);
    }
    TRY(cgroup_host_read(c->a, &c->host, e));
    TRY(devices_policy(&c->spec, c->a, &c->devices, e));
    if (c->o->systemd_cgroup)
        TRY(plan_unit(c, r, e));
    else
        cgroup_plan(&c->host, l->cgroups_path != NULL ? l->cgroups_path : "", c->o->id, c->a,
                    &c->cgroup);
    return limits_plan(r, c->host.mode, c->a, &c->limits, e);
}

int create_plan(struct create *c, struct err *e)
{
    const struct oci_linux *l;
    auto_free char *bundle = realpath(c->o->bundle, NULL);
    if (bundle == NULL)
        return errno == ENOENT
                   ? err_set(e, ERR_NOT_FOUND, "chdir %s: no such file or directory", c->o->bundle)
                   : err_sys(e, "chdir %s", c->o->bundle);
    c->record.bundle = arena_strdup(c->a, bundle);
    TRY(spec_read(bundle, c->o->config, &c->config, e));
    TRY(spec_parse(buf_cstr(&c->config), c->config.n, c->a, &c->spec, e));
    TRY(spec_check(&c->spec, e));
    TRY(io_check(&c->o->io, c->spec.process->terminal, e));
    io_environment(&c->o->io, &c->spec.process->env, c->a);
    TRY(find_rootfs(c, e));
    l = c->spec.linux_;
    if (seccomp_wanted(l->seccomp))
        TRY(seccomp_check(l->seccomp, e));
    TRY(plan_cgroup(c, e));
    if (l->intel_rdt != NULL)
        TRY(rdt_check(l->intel_rdt, rdt_root(c->a), e));
    process_warn_caps(c->spec.process->capabilities, &c->o->log);
    fill_record(c);
    return 0;
}
