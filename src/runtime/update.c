/*
 * hullrun_update: new limits for a container that exists. The limits that hold are kept in the
 * record, because some (quota and period) only make sense together with what was set before.
 */
#include "runtime/container.h"
#include "runtime/limits.h"
#include "runtime/rdt.h"
#include "runtime/resources.h"
#include "sys/cgroup_stat.h"

static int current_resources(struct container *c, const struct oci_resources **out, struct err *e)
{
    struct oci_spec spec;
    if (c->record.resources == NULL) {
        TRY(container_spec(c, &spec, e));
        c->record.resources = spec.linux_->resources;
    }
    *out = c->record.resources;
    return 0;
}

static int apply(const struct container *c, const struct oci_resources *r, struct err *e)
{
    const struct unit unit = container_unit(c);
    struct unit_properties properties = {0};
    struct oci_resources rounded;
    struct limits limits;
    json_copy(&oci_resources_json, &rounded, r, c->a);
    if (unit.name != NULL)
        TRY(unit_resources(&rounded, c->cgroup.mode, c->a, &properties, e));
    TRY(limits_plan(&rounded, c->cgroup.mode, c->a, &limits, e));
    TRY(limits_check(&limits, &c->cgroup, e));
    if (properties.all.n > 0)
        TRY(unit_set(&unit, &properties, e));
    return limits_apply(&limits, &c->cgroup, e);
}

int hullrun_update(const char *root, const char *id, const struct oci_resources *r, struct err *e)
{
    auto_container struct container c = CONTAINER_NONE;
    const struct oci_resources *was = NULL;
    struct err ignored = {0};
    TRY(container_load(&c, root, id, e));
    if (c.status == HULLRUN_STOPPED)
        return container_not_running(e);
    TRY(current_resources(&c, &was, e));
    c.record.resources = resources_merge(was, r, c.a);
    if (apply(&c, c.record.resources, e) == 0)
        return record_save(c.dir_fd, &c.record, e);
    if (was != NULL)
        (void)apply(&c, was, &ignored); /* what was written before the failure */
    return -1;
}

int hullrun_update_rdt(const char *root, const char *id, const char *l3_cache, const char *mem_bw,
                       struct err *e)
{
    auto_container struct container c = CONTAINER_NONE;
    TRY(container_load(&c, root, id, e));
    const char *at = rdt_root(c.a), *group = c.record.rdt_group;
    if (l3_cache != NULL && !cgroup_has(at, "info/L3"))
        return err_set(e, ERR_INVALID, "Intel RDT/CAT: l3 cache schema is not enabled");
    if (mem_bw != NULL && !cgroup_has(at, "info/MB"))
        return err_set(e, ERR_INVALID, "Intel RDT/MBA: memory bandwidth schema is not enabled");
    if (group == NULL || *group == '\0')
        return err_set(e, ERR_INVALID,
                       "updating a non-existent Intel RDT configuration is not supported");
    return rdt_set(group, l3_cache, mem_bw, e);
}
