/* Who we are and whose objects are whose: version, health, introspection, namespaces. */
#include <sys/stat.h>

#include "base/mem.h"
#include "containerd/convert.h"
#include "containerd/ctd.h"
#include "proto/health.pb-c.h"
#include "proto/introspection.pb-c.h"
#include "proto/namespaces.pb-c.h"
#include "proto/version.pb-c.h"
#include "store/filter.h"
#include "types/oci_image.h"

int call_scope(struct grpc_call *c, struct scope *out, struct err *e)
{
    out->ns = grpc_call_metadata(c, "containerd-namespace");
    out->lease = grpc_call_metadata(c, "containerd-lease");
    if (out->ns == NULL || *out->ns == '\0')
        return err_set(e, ERR_PRECONDITION, "namespace is required: failed precondition");
    return store_check_id("namespace", out->ns, e);
}

static struct store *store_of(struct grpc_call *c)
{
    return ((struct ctd *)grpc_call_ctx(c))->store;
}

/* ---- version and health ---- */

static int version(struct grpc_call *c, const void *req UNUSED, struct err *e)
{
    Version__VersionResponse r = VERSION__VERSION_RESPONSE__INIT;
    r.version =
        pb_str("2.1.0+hull." HULL_VERSION); /* clients choose features by the number in front */
    r.revision = pb_str(HULL_VERSION);
    return grpc_call_reply(c, &r.base, e);
}

static int check(struct grpc_call *c, const void *req UNUSED, struct err *e)
{
    Health__HealthCheckResponse r = HEALTH__HEALTH_CHECK_RESPONSE__INIT;
    r.status = HEALTH__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    return grpc_call_reply(c, &r.base, e);
}

/* ---- introspection ---- */

struct plugin_row {
    const char *type, *id;
    bool platform;
};

static const struct plugin_row plugins[] = {
    {"io.containerd.content.v1", "content", false},
    {"io.containerd.snapshotter.v1", "overlayfs", true},
    {"io.containerd.metadata.v1", "bolt", false},
    {"io.containerd.differ.v1", "walking", true},
    {"io.containerd.gc.v1", "scheduler", false},
    {"io.containerd.event.v1", "exchange", false},
    {"io.containerd.lease.v1", "manager", false},
    {"io.containerd.runtime.v2", "task", true},
    {"io.containerd.runtime.v2", "shim", false},
    {"io.containerd.transfer.v1", "local", false},
    {"io.containerd.streaming.v1", "manager", false},
    {"io.containerd.grpc.v1", "containers", false},
    {"io.containerd.grpc.v1", "content", false},
    {"io.containerd.grpc.v1", "diff", false},
    {"io.containerd.grpc.v1", "events", false},
    {"io.containerd.grpc.v1", "healthcheck", false},
    {"io.containerd.grpc.v1", "images", false},
    {"io.containerd.grpc.v1", "introspection", false},
    {"io.containerd.grpc.v1", "leases", false},
    {"io.containerd.grpc.v1", "namespaces", false},
    {"io.containerd.grpc.v1", "snapshots", false},
    {"io.containerd.grpc.v1", "streaming", false},
    {"io.containerd.grpc.v1", "tasks", false},
    {"io.containerd.grpc.v1", "transfer", false},
    {"io.containerd.grpc.v1", "version", false},
};

static const char *plugin_field(const void *obj, const char *const *path, size_t n)
{
    const struct plugin_row *p = obj;
    if (n == 1 && strcmp(path[0], "type") == 0)
        return p->type;
    if (n == 1 && strcmp(path[0], "id") == 0)
        return p->id;
    return NULL;
}

static Introspection__Plugin *plugin_to_pb(const struct plugin_row *row, struct arena *a)
{
    Introspection__Plugin *p = ARENA_NEW(a, Introspection__Plugin);
    introspection__plugin__init(p);
    p->type = pb_str(row->type);
    p->id = pb_str(row->id);
    if (row->platform) {
        Types__Platform *pl = ARENA_NEW(a, Types__Platform);
        types__platform__init(pl);
        pl->os = pb_str("linux");
        pl->architecture = pb_str(oci_host_architecture(a));
        p->platforms = arena_dup(a, &pl, sizeof(pl));
        p->n_platforms = 1;
    }
    return p;
}

static int plugins_list(struct grpc_call *c, const void *req, struct err *e)
{
    const Introspection__PluginsRequest *q = req;
    Introspection__PluginsResponse r = INTROSPECTION__PLUGINS_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strv texts = strv_from_pb(q->n_filters, q->filters);
    auto_filters struct filters *f = NULL;
    TRY(filters_parse(&texts, &f, e));
    r.plugins = arena_alloc_array(a, ARRAY_LEN(plugins), sizeof(*r.plugins));
    for (size_t i = 0; i < ARRAY_LEN(plugins); i++)
        if (filters_match(f, plugin_field, &plugins[i]))
            r.plugins[r.n_plugins++] = plugin_to_pb(&plugins[i], a);
    return grpc_call_reply(c, &r.base, e);
}

static int server(struct grpc_call *c, const void *req UNUSED, struct err *e)
{
    const struct ctd *d = grpc_call_ctx(c);
    Introspection__ServerResponse r = INTROSPECTION__SERVER_RESPONSE__INIT;
    struct stat st;
    r.uuid = pb_str(d->uuid);
    r.pid = (uint64_t)getpid();
    if (stat("/proc/self/ns/pid", &st) == 0)
        r.pidns = st.st_ino;
    return grpc_call_reply(c, &r.base, e);
}

