/* The list of containers: filters, order, and how Docker puts a state into words. */
#include "base/time.h"
#include "engine/filters.h"
#include "engine/image.h"
#include "engine/inspect.h"
#include "engine/summary.h"

void human_duration(int64_t ns, char out[static 48])
{
    int64_t s = ns / NS_PER_S, min = s / 60, h = (s + 1800) / 3600;

    if (s < 1)
        snprintf(out, 48, "Less than a second");
    else if (s == 1)
        snprintf(out, 48, "1 second");
    else if (s < 60)
        snprintf(out, 48, "%lld seconds", (long long)s);
    else if (min == 1)
        snprintf(out, 48, "About a minute");
    else if (min < 60)
        snprintf(out, 48, "%lld minutes", (long long)min);
    else if (h == 1)
        snprintf(out, 48, "About an hour");
    else if (h < 48)
        snprintf(out, 48, "%lld hours", (long long)h);
    else if (h < 24 * 7 * 2)
        snprintf(out, 48, "%lld days", (long long)(h / 24));
    else if (h < 24 * 30 * 2)
        snprintf(out, 48, "%lld weeks", (long long)(h / 24 / 7));
    else if (h < 24 * 365 * 2)
        snprintf(out, 48, "%lld months", (long long)(h / 24 / 30));
    else
        snprintf(out, 48, "%lld years", (long long)(h / 24 / 365));
}

static const char *status_text(const struct container_run *s, struct arena *a)
{
    int64_t now = time_now_ns();
    char up[48], down[48];

    human_duration(now - s->started_ns, up);
    human_duration(now - s->finished_ns, down);
    if (s->running && s->paused)
        return arena_printf(a, "Up %s (Paused)", up);
    if (s->running && s->restarting)
        return arena_printf(a, "Restarting (%lld) %s ago", (long long)s->exit_code, down);
    if (s->running)
        return arena_printf(a, "Up %s", up);
    if (s->removing)
        return "Removal In Progress";
    if (s->dead)
        return "Dead";
    if (!s->started)
        return "Created";
    return s->finished_ns == 0
               ? ""
               : arena_printf(a, "Exited (%lld) %s ago", (long long)s->exit_code, down);
}

static const char *command_text(const struct container_record *rec, struct arena *a)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);

    for (size_t i = 0; i < rec->args.n; i++) {
        const char *s = rec->args.v[i];
        bool quoted = i > 0 && strpbrk(s, " ") != NULL;

        buf_printf(&b, "%s%s%s%s", i > 0 ? " " : "", quoted ? "'" : "", s, quoted ? "'" : "");
    }
    return arena_strdup(a, buf_cstr(&b));
}

/* "80/tcp" -> number and protocol */
static bool split_port(const char *text, struct arena *a, struct port_summary *out)
{
    struct str proto = str_of(text), port = str_cut(&proto, '/');
    uint64_t n;

    if (!str_to_u64(port, 1, 65535, &n))
        return false;
    out->private_port = n;
    out->type = proto.n > 0 ? arena_strndup(a, proto.p, proto.n) : "tcp";
    return true;
}

static void ports_fill(const struct view *v, struct arena *a, struct container_summary *out)
{
    if (!v->state->running || v->state->sandbox == NULL)
        return;
    vec_each(p, &v->state->sandbox->ports) {
        struct port_summary *s = vec_add_in(a, &out->ports);

        *s = (struct port_summary){.ip = p->host_ip,
                                   .private_port = (uint64_t)p->port,
                                   .public_port = (uint64_t)p->host_port,
                                   .type = p->proto};
    }
    vec_each(x, &v->rec->config.exposed_ports) {
        struct port_summary s = {0};
        bool published = false;

        if (!split_port(*x, a, &s))
            continue;
        vec_each(have, &out->ports)
            published |= have->private_port == s.private_port && strcmp(have->type, s.type) == 0;
        if (!published)
            vec_push_in(a, &out->ports, s);
    }
}

int container_summary_fill(struct container *c, int api, bool size, struct arena *a,
                           struct container_summary *out, struct err *e)
{
    struct view *v = ARENA_NEW(a, struct view);
    auto_view struct view now = container_view(c);
    struct container_record *rec = ARENA_NEW(a, struct container_record);
    struct container_run *run = ARENA_NEW(a, struct container_run);

