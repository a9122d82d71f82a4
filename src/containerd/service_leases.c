/* Leases: what is in use though nothing refers to it yet. */
#include "containerd/convert.h"
#include "containerd/ctd.h"
#include "proto/leases.pb-c.h"
#include "store/lease.h"

static struct store *store_of(struct grpc_call *c)
{
    return ((struct ctd *)grpc_call_ctx(c))->store;
}

static Leases__Lease *to_pb(const struct lease_info *l, struct arena *a)
{
    Leases__Lease *p = ARENA_NEW(a, Leases__Lease);
    leases__lease__init(p);
    p->id = pb_str(l->id);
    p->created_at = pb_time_new(l->created_ns, a);
    map_to_pb(&l->labels, &leases__lease__labels_entry__descriptor, &p->n_labels, &p->labels, a);
    return p;
}

static int create(struct grpc_call *c, const void *req, struct err *e)
{
    const Leases__CreateRequest *q = req;
    Leases__CreateResponse r = LEASES__CREATE_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strmap labels = map_from_pb(q->n_labels, q->labels, a);
    struct scope sc;
    struct lease_info l;
    TRY(call_scope(c, &sc, e));
    TRY(lease_create(store_of(c), &sc, q->id, &labels, a, &l, e));
    r.lease = to_pb(&l, a);
    return grpc_call_reply(c, &r.base, e);
}

static int delete (struct grpc_call *c, const void *req, struct err *e)
{
    const Leases__DeleteRequest *q = req;
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    TRY(lease_delete(store_of(c), &sc, q->id, q->sync, e));
    return grpc_call_reply_empty(c, e);
}

static int list(struct grpc_call *c, const void *req, struct err *e)
{
    const Leases__ListRequest *q = req;
    Leases__ListResponse r = LEASES__LIST_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strv filters = strv_from_pb(q->n_filters, q->filters);
    struct scope sc;
    struct lease_info *v;
    size_t n;
    TRY(call_scope(c, &sc, e));
    TRY(lease_list(store_of(c), &sc, &filters, a, &v, &n, e));
    r.leases = arena_alloc_array(a, n, sizeof(*r.leases));
    for (; r.n_leases < n; r.n_leases++)
        r.leases[r.n_leases] = to_pb(&v[r.n_leases], a);
    return grpc_call_reply(c, &r.base, e);
}

static int resource_from_pb(const Leases__Resource *p, struct lease_resource *out, struct err *e)
{
    if (p == NULL)
        return err_set(e, ERR_INVALID, "resource is required: invalid argument");
    *out = (struct lease_resource){p->id, p->type};
    return 0;
}

static int add(struct grpc_call *c, const void *req, struct err *e)
{
    const Leases__AddResourceRequest *q = req;
    struct scope sc;
    struct lease_resource res;
    TRY(call_scope(c, &sc, e));
    TRY(resource_from_pb(q->resource, &res, e));
    TRY(lease_add(store_of(c), &sc, q->id, &res, e));
    return grpc_call_reply_empty(c, e);
}

static int drop(struct grpc_call *c, const void *req, struct err *e)
{
    const Leases__DeleteResourceRequest *q = req;
    struct scope sc;
    struct lease_resource res;
    TRY(call_scope(c, &sc, e));
    TRY(resource_from_pb(q->resource, &res, e));
    TRY(lease_drop(store_of(c), &sc, q->id, &res, e));
    return grpc_call_reply_empty(c, e);
}

static int resources(struct grpc_call *c, const void *req, struct err *e)
{
    const Leases__ListResourcesRequest *q = req;
    Leases__ListResourcesResponse r = LEASES__LIST_RESOURCES_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct scope sc;
    struct lease_resource *v;
    size_t n;
    TRY(call_scope(c, &sc, e));
    TRY(lease_resources(store_of(c), &sc, q->id, a, &v, &n, e));
    r.resources = arena_alloc_array(a, n, sizeof(*r.resources));
    for (; r.n_resources < n; r.n_resources++) {
        Leases__Resource *p = ARENA_NEW(a, Leases__Resource);
        leases__resource__init(p);
        p->id = pb_str(v[r.n_resources].id);
        p->type = pb_str(v[r.n_resources].type);
        r.resources[r.n_resources] = p;
    }
    return grpc_call_reply(c, &r.base, e);
}

#define LEASES "containerd.services.leases.v1.Leases"

static const struct grpc_method methods[] = {
    {LEASES, "Create", &leases__create_request__descriptor, &leases__create_response__descriptor,
     GRPC_UNARY, 0, create},
    /* may wait for a collection */
    {LEASES, "Delete", &leases__delete_request__descriptor, &pb__empty__descriptor, GRPC_UNARY,
     GRPC_SLOW, delete},
    {LEASES, "List", &leases__list_request__descriptor, &leases__list_response__descriptor,
     GRPC_UNARY, 0, list},
    {LEASES, "AddResource", &leases__add_resource_request__descriptor, &pb__empty__descriptor,
     GRPC_UNARY, 0, add},
    {LEASES, "DeleteResource", &leases__delete_resource_request__descriptor, &pb__empty__descriptor,
     GRPC_UNARY, 0, drop},
    {LEASES, "ListResources", &leases__list_resources_request__descriptor,
     &leases__list_resources_response__descriptor, GRPC_UNARY, 0, resources},
};

void service_leases_add(struct grpc_server *s)
{
    grpc_server_add(s, methods, ARRAY_LEN(methods));
}
