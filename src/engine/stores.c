/* The rows of networks and volumes. */
#include "engine/stores.h"

#include "base/log.h"

static int volume_put(void *arg, const struct volume_doc *doc, struct err *e)
{
    struct engine *g = arg;
    auto_buf struct buf b = BUF_MAX(1 << 20);
    struct state_row row = {.id = doc->name};

    json_write(&volume_doc_json, doc, &b);
    row.doc = buf_cstr(&b);
    return state_put(g->state, STATE_VOLUMES, &row, true, e);
}

static int volume_del(void *arg, const char *name, struct err *e)
{
    struct engine *g = arg;

    return state_del(g->state, STATE_VOLUMES, name, true, e);
}

int engine_volumes_open(struct engine *g, struct err *e)
{
    const struct volume_store store = {.arg = g, .put = volume_put, .del = volume_del};
    auto_arena struct arena *a = arena_new();
    auto_free char *root = mem_printf("%s/volumes", g->o.data_root);
    struct volumes_opts o = {.root = root, .store = &store};
    struct state_row *rows;
    struct volume_doc *saved;
    size_t n, count = 0;

    TRY(state_list(g->state, STATE_VOLUMES, a, &rows, &n, e));
    saved = arena_alloc_array(a, n + 1, sizeof(*saved));
    for (size_t i = 0; i < n; i++) {
        struct err why = {0};

        if (json_parse(&volume_doc_json, &saved[count], rows[i].doc, strlen(rows[i].doc), a, &why) <
            0)
            log_error("volume cannot be read", "volume", rows[i].id, "error", why.msg, NULL);
        else
            count++;
    }
    if (g->o.userns.uid != NULL)
        TRY(userns_root(&g->o.userns, &o.owner_uid, &o.owner_gid, e));
    return volumes_open(&o, saved, count, &g->volumes, e);
}

/* "base=10.0.0.0/8,size=24" */
static int read_pool(const char *text, struct arena *a, struct net_base_pool *out, struct err *e)
{
    struct str rest = str_of(text);
    uint64_t size = 0;

    while (rest.n > 0) {
        struct str value = str_cut(&rest, ','), key = str_cut(&value, '=');

        if (str_eq(key, "base"))
            out->base = arena_strndup(a, value.p, value.n);
        else if (!str_eq(key, "size") || !str_to_u64(value, 1, 128, &size))
            return err_set(e, ERR_INVALID, "invalid default address pool: %s", text);
    }
    out->size = (int)size;
    return 0;
}

int engine_net_open(struct engine *g, const struct net_sandbox *running, size_t n_running,
                    struct err *e)
{
    auto_arena struct arena *a = arena_new();
    VEC(struct net_base_pool) pools = {0};
    struct net_opts o = {
        .exec_root = g->o.exec_root,
        .portd_path = arena_printf(a, "%s/hull-portd", g->o.helper_dir),
        .sandbox_path = arena_printf(a, "%s/hull-sandbox", g->o.helper_dir),
        .userns = g->o.userns,
        .bridge = g->o.bridge,
        .bip = g->o.bip,
        .fixed_cidr = g->o.fixed_cidr,
        .host_ip = g->o.host_ip,
        .mtu = g->o.mtu,
        .no_icc = g->o.no_icc,
        .no_masq = g->o.no_ip_masq,
        .no_forward = g->o.no_ip_forward,
        .no_rules = g->o.no_firewall,
        .foreign_respect = g->o.ignore_foreign_firewall,
        .table = g->o.nft_table,
        .warm = 2,
    };
    struct net_network *saved;
    struct state_row *rows;
    size_t n;

    for (const char *const *p = g->o.address_pools; p != NULL && *p != NULL; p++)
        TRY(read_pool(*p, a, vec_add_in(a, &pools), e));
    o.pools = pools.v;
    o.n_pools = pools.n;
    TRY(state_list(g->state, STATE_NETWORKS, a, &rows, &n, e));
    saved = arena_alloc_array(a, n + 1, sizeof(*saved));
    for (size_t i = 0; i < n; i++)
        TRY(json_parse(&net_network_json, &saved[i], rows[i].doc, strlen(rows[i].doc), a, e));
    TRY(net_open(&o, saved, n, running, n_running, &g->net, e));
    return engine_networks_save(g, e);
}

static bool has_row(const struct state_row *rows, size_t n, const char *id, const char *doc)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].id, id) == 0)
            return strcmp(rows[i].doc, doc) == 0;
    return false;
}

static bool has_network(const struct net_network *v, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].id, id) == 0)
            return true;
    return false;
}

int engine_networks_save(struct engine *g, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct net_network *v;
    struct state_row *rows;
    size_t n, n_rows;

    net_networks(g->net, a, &v, &n);
    TRY(state_list(g->state, STATE_NETWORKS, a, &rows, &n_rows, e));
    for (size_t i = 0; i < n_rows; i++)
        if (!has_network(v, n, rows[i].id))
            TRY(state_del(g->state, STATE_NETWORKS, rows[i].id, true, e));
    for (size_t i = 0; i < n; i++) {
        auto_buf struct buf b = BUF_MAX(1 << 20);
        struct state_row row = {.id = v[i].id, .name = v[i].name};

        json_write(&net_network_json, &v[i], &b);
        row.doc = buf_cstr(&b);
        if (!has_row(rows, n_rows, row.id, row.doc))
            TRY(state_put(g->state, STATE_NETWORKS, &row, true, e));
    }
    return 0;
}