    /* the answer outlives the view */
    json_copy(&container_record_json, rec, now.rec, a);
    json_copy(&container_run_json, run, now.state, a);
    *v = (struct view){.rec = rec, .state = run};
    *out = (struct container_summary){
        .id = rec->id,
        .image = rec->config.image,
        .image_id = rec->image_id,
        .image_manifest = api >= 48 ? rec->image_manifest : NULL,
        .command = command_text(rec, a),
        .created_s = rec->created_ns / NS_PER_S,
        .labels = rec->config.labels,
        .state = run_status(run),
        .status = status_text(run, a),
        .host_config = {.network_mode = rec->host.network_mode,
                        .annotations = rec->host.annotations},
    };
    vec_push_in(a, &out->names, arena_printf(a, "/%s", rec->name));
    ports_fill(v, a, out);
    out->network = ARENA_NEW(a, struct summary_networks);
    summary_networks_fill(c->g, v, api, a, out->network);
    summary_mounts_fill(rec, a, &out->mounts.v, &out->mounts.n);
    if (size)
        TRY(container_sizes(c->g, rec, &out->size_rw, &out->size_root_fs, e));
    return 0;
}

/* ---- filters ---- */

static const char *const accepted[] = {
    "ancestor", "before", "exited",  "expose",  "health", "id",     "is-task", "isolation",
    "label",    "name",   "network", "publish", "since",  "status", "volume",  NULL};

struct selection {
    struct engine *g;
    struct filters f;
    struct strv ancestors; /* digests of the images that are named */
    int64_t before_ns, since_ns;
    bool all;
};

static int check_values(const struct filters *f, const char *key, const char *const *ok, size_t n,
                        struct err *e)
{
    const struct strv *v = filters_get(f, key);

    if (v == NULL)
        return 0;
    vec_each(s, v) {
        bool found = false;

        for (size_t i = 0; i < n; i++)
            found |= strcmp(*s, ok[i]) == 0;
        if (!found)
            return err_set(e, ERR_INVALID, "invalid filter '%s=%s'", key, *s);
    }
    return 0;
}

static int created_of(struct engine *g, const struct filters *f, const char *key, int64_t *out,
                      struct err *e)
{
    const struct strv *v = filters_get(f, key);

    *out = 0;
    if (v == NULL)
        return 0;
    auto_container struct container *c = NULL;
    TRY(container_find(g, v->v[0], &c, e));
    auto_view struct view view = container_view(c);
    *out = view.rec->created_ns;
    return 0;
}

static int select_prepare(const struct list_opts *o, struct arena *a, struct selection *s,
                          struct err *e)
{
    static const char *const states[] = {"created",  "running", "paused", "restarting",
                                         "removing", "exited",  "dead"};
    static const char *const healths[] = {"none", "starting", "healthy", "unhealthy"};
    const struct strv *ancestors;

    TRY(filters_parse(o->filters, accepted, a, &s->f, e));
    TRY(check_values(&s->f, "status", states, ARRAY_LEN(states), e));
    TRY(check_values(&s->f, "health", healths, ARRAY_LEN(healths), e));
    TRY(created_of(s->g, &s->f, "before", &s->before_ns, e));
    TRY(created_of(s->g, &s->f, "since", &s->since_ns, e));
    s->all = o->all || o->limit > 0 || filters_get(&s->f, "status") != NULL || s->before_ns != 0 ||
             s->since_ns != 0;
    ancestors = filters_get(&s->f, "ancestor");
    if (ancestors != NULL)
        vec_each(name, ancestors) {
            struct ctd_image img;
            const char *stored;
            struct err ignored = {0};

            if (image_find(s->g, *name, a, &img, &stored, &ignored) == 0)
                vec_push_in(a, &s->ancestors, arena_strdup(a, img.digest));
        }
    return 0;
}

static bool match_exited(const struct filters *f, const struct container_run *r)
{
    const struct strv *v = filters_get(f, "exited");
    int64_t code;

    if (v == NULL)
        return true;
    if (r->running || !r->started)
        return false;
    vec_each(s, v)
        if (str_to_i64(str_of(*s), INT32_MIN, INT32_MAX, &code) && code == r->exit_code)
            return true;
    return false;
}

static bool match_network(struct engine *g, const struct filters *f, const struct view *v)
{
    const struct strv *want = filters_get(f, "network");
    auto_arena struct arena *a = arena_new();
    struct summary_networks have;

    if (want == NULL)
        return true;
    summary_networks_fill(g, v, 51, a, &have);
    vec_each(n, &have.networks)
        vec_each(w, want)
            if (strcmp(n->key, *w) == 0 ||
                (n->val->network_id != NULL && strncmp(n->val->network_id, *w, strlen(*w)) == 0 &&
                 strlen(*w) >= 4))
                return true;
    return false;
}

