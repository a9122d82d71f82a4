/* Containers: records only; nothing runs here. */
#include "containerd/convert.h"
#include "containerd/ctd.h"
#include "proto/containers.pb-c.h"
#include "store/container.h"

static Containers__Container *to_pb(const struct container_record *rec, struct arena *a)
{
    Containers__Container *p = ARENA_NEW(a, Containers__Container);
    containers__container__init(p);
    p->id = pb_str(rec->id);
    p->image = pb_str(rec->image);
    p->snapshotter = pb_str(rec->snapshotter);
    p->snapshot_key = pb_str(rec->snapshot_key);
    p->sandbox = pb_str(rec->sandbox);
    p->runtime = ARENA_NEW(a, Containers__Container__Runtime);
    containers__container__runtime__init(p->runtime);
    p->runtime->name = pb_str(rec->runtime_name);
    p->runtime->options = any_to_pb(&rec->runtime_options, a);
    p->spec = any_to_pb(&rec->spec, a);
    p->created_at = pb_time_new(rec->created_ns, a);
    p->updated_at = pb_time_new(rec->updated_ns, a);
    map_to_pb(&rec->labels, &containers__container__labels_entry__descriptor, &p->n_labels,
              &p->labels, a);
    p->extensions = arena_alloc_array(a, rec->extensions.n, sizeof(*p->extensions));
    vec_each(x, &rec->extensions) {
        Containers__Container__ExtensionsEntry *ent =
            ARENA_NEW(a, Containers__Container__ExtensionsEntry);
        containers__container__extensions_entry__init(ent);
        ent->key = pb_str(x->key);
        ent->value = any_to_pb(&x->val, a);
        p->extensions[p->n_extensions++] = ent;
    }
    return p;
}

static int from_pb(const Containers__Container *p, struct arena *a, struct container_record *out,
                   struct err *e)
{
    if (p == NULL)
        return err_set(e, ERR_INVALID, "container is required: invalid argument");
    *out = (struct container_record){
        .id = p->id,
        .image = p->image,
        .runtime_name = p->runtime != NULL ? p->runtime->name : "",
        .runtime_options = any_from_pb(p->runtime != NULL ? p->runtime->options : NULL),
        .snapshotter = p->snapshotter,
        .snapshot_key = p->snapshot_key,
        .sandbox = p->sandbox,
        .spec = any_from_pb(p->spec),
        .labels = map_from_pb(p->n_labels, p->labels, a)};
    for (size_t i = 0; i < p->n_extensions; i++) {
        struct any_ent ent = {p->extensions[i]->key, any_from_pb(p->extensions[i]->value)};
        vec_push_in(a, &out->extensions, ent);
    }
    return 0;
}

static struct store *store_of(struct grpc_call *c)
{
    return ((struct ctd *)grpc_call_ctx(c))->store;
}

static int get(struct grpc_call *c, const void *req, struct err *e)
{
    const Containers__GetContainerRequest *q = req;
    Containers__GetContainerResponse r = CONTAINERS__GET_CONTAINER_RESPONSE__INIT;
    struct scope sc;
    struct container_record rec;
    TRY(call_scope(c, &sc, e));
    TRY(container_get(store_of(c), &sc, q->id, grpc_call_arena(c), &rec, e));
    r.container = to_pb(&rec, grpc_call_arena(c));
    return grpc_call_reply(c, &r.base, e);
}

static int find(struct grpc_call *c, const void *req, struct container_record **out, size_t *out_n,
                struct err *e)
{
    const Containers__ListContainersRequest *q = req;
    struct strv filters = strv_from_pb(q->n_filters, q->filters);
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    return container_list(store_of(c), &sc, &filters, grpc_call_arena(c), out, out_n, e);
}

static int list(struct grpc_call *c, const void *req, struct err *e)
{
    Containers__ListContainersResponse r = CONTAINERS__LIST_CONTAINERS_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct container_record *v;
    size_t n;
    TRY(find(c, req, &v, &n, e));
    r.containers = arena_alloc_array(a, n, sizeof(*r.containers));
    for (; r.n_containers < n; r.n_containers++)
        r.containers[r.n_containers] = to_pb(&v[r.n_containers], a);
    return grpc_call_reply(c, &r.base, e);
}

static int list_stream(struct grpc_call *c, const void *req, struct err *e)
{
    struct container_record *v;
    size_t n;
    TRY(find(c, req, &v, &n, e));
    for (size_t i = 0; i < n; i++) {
        Containers__ListContainerMessage r = CONTAINERS__LIST_CONTAINER_MESSAGE__INIT;
        r.container = to_pb(&v[i], grpc_call_arena(c));
        TRY(grpc_call_send(c, &r.base, e));
    }
    grpc_call_finish(c, NULL);
    return 0;
}

static int create(struct grpc_call *c, const void *req, struct err *e)
{
    const Containers__CreateContainerRequest *q = req;
    Containers__CreateContainerResponse r = CONTAINERS__CREATE_CONTAINER_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct scope sc;
    struct container_record rec, done;
    TRY(call_scope(c, &sc, e));
    TRY(from_pb(q->container, a, &rec, e));
    TRY(container_create(store_of(c), &sc, &rec, a, &done, e));
    r.container = to_pb(&done, a);
    return grpc_call_reply(c, &r.base, e);
}

static int update(struct grpc_call *c, const void *req, struct err *e)
{
    const Containers__UpdateContainerRequest *q = req;
    Containers__UpdateContainerResponse r = CONTAINERS__UPDATE_CONTAINER_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strv mask = mask_from_pb(q->update_mask);
    struct scope sc;
    struct container_record rec, done;
    TRY(call_scope(c, &sc, e));
    TRY(from_pb(q->container, a, &rec, e));
    TRY(container_update(store_of(c), &sc, &rec, &mask, a, &done, e));
    r.container = to_pb(&done, a);
    return grpc_call_reply(c, &r.base, e);
}

static int delete (struct grpc_call *c, const void *req, struct err *e)
{
    const Containers__DeleteContainerRequest *q = req;
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    TRY(container_delete(store_of(c), &sc, q->id, e));
    return grpc_call_reply_empty(c, e);
}

#define CONTAINERS "containerd.services.containers.v1.Containers"

static const struct grpc_method methods[] = {
    {CONTAINERS, "Get", &containers__get_container_request__descriptor,
     &containers__get_container_response__descriptor, GRPC_UNARY, 0, get},
    {CONTAINERS, "List", &containers__list_containers_request__descriptor,
     &containers__list_containers_response__descriptor, GRPC_UNARY, 0, list},
    {CONTAINERS, "ListStream", &containers__list_containers_request__descriptor,
     &containers__list_container_message__descriptor, GRPC_SERVER_STREAM, 0, list_stream},
    {CONTAINERS, "Create", &containers__create_container_request__descriptor,
     &containers__create_container_response__descriptor, GRPC_UNARY, 0, create},
    {CONTAINERS, "Update", &containers__update_container_request__descriptor,
     &containers__update_container_response__descriptor, GRPC_UNARY, 0, update},
    {CONTAINERS, "Delete", &containers__delete_container_request__descriptor,
     &pb__empty__descriptor, GRPC_UNARY, 0, delete},
};

void service_containers_add(struct grpc_server *s)
{
    grpc_server_add(s, methods, ARRAY_LEN(methods));
}
