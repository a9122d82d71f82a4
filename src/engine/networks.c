/* Networks through the API. */
#include "engine/networks.h"

#include "base/log.h"
#include "base/time.h"
#include "engine/events.h"
#include "engine/filters.h"
#include "engine/launch.h"
#include "engine/stores.h"
#include "types/endpoint.h"

static const char *cidr(const char *ip, int64_t prefix, struct arena *a)
{
    return ip == NULL || ip[0] == '\0' ? "" : arena_printf(a, "%s/%lld", ip, (long long)prefix);
}

static void attached_fill(struct engine *g, const char *id, struct arena *a,
                          struct network_inspect *out)
{
    struct net_attached *v;
    size_t n;

    net_attached(g->net, id, a, &v, &n);
    for (size_t i = 0; i < n; i++) {
        __typeof__(out->containers.v) c = vec_add_in(a, &out->containers);

        c->key = v[i].container_id;
        c->val = ARENA_NEW(a, struct network_endpoint);
        *c->val = (struct network_endpoint){
            .name = v[i].container_name,
            .endpoint_id = v[i].endpoint.id,
            .mac_address = v[i].endpoint.mac,
            .ipv4_address = cidr(v[i].endpoint.ip, v[i].endpoint.prefix, a),
            .ipv6_address = cidr(v[i].endpoint.ip6, v[i].endpoint.prefix6, a),
        };
    }
}

static void fill(struct engine *g, const struct net_network *n, bool with_containers,
                 struct arena *a, struct network_inspect *out)
{
    *out = (struct network_inspect){
        .name = n->name,
        .id = n->id,
        .created_ns = n->created_ns,
        .scope = "local",
        .driver = n->driver,
        .enable_ipv4 = n->ipv4,
        .enable_ipv6 = n->ipv6,
        .internal = n->internal,
        .attachable = n->attachable,
        .options = n->options,
        .labels = n->labels,
        .config_from = {.network = ""},
    };
    out->ipam.driver = "default";
    out->ipam.options = n->ipam_options;
    vec_each(p, &n->pools) {
        struct ipam_pool *to = vec_add_in(a, &out->ipam.config);

        *to = (struct ipam_pool){.subnet = p->subnet,
                                 .ip_range = p->range,
                                 .gateway = p->gateway,
                                 .aux_addresses = p->aux};
    }
    if (with_containers)
        attached_fill(g, n->id, a, out);
}

/* Containers, also stopped ones, that name the network. */
static bool in_use(struct engine *g, const struct net_network *n)
{
    size_t count;
    struct container **all = containers_all(g, &count);
    bool used = false;

    for (size_t i = 0; i < count; i++) {
        auto_view struct view v = container_view(all[i]);

        used |= strcmp(v.rec->host.network_mode, n->name) == 0 ||
                strcmp(v.rec->host.network_mode, n->id) == 0;
        vec_each(e, &v.rec->networking.endpoints)
            used |= strcmp(e->key, n->name) == 0;
    }
    containers_free(all, count);
    return used;
}

static bool is_builtin(const struct net_network *n)
{
    return strcmp(n->name, "bridge") == 0 || strcmp(n->name, "host") == 0 ||
           strcmp(n->name, "none") == 0;
}

static int selected(struct engine *g, const struct filters *f, const struct net_network *n,
                    bool *out, struct err *e)
{
    const struct strv *type = filters_get(f, "type");
    bool given, dangling;

    TRY(filters_bool(f, "dangling", &given, &dangling, e));
    if (type != NULL)
        vec_each(t, type)
            if (strcmp(*t, "custom") != 0 && strcmp(*t, "builtin") != 0)
                return err_set(e, ERR_INVALID, "invalid filter: 'type'='%s'", *t);
    *out = filters_match(f, "driver", n->driver) && filters_match_start(f, "id", n->id) &&
           filters_match(f, "scope", "local") && filters_match_name(f, "name", n->name) &&
           filters_match_labels(f, &n->labels) &&
           filters_match(f, "type", is_builtin(n) ? "builtin" : "custom");
    if (*out && given)
        *out = (is_builtin(n) || in_use(g, n)) != dangling;
    return 0;
}

int engine_network_list(struct engine *g, const char *filters, int api, struct buf *out,
                        struct err *e)
{
    static const char *const accepted[] = {"dangling", "driver", "id",   "label",
                                           "name",     "scope",  "type", NULL};
    auto_arena struct arena *a = arena_new();
    VEC(struct network_inspect) items = {0};
    struct net_network *v;
    struct filters f;
    size_t n;

    TRY(filters_parse(filters, accepted, a, &f, e));
    net_networks(g->net, a, &v, &n);
    for (size_t i = 0; i < n; i++) {
        bool want = false;

        TRY(selected(g, &f, &v[i], &want, e));
        if (want)
            fill(g, &v[i], api < 28, a, vec_add_in(a, &items));
    }
    json_write_list(&network_inspect_json, items.v, items.n, out);
    return 0;
}