static bool match_volume(const struct filters *f, const struct container_record *rec)
{
    const struct strv *want = filters_get(f, "volume");

    if (want == NULL)
        return true;
    vec_each(m, &rec->mounts)
        vec_each(w, want)
            if (strcmp(m->target, *w) == 0 || (m->name != NULL && strcmp(m->name, *w) == 0) ||
                (m->source != NULL && strcmp(m->source, *w) == 0))
                return true;
    return false;
}

/* "80", "80/tcp", "8000-8010/udp" against ports */
static bool port_in(const char *want, uint64_t port, const char *proto)
{
    struct str p = str_of(want), range = str_cut(&p, '/'), hi = range, lo = str_cut(&hi, '-');
    uint64_t from, to;

    if (hi.n == 0)
        hi = lo;
    return str_to_u64(lo, 1, 65535, &from) && str_to_u64(hi, 1, 65535, &to) && port >= from &&
           port <= to && (p.n == 0 ? strcmp(proto, "tcp") == 0 : str_eq(p, proto));
}

static bool match_ports(const struct filters *f, const struct view *v)
{
    const struct strv *publish = filters_get(f, "publish"), *expose = filters_get(f, "expose");
    auto_arena struct arena *a = arena_new();
    bool published = publish == NULL, exposed = expose == NULL;

    if (publish != NULL && v->state->sandbox != NULL)
        vec_each(p, &v->state->sandbox->ports)
            vec_each(w, publish)
                published |= port_in(*w, (uint64_t)p->port, p->proto) ||
                             port_in(*w, (uint64_t)p->host_port, p->proto);
    if (expose != NULL)
        vec_each(x, &v->rec->config.exposed_ports) {
            struct port_summary s = {0};

            if (split_port(*x, a, &s))
                vec_each(w, expose)
                    exposed |= port_in(*w, s.private_port, s.type);
        }
    return published && exposed;
}

static bool match_ancestor(const struct selection *s, const struct container_record *rec)
{
    const struct strv *v = filters_get(&s->f, "ancestor");

    return v == NULL || strv_has(v, rec->config.image) || strv_has(&s->ancestors, rec->image_id);
}

static bool selected(const struct selection *s, struct container *c)
{
    auto_view struct view v = container_view(c);
    auto_free char *slashed = mem_printf("/%s", v.rec->name);
    const struct strv *task = filters_get(&s->f, "is-task");

    if (!s->all && !v.state->running)
        return false;
    if (s->before_ns != 0 && v.rec->created_ns >= s->before_ns)
        return false;
    if (s->since_ns != 0 && v.rec->created_ns <= s->since_ns)
        return false;
    if (task != NULL && (strv_has(task, "true") || strv_has(task, "1")))
        return false;
    return filters_match_start(&s->f, "id", c->id) &&
           (filters_match_name(&s->f, "name", v.rec->name) ||
            filters_match_name(&s->f, "name", slashed)) &&
           filters_match(&s->f, "status", run_status(v.state)) &&
           filters_match(&s->f, "health", "none") &&
           filters_match_labels(&s->f, &v.rec->config.labels) && match_exited(&s->f, v.state) &&
           match_network(s->g, &s->f, &v) && match_volume(&s->f, v.rec) && match_ports(&s->f, &v) &&
           match_ancestor(s, v.rec);
}

static int newest_first(const void *a, const void *b)
{
    auto_view struct view va = container_view(*(struct container *const *)a);
    auto_view struct view vb = container_view(*(struct container *const *)b);

    return va.rec->created_ns < vb.rec->created_ns   ? 1
           : va.rec->created_ns > vb.rec->created_ns ? -1
                                                     : 0;
}

int container_list(struct engine *g, const struct list_opts *o, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    VEC(struct container_summary) items = {0};
    struct selection s = {.g = g};
    struct container **all;
    size_t n;
    int r = 0;

    TRY(select_prepare(o, a, &s, e));
    all = containers_all(g, &n);
    qsort(all, n, sizeof(*all), newest_first);
    for (size_t i = 0; i < n && r == 0; i++) {
        if (o->limit > 0 && items.n >= (size_t)o->limit)
            break;
        if (!selected(&s, all[i]))
            continue;
        if (container_summary_fill(all[i], o->api, o->size, a, vec_add_in(a, &items), e) < 0) {
            items.n--; /* removed while we looked */
            r = e->kind == ERR_NOT_FOUND ? 0 : -1;
        }
    }
    containers_free(all, n);
    TRY(r);
    json_write_list(&container_summary_json, items.v, items.n, out);
    return 0;
}
