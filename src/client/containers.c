/* Container records of containerd. */
#include "client/tasks.h"
#include "client/wire.h"
#include "proto/containers.pb-c.h"
#include "proto/runc_options.pb-c.h"

#define CONTAINERS "/containerd.services.containers.v1.Containers/"
#define SPEC_TYPE "types.containerd.io/opencontainers/runtime-spec/1/Spec"

Pb__Any *wire_json_any(const char *type_url, const char *json, struct arena *a)
{
    Pb__Any *any = arena_alloc(a, sizeof(*any));

    pb__any__init(any);
    any->type_url = (char *)type_url;
    any->value.data = (uint8_t *)json;
    any->value.len = strlen(json);
    return any;
}

Pb__Any *wire_runtime_options(const struct ctd_runtime *r, struct arena *a)
{
    Runc__Options o = RUNC__OPTIONS__INIT;

    o.binary_name = (char *)r->binary;
    o.root = (char *)r->root;
    o.systemd_cgroup = r->systemd_cgroup;
    o.io_uid = r->io_uid;
    o.io_gid = r->io_gid;
    return pb_any_new(&o.base, a);
}

int ctd_container_create(struct ctd *c, const struct ctd_container *ct, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Containers__Container__Runtime runtime = CONTAINERS__CONTAINER__RUNTIME__INIT;
    Containers__Container doc = CONTAINERS__CONTAINER__INIT;
    Containers__CreateContainerRequest req = CONTAINERS__CREATE_CONTAINER_REQUEST__INIT;
    Containers__CreateContainerResponse *r;

    runtime.name = (char *)ct->runtime->name;
    runtime.options = wire_runtime_options(ct->runtime, a);
    doc.id = (char *)ct->id;
    doc.image = (char *)ct->image;
    doc.snapshotter = (char *)ct->snapshotter;
    doc.snapshot_key = (char *)ct->snapshot_key;
    doc.runtime = &runtime;
    doc.spec = wire_json_any(SPEC_TYPE, ct->spec, a);
    if (ct->labels != NULL)
        vec_each(l, ct->labels)
            pb_map_add(&containers__container__labels_entry__descriptor, &doc.n_labels, &doc.labels,
                       l->key, l->val, a);
    req.container = &doc;
    return ctd_call(c, CONTAINERS "Create", &req.base, NULL,
                    &containers__create_container_response__descriptor, a, &r, e);
}

int ctd_container_delete(struct ctd *c, const char *id, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Containers__DeleteContainerRequest req = CONTAINERS__DELETE_CONTAINER_REQUEST__INIT;
    Pb__Empty *r;

    req.id = (char *)id;
    return ctd_call(c, CONTAINERS "Delete", &req.base, NULL, &pb__empty__descriptor, a, &r, e);
}

int ctd_container_exists(struct ctd *c, const char *id, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Containers__GetContainerRequest req = CONTAINERS__GET_CONTAINER_REQUEST__INIT;
    Containers__GetContainerResponse *r;

    req.id = (char *)id;
    if (ctd_call(c, CONTAINERS "Get", &req.base, NULL,
                 &containers__get_container_response__descriptor, a, &r, e) == 0)
        return 1;
    return e->kind == ERR_NOT_FOUND ? 0 : -1;
}

int ctd_container_list(struct ctd *c, struct arena *a, struct ctd_record **out, size_t *out_n,
                       struct err *e)
{
    Containers__ListContainersRequest req = CONTAINERS__LIST_CONTAINERS_REQUEST__INIT;
    Containers__ListContainersResponse *r;

    TRY(ctd_call(c, CONTAINERS "List", &req.base, NULL,
                 &containers__list_containers_response__descriptor, a, &r, e));
    *out = arena_alloc_array(a, r->n_containers + 1, sizeof(**out));
    *out_n = r->n_containers;
    for (size_t i = 0; i < r->n_containers; i++)
        (*out)[i] = (struct ctd_record){
            .id = r->containers[i]->id,
            .labels = wire_labels(r->containers[i]->n_labels, r->containers[i]->labels, a)};
    return 0;
}