int engine_network_inspect(struct engine *g, const char *name, int api, struct buf *out,
                           struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct network_inspect d;
    struct net_network n;

    (void)api;
    TRY(net_find(g->net, name, a, &n, e));
    fill(g, &n, true, a, &d);
    json_write(&network_inspect_json, &d, out);
    return 0;
}

int engine_network_create(struct engine *g, const char *body, size_t len, struct buf *out,
                          struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct network_create rq;
    struct network_created reply = {.warning = ""};
    struct net_network n;
    struct net_create c;
    VEC(struct net_pool) pools = {0};

    TRY(json_parse(&network_create_json, &rq, body, len, a, e));
    c = (struct net_create){.name = rq.name != NULL ? rq.name : "",
                            .driver = rq.driver != NULL ? rq.driver : "",
                            .internal = rq.internal,
                            .attachable = rq.attachable,
                            .ipv6 = rq.enable_ipv6 != NULL && *rq.enable_ipv6,
                            .ipv4 = rq.enable_ipv4,
                            .options = rq.options,
                            .labels = rq.labels};
    if (rq.ingress || rq.config_only || (rq.scope != NULL && strcmp(rq.scope, "swarm") == 0))
        return err_set(e, ERR_UNIMPLEMENTED,
                       "swarm-scoped and config-only networks are not supported yet");
    if (rq.ipam != NULL) {
        c.ipam_driver = rq.ipam->driver;
        c.ipam_options = rq.ipam->options;
        vec_each(p, &rq.ipam->config) {
            struct net_pool *to = vec_add_in(a, &pools);

            *to = (struct net_pool){.subnet = p->subnet,
                                    .range = p->ip_range,
                                    .gateway = p->gateway,
                                    .aux = p->aux_addresses};
        }
        c.pools = pools.v;
        c.n_pools = pools.n;
    }
    TRY(net_create(g->net, &c, a, &n, e));
    if (engine_networks_save(g, e) < 0) {
        struct err ignored = {0};

        (void)net_remove(g->net, n.id, &ignored);
        return -1;
    }
    event_raise(g, "network", "create", n.id, "name", n.name, "type", n.driver, NULL);
    reply.id = n.id;
    json_write(&network_created_json, &reply, out);
    return 0;
}

int engine_network_remove(struct engine *g, const char *name, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct net_network n;

    TRY(net_find(g->net, name, a, &n, e));
    TRY(net_remove(g->net, n.id, e));
    TRY(engine_networks_save(g, e));
    event_raise(g, "network", "destroy", n.id, "name", n.name, "type", n.driver, NULL);
    return 0;
}

int engine_network_prune(struct engine *g, const char *filters, struct buf *out, struct err *e)
{
    static const char *const accepted[] = {"label", "label!", "until", NULL};
    auto_arena struct arena *a = arena_new();
    struct networks_pruned reply = {0};
    struct net_network *v;
    struct filters f;
    int64_t until_ns;
    size_t n;

    TRY(filters_parse(filters, accepted, a, &f, e));
    TRY(filters_until(&f, &until_ns, e));
    net_networks(g->net, a, &v, &n);
    for (size_t i = 0; i < n; i++) {
        struct err why = {0};

        if (is_builtin(&v[i]) || in_use(g, &v[i]) || !filters_match_labels(&f, &v[i].labels) ||
            (until_ns != 0 && v[i].created_ns >= until_ns))
            continue;
        if (engine_network_remove(g, v[i].id, &why) < 0)
            log_warn("cannot prune a network", "network", v[i].name, "error", why.msg, NULL);
        else
            vec_push_in(a, &reply.deleted, (char *)v[i].name);
    }
    event_raise(g, "network", "prune", "", "reclaimed", "0", NULL);
    json_write(&networks_pruned_json, &reply, out);
    return 0;
}

/* ---- connect, disconnect ---- */

static int check_mode(const struct container_record *rec, const struct net_network *n,
                      struct err *e)
{
    const char *mode = rec->host.network_mode;

    if (strcmp(mode, "host") == 0 || strncmp(mode, "container:", 10) == 0)
        return err_set(e, ERR_INVALID,
                       "container sharing network namespace with another container or host cannot "
                       "be connected to any other network");
    if (strcmp(mode, "none") == 0 || strcmp(n->driver, "null") == 0)
        return err_set(
            e, ERR_INVALID,
            "container cannot be connected to multiple networks with one of the networks "
            "in private (none) mode");
    if (strcmp(n->driver, "host") == 0)
        return err_set(e, ERR_INVALID,
                       "container cannot be disconnected from host network or connected to host "
                       "network");
    return 0;
}

