/* Inspect: the record and the run as one document of the API. */
#include "engine/inspect.h"

#include "engine/core.h"
#include "engine/summary.h"

static struct endpoint_settings *settings_copy(const struct endpoint_settings *from,
                                               struct arena *a)
{
    struct endpoint_settings *s = ARENA_NEW(a, struct endpoint_settings);

    if (from != NULL)
        json_copy(&endpoint_settings_json, s, from, a);
    return s;
}

static const struct endpoint_settings *configured(const struct container_record *rec,
                                                  const char *network)
{
    vec_each(n, &rec->networking.endpoints)
        if (strcmp(n->key, network) == 0)
            return n->val;
    return NULL;
}

static bool is_custom(const char *network)
{
    return strcmp(network, "bridge") != 0 && strcmp(network, "host") != 0 &&
           strcmp(network, "none") != 0;
}

static void add_names(const struct container_record *rec, struct endpoint_settings *s,
                      struct arena *a)
{
    const char *const names[] = {rec->name, NULL, arena_strndup(a, rec->id, SHORT_ID_LEN),
                                 rec->config.hostname};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (i == 1)
            vec_each(al, &s->aliases)
                if (!strv_has(&s->dns_names, *al))
                    vec_push_in(a, &s->dns_names, *al);
        if (names[i] != NULL && names[i][0] != '\0' && !strv_has(&s->dns_names, names[i]))
            vec_push_in(a, &s->dns_names, (char *)names[i]);
    }
}

static void add_network(struct summary_networks *out, const char *name, struct endpoint_settings *s,
                        struct arena *a)
{
    __typeof__(out->networks.v) n = vec_add_in(a, &out->networks);

    n->key = name;
    n->val = s;
}

static void running_networks(const struct container_record *rec, const struct net_sandbox *sb,
                             int api, struct arena *a, struct summary_networks *out)
{
    vec_each(e, &sb->endpoints) {
        struct endpoint_settings *s = settings_copy(configured(rec, e->network), a);

        s->network_id = e->network_id;
        s->endpoint_id = e->id;
        s->mac_address = e->mac;
        s->ip_address = e->ip;
        s->ip_prefix_len = e->prefix;
        s->gateway = e->gateway;
        s->global_ipv6_address = e->ip6;
        s->global_ipv6_prefix_len = e->prefix6;
        s->ipv6_gateway = e->gateway6;
        if (is_custom(e->network)) {
            add_names(rec, s, a);
            if (api < 45)
                vec_push_in(a, &s->aliases, arena_strndup(a, rec->id, SHORT_ID_LEN));
        }
        add_network(out, e->network, s, a);
    }
}

/* Networks without an endpoint: host, none, and all of a container that does not run. */
static void idle_network(struct engine *g, const struct container_record *rec, const char *name,
                         struct arena *a, struct summary_networks *out)
{
    struct endpoint_settings *s = settings_copy(configured(rec, name), a);
    struct net_network n;
    struct err ignored = {0};

    if (g->net != NULL && net_find(g->net, name, a, &n, &ignored) == 0)
        s->network_id = n.id;
    add_network(out, name, s, a);
}

void summary_networks_fill(struct engine *g, const struct view *v, int api, struct arena *a,
                           struct summary_networks *out)
{
    const char *mode = v->rec->host.network_mode;

    *out = (struct summary_networks){0};
    if (strncmp(mode, "container:", 10) == 0)
        return;
    if (v->state->sandbox != NULL && v->state->sandbox->endpoints.n > 0) {
        running_networks(v->rec, v->state->sandbox, api, a, out);
        return;
    }
    idle_network(g, v->rec, mode, a, out);
    vec_each(n, &v->rec->networking.endpoints)
        if (strcmp(n->key, mode) != 0 && strcmp(n->key, "default") != 0)
            idle_network(g, v->rec, n->key, a, out);
}

/* ---- ports ---- */

static void port_add(struct network_settings *s, const char *port, const struct net_port *p,
                     struct arena *a)
{
    __typeof__(s->ports.v) entry = NULL;

    vec_each(have, &s->ports)
        if (strcmp(have->key, port) == 0)
            entry = have;
    if (entry == NULL) {
        entry = vec_add_in(a, &s->ports);
        entry->key = port;
    }
    if (p != NULL) {
        struct port_binding *b = vec_add_in(a, &entry->val);

        b->host_ip = p->host_ip;
        b->host_port = arena_printf(a, "%lld", (long long)p->host_port);
    }
}

static void ports_fill(const struct view *v, struct network_settings *s, struct arena *a)
{
    if (!v->state->running || v->state->sandbox == NULL)
        return;
    vec_each(p, &v->state->sandbox->ports)
        port_add(s, arena_printf(a, "%lld/%s", (long long)p->port, p->proto), p, a);
    vec_each(x, &v->rec->config.exposed_ports)
        port_add(s, *x, NULL, a);
}

