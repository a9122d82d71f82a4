/* What containerd says about itself, and leases. */
#include <errno.h>
#include <poll.h>

#include "base/time.h"
#include "client/ctd.h"
#include "proto/health.pb-c.h"
#include "proto/introspection.pb-c.h"
#include "proto/leases.pb-c.h"
#include "proto/version.pb-c.h"

#define LEASES "/containerd.services.leases.v1.Leases/"
#define PLUGINS "/containerd.services.introspection.v1.Introspection/Plugins"

int ctd_wait_ready(struct ctd *c, int timeout_ms, int cancel_fd, struct err *e)
{
    int64_t deadline_ns = time_mono_ns() + timeout_ms * NS_PER_MS;

    for (;;) {
        auto_arena struct arena *a = arena_new();
        int64_t left_ms = (deadline_ns - time_mono_ns()) / NS_PER_MS;
        struct ctd_opts o = CTD_OPTS(.timeout_ms = MAX(left_ms, 1));
        struct pollfd p = {.fd = cancel_fd, .events = POLLIN};
        Health__HealthCheckRequest req = HEALTH__HEALTH_CHECK_REQUEST__INIT;
        Health__HealthCheckResponse *r;

        o.cancel_fd = cancel_fd;
        if (ctd_call(c, "/grpc.health.v1.Health/Check", &req.base, &o,
                     &health__health_check_response__descriptor, a, &r, e) == 0)
            return 0;
        if (e->kind == ERR_CANCELLED)
            return -1;
        if (time_mono_ns() >= deadline_ns)
            return err_wrap(e, "containerd is not ready");
        if (poll(&p, 1, 50) > 0)
            return err_set(e, ERR_CANCELLED, "cancelled");
    }
}

int ctd_version(struct ctd *c, struct arena *a, const char **out_version, const char **out_revision,
                struct err *e)
{
    Pb__Empty req = PB__EMPTY__INIT;
    struct ctd_opts o = CTD_OPTS(.timeout_ms = 5000);
    Version__VersionResponse *r;

    TRY(ctd_call(c, "/containerd.services.version.v1.Version/Version", &req.base, &o,
                 &version__version_response__descriptor, a, &r, e));
    *out_version = r->version;
    *out_revision = r->revision;
    return 0;
}

/* The plugins that filter selects. */
static int plugins(struct ctd *c, const char *filter, struct arena *a,
                   Introspection__PluginsResponse **out, struct err *e)
{
    Introspection__PluginsRequest req = INTROSPECTION__PLUGINS_REQUEST__INIT;
    char *filters[] = {(char *)filter};

    req.filters = filters;
    req.n_filters = 1;
    return ctd_call(c, PLUGINS, &req.base, NULL, &introspection__plugins_response__descriptor, a,
                    out, e);
}

int ctd_has_transfer(struct ctd *c, bool *out_has, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Introspection__PluginsResponse *r;
    bool transfer = false;

    TRY(plugins(c, "id==transfer", a, &r, e));
    for (size_t i = 0; i < r->n_plugins; i++)
        if (strcmp(r->plugins[i]->type, "io.containerd.grpc.v1") == 0)
            transfer = true;
    /* containerd 1.7 has the service, but neither unpacks nor streams as 2.0 does */
    if (transfer) {
        const char *version, *revision;

        TRY(ctd_version(c, a, &version, &revision, e));
        version += version[0] == 'v';
        transfer = strncmp(version, "1.", 2) != 0;
    }
    *out_has = transfer;
    return 0;
}

int ctd_plugin_export(struct ctd *c, const char *type, const char *id, const char *key,
                      struct arena *a, const char **out_value, struct err *e)
{
    Introspection__PluginsResponse *r;

    *out_value = NULL;
    TRY(plugins(c, arena_printf(a, "type==%s,id==%s", type, id), a, &r, e));
    for (size_t i = 0; i < r->n_plugins; i++)
        *out_value = pb_map_get(r->plugins[i]->n_exports, r->plugins[i]->exports, key);
    return 0;
}

int ctd_lease_create(struct ctd *c, const char *id, int64_t ttl_s, struct arena *a,
                     const char **out_id, struct err *e)
{
    Leases__CreateRequest req = LEASES__CREATE_REQUEST__INIT;
    Leases__CreateResponse *r;
    char expire[TIME_TEXT_MAX];

    req.id = (char *)id;
    if (ttl_s > 0) {
        time_format(time_now_ns() + ttl_s * NS_PER_S, expire);
        pb_map_add(&leases__create_request__labels_entry__descriptor, &req.n_labels, &req.labels,
                   "containerd.io/gc.expire", expire, a);
    }
    TRY(ctd_call(c, LEASES "Create", &req.base, NULL, &leases__create_response__descriptor, a, &r,
                 e));
    *out_id = r->lease != NULL ? r->lease->id : id;
    return 0;
}

int ctd_lease_list(struct ctd *c, const char *filter, struct arena *a, struct strv *out,
                   struct err *e)
{
    Leases__ListRequest req = LEASES__LIST_REQUEST__INIT;
    Leases__ListResponse *r;
    char *filters[] = {(char *)filter};

    req.filters = filters;
    req.n_filters = 1;
    TRY(ctd_call(c, LEASES "List", &req.base, NULL, &leases__list_response__descriptor, a, &r, e));
    *out = (struct strv){0};
    for (size_t i = 0; i < r->n_leases; i++)
        vec_push_in(a, out, r->leases[i]->id);
    return 0;
}

int ctd_lease_delete(struct ctd *c, const char *id, bool sync, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Leases__DeleteRequest req = LEASES__DELETE_REQUEST__INIT;
    Pb__Empty *r;

    req.id = (char *)id;
    req.sync = sync;
    return ctd_call(c, LEASES "Delete", &req.base, NULL, &pb__empty__descriptor, a, &r, e);
}