static bool is_member(const struct container_record *rec, const char *name)
{
    if (strcmp(rec->host.network_mode, name) == 0)
        return true;
    vec_each(n, &rec->networking.endpoints)
        if (strcmp(n->key, name) == 0)
            return true;
    return false;
}

static void publish_sandbox(struct container *c, const struct net_sandbox *sb)
{
    struct run *r = run_edit(c);

    if (r->d.sandbox != NULL)
        json_copy(&net_sandbox_json, r->d.sandbox, sb, r->arena);
    run_publish(c, r);
    container_save_run(c);
}

/* The record names the network from now on, or no longer. */
static int publish_member(struct container *c, const char *name, const struct endpoint_settings *s,
                          struct err *e)
{
    struct record *r = record_edit(c);

    if (s != NULL) {
        __typeof__(r->d.networking.endpoints.v) n =
            vec_add_in(r->arena, &r->d.networking.endpoints);

        n->key = arena_strdup(r->arena, name);
        n->val = ARENA_NEW(r->arena, struct endpoint_settings);
        json_copy(&endpoint_settings_json, n->val, s, r->arena);
    } else {
        for (size_t i = 0; i < r->d.networking.endpoints.n; i++)
            if (strcmp(r->d.networking.endpoints.v[i].key, name) == 0) {
                vec_remove(&r->d.networking.endpoints, i);
                break;
            }
        if (strcmp(r->d.host.network_mode, name) == 0)
            r->d.host.network_mode =
                r->d.networking.endpoints.n > 0 ? r->d.networking.endpoints.v[0].key : "none";
    }
    record_publish(c, r);
    return container_save(c, true, e);
}

int engine_network_connect(struct engine *g, const char *name, const char *body, size_t len,
                           struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_container struct container *c = NULL;
    auto_gate struct gate *gate = NULL;
    struct endpoint_settings none = {0};
    struct network_connect rq;
    struct net_network n;

    TRY(json_parse(&network_connect_json, &rq, body, len, a, e));
    TRY(net_find(g->net, name, a, &n, e));
    TRY(container_find(g, rq.container != NULL ? rq.container : "", &c, e));
    TRY(gate_enter(&c->gate, -1, e));
    gate = &c->gate;
    auto_view struct view v = container_view(c);
    TRY(check_mode(v.rec, &n, e));
    if (is_member(v.rec, n.name))
        return err_set(e, ERR_FORBIDDEN, "endpoint with name %s already exists in network %s",
                       v.rec->name, n.name);
    if (v.state->running && v.state->sandbox != NULL) {
        const struct endpoint_settings *s = rq.endpoint != NULL ? rq.endpoint : &none;
        struct net_join join = {.network = n.id,
                                .ip = "",
                                .ip6 = "",
                                .mac = s->mac_address != NULL ? s->mac_address : ""};
        struct net_sandbox sb;

        if (s->ipam != NULL) {
            join.ip = s->ipam->ipv4_address != NULL ? s->ipam->ipv4_address : "";
            join.ip6 = s->ipam->ipv6_address != NULL ? s->ipam->ipv6_address : "";
        }
        join.aliases = s->aliases;
        join.gw_priority = s->gw_priority;
        TRY(net_connect(g->net, v.state->sandbox->id, &join, a, &sb, e));
        publish_sandbox(c, &sb);
    }
    TRY(publish_member(c, n.name, rq.endpoint != NULL ? rq.endpoint : &none, e));
    event_raise(g, "network", "connect", n.id, "container", c->id, "name", n.name, "type", n.driver,
                NULL);
    return 0;
}

int engine_network_disconnect(struct engine *g, const char *name, const char *body, size_t len,
                              struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_container struct container *c = NULL;
    auto_gate struct gate *gate = NULL;
    struct network_disconnect rq;
    struct net_network n;

    TRY(json_parse(&network_disconnect_json, &rq, body, len, a, e));
    TRY(net_find(g->net, name, a, &n, e));
    TRY(container_find(g, rq.container != NULL ? rq.container : "", &c, e));
    TRY(gate_enter(&c->gate, -1, e));
    gate = &c->gate;
    auto_view struct view v = container_view(c);
    if (!is_member(v.rec, n.name))
        return err_set(e, ERR_FORBIDDEN, "container %s is not connected to network %s", c->id,
                       n.name);
    if (strcmp(n.driver, "host") == 0)
        return err_set(e, ERR_INVALID,
                       "container cannot be disconnected from host network or connected to host "
                       "network");
    if (v.state->running && v.state->sandbox != NULL) {
        struct net_sandbox sb;

        TRY(net_disconnect(g->net, v.state->sandbox->id, n.id, a, &sb, e));
        publish_sandbox(c, &sb);
    }
    TRY(publish_member(c, n.name, NULL, e));
    event_raise(g, "network", "disconnect", n.id, "container", c->id, "name", n.name, "type",
                n.driver, NULL);
    return 0;
}