/* ---- namespaces ---- */

static Namespaces__Namespace *ns_to_pb(const struct ns_info *n, struct arena *a)
{
    Namespaces__Namespace *p = ARENA_NEW(a, Namespaces__Namespace);
    namespaces__namespace__init(p);
    p->name = pb_str(n->name);
    map_to_pb(&n->labels, &namespaces__namespace__labels_entry__descriptor, &p->n_labels,
              &p->labels, a);
    return p;
}

static int ns_from_pb(const Namespaces__Namespace *p, struct arena *a, struct ns_info *out,
                      struct err *e)
{
    if (p == NULL)
        return err_set(e, ERR_INVALID, "namespace is required: invalid argument");
    *out = (struct ns_info){p->name, map_from_pb(p->n_labels, p->labels, a)};
    return 0;
}

static int namespace_get(struct grpc_call *c, const void *req, struct err *e)
{
    const Namespaces__GetNamespaceRequest *q = req;
    Namespaces__GetNamespaceResponse r = NAMESPACES__GET_NAMESPACE_RESPONSE__INIT;
    struct ns_info n;
    TRY(ns_get(store_of(c), q->name, grpc_call_arena(c), &n, e));
    r.namespace_ = ns_to_pb(&n, grpc_call_arena(c));
    return grpc_call_reply(c, &r.base, e);
}

static int namespace_list(struct grpc_call *c, const void *req UNUSED, struct err *e)
{
    Namespaces__ListNamespacesResponse r = NAMESPACES__LIST_NAMESPACES_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct ns_info *list;
    size_t n;
    TRY(ns_list(store_of(c), a, &list, &n, e));
    r.namespaces = arena_alloc_array(a, n, sizeof(*r.namespaces));
    for (; r.n_namespaces < n; r.n_namespaces++)
        r.namespaces[r.n_namespaces] = ns_to_pb(&list[r.n_namespaces], a);
    return grpc_call_reply(c, &r.base, e);
}

static int namespace_create(struct grpc_call *c, const void *req, struct err *e)
{
    const Namespaces__CreateNamespaceRequest *q = req;
    Namespaces__CreateNamespaceResponse r = NAMESPACES__CREATE_NAMESPACE_RESPONSE__INIT;
    struct ns_info n;
    TRY(ns_from_pb(q->namespace_, grpc_call_arena(c), &n, e));
    TRY(ns_create(store_of(c), &n, e));
    r.namespace_ = ns_to_pb(&n, grpc_call_arena(c));
    return grpc_call_reply(c, &r.base, e);
}

static int namespace_update(struct grpc_call *c, const void *req, struct err *e)
{
    const Namespaces__UpdateNamespaceRequest *q = req;
    Namespaces__UpdateNamespaceResponse r = NAMESPACES__UPDATE_NAMESPACE_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strv mask = mask_from_pb(q->update_mask);
    struct ns_info n, done;
    TRY(ns_from_pb(q->namespace_, a, &n, e));
    TRY(ns_update(store_of(c), &n, &mask, a, &done, e));
    r.namespace_ = ns_to_pb(&done, a);
    return grpc_call_reply(c, &r.base, e);
}

static int namespace_delete(struct grpc_call *c, const void *req, struct err *e)
{
    const Namespaces__DeleteNamespaceRequest *q = req;
    TRY(ns_delete(store_of(c), q->name, e));
    return grpc_call_reply_empty(c, e);
}

#define VERSION "containerd.services.version.v1.Version"
#define HEALTH "grpc.health.v1.Health"
#define INTROSPECTION "containerd.services.introspection.v1.Introspection"
#define NAMESPACES "containerd.services.namespaces.v1.Namespaces"

static const struct grpc_method methods[] = {
    {VERSION, "Version", &pb__empty__descriptor, &version__version_response__descriptor, GRPC_UNARY,
     0, version},
    {HEALTH, "Check", &health__health_check_request__descriptor,
     &health__health_check_response__descriptor, GRPC_UNARY, 0, check},
    {INTROSPECTION, "Plugins", &introspection__plugins_request__descriptor,
     &introspection__plugins_response__descriptor, GRPC_UNARY, 0, plugins_list},
    {INTROSPECTION, "Server", &pb__empty__descriptor, &introspection__server_response__descriptor,
     GRPC_UNARY, 0, server},
    {NAMESPACES, "Get", &namespaces__get_namespace_request__descriptor,
     &namespaces__get_namespace_response__descriptor, GRPC_UNARY, 0, namespace_get},
    {NAMESPACES, "List", &namespaces__list_namespaces_request__descriptor,
     &namespaces__list_namespaces_response__descriptor, GRPC_UNARY, 0, namespace_list},
    {NAMESPACES, "Create", &namespaces__create_namespace_request__descriptor,
     &namespaces__create_namespace_response__descriptor, GRPC_UNARY, 0, namespace_create},
    {NAMESPACES, "Update", &namespaces__update_namespace_request__descriptor,
     &namespaces__update_namespace_response__descriptor, GRPC_UNARY, 0, namespace_update},
    {NAMESPACES, "Delete", &namespaces__delete_namespace_request__descriptor,
     &pb__empty__descriptor, GRPC_UNARY, 0, namespace_delete},
};

void service_meta_add(struct grpc_server *s)
{
    grpc_server_add(s, methods, ARRAY_LEN(methods));
}