static void network_fill(struct engine *g, const struct view *v, int api, struct arena *a,
                         struct network_settings *s)
{
    struct summary_networks networks;
    const struct net_sandbox *sb = v->state->sandbox;

    *s = (struct network_settings){.bridge = "", .sandbox_id = "", .sandbox_key = ""};
    if (sb != NULL) {
        s->sandbox_id = sb->id;
        s->sandbox_key = sb->key;
    }
    ports_fill(v, s, a);
    summary_networks_fill(g, v, api, a, &networks);
    vec_each(n, &networks.networks) {
        __typeof__(s->networks.v) to = vec_add_in(a, &s->networks);

        to->key = n->key;
        to->val = n->val;
        if (strcmp(n->key, "bridge") != 0)
            continue;
        s->endpoint_id = n->val->endpoint_id;
        s->gateway = n->val->gateway;
        s->global_ipv6_address = n->val->global_ipv6_address;
        s->global_ipv6_prefix_len = n->val->global_ipv6_prefix_len;
        s->ip_address = n->val->ip_address;
        s->ip_prefix_len = n->val->ip_prefix_len;
        s->ipv6_gateway = n->val->ipv6_gateway;
        s->mac_address = n->val->mac_address;
    }
}

/* ---- the rest ---- */

void summary_mounts_fill(const struct container_record *rec, struct arena *a,
                         struct mount_point **out, size_t *out_n)
{
    *out = arena_alloc_array(a, rec->mounts.n + 1, sizeof(**out));
    *out_n = 0;
    vec_each(m, &rec->mounts)
        (*out)[(*out_n)++] = (struct mount_point){.type = m->type,
                                                  .name = m->name,
                                                  .source = m->source,
                                                  .destination = m->target,
                                                  .driver = m->driver,
                                                  .mode = m->mode,
                                                  .rw = m->rw,
                                                  .propagation = m->propagation};
}

static void state_fill(const struct container_run *r, struct container_state *s)
{
    *s = (struct container_state){
        .status = run_status(r),
        .running = r->running,
        .paused = r->paused,
        .restarting = r->restarting,
        .oom_killed = r->oom_killed,
        .dead = r->dead,
        .pid = r->pid,
        .exit_code = r->exit_code,
        .error = r->error,
        .started_ns = r->started_ns,
        .finished_ns = r->finished_ns,
    };
}

int container_sizes(struct engine *g, const struct container_record *rec, int64_t *out_rw,
                    int64_t *out_all, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const char *key = rec->chain_id;
    int64_t size;

    TRY(ctd_snapshot_usage(g->ctd, rec->snapshotter, rec->id, out_rw, e));
    *out_all = *out_rw;
    while (key != NULL && key[0] != '\0') {
        const char *parent = "";

        TRY(ctd_snapshot_usage(g->ctd, rec->snapshotter, key, &size, e));
        *out_all += size;
        TRY(ctd_snapshot_stat(g->ctd, rec->snapshotter, key, a, &parent, e));
        key = parent;
    }
    return 0;
}

static void exec_ids(struct container *c, struct arena *a, struct strv *out)
{
    struct engine *g = c->g;

    pthread_mutex_lock(&g->lock);
    map_each(ent, &g->execs)
        if (exec_runs_in(ent->val, c))
            vec_push_in(a, out, arena_strdup(a, ent->key));
    pthread_mutex_unlock(&g->lock);
}

int container_inspect(struct container *c, int api, bool size, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_view struct view v = container_view(c);
    const struct container_record *rec = v.rec;
    struct container_state state;
    struct network_settings network;
    struct container_inspect d = {
        .id = c->id,
        .created_ns = rec->created_ns,
        .path = rec->args.n > 0 ? rec->args.v[0] : "",
        .state = &state,
        .image = rec->image_id,
        .resolv_conf_path = container_path(c, a, "resolv.conf"),
        .hostname_path = container_path(c, a, "hostname"),
        .hosts_path = container_path(c, a, "hosts"),
        .log_path = rec->log_path,
        .name = arena_printf(a, "/%s", rec->name),
        .restart_count = v.state->restart_count,
        .driver = rec->snapshotter,
        .platform = "linux",
        .graph_driver = {.name = rec->snapshotter},
        .host_config = (struct host_config *)&rec->host,
        .config = (struct container_config *)&rec->config,
        .network = &network,
        .image_manifest = api >= 48 ? rec->image_manifest : NULL,
    };
    int64_t rw, all;

    if (rec->args.n > 1)
        d.args = (struct strv){rec->args.v + 1, rec->args.n - 1, rec->args.n - 1};
    state_fill(v.state, &state);
    network_fill(c->g, &v, api, a, &network);
    summary_mounts_fill(rec, a, &d.mounts.v, &d.mounts.n);
    exec_ids(c, a, &d.exec_ids);
    if (size) {
        TRY(container_sizes(c->g, rec, &rw, &all, e));
        d.size_rw = &rw;
        d.size_root_fs = &all;
    }
    json_write(&container_inspect_json, &d, out);
    return 0;
}
