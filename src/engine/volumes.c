/* Volumes through the API. */
#include "base/log.h"
#include "base/time.h"
#include "engine/events.h"
#include "engine/filters.h"
#include "engine/networks.h"
#include "engine/stores.h"
#include "types/volume.h"

static void fill(const struct volume_doc *d, struct volume_inspect *out)
{
    *out = (struct volume_inspect){
        .created_ns = d->created_ns,
        .driver = d->driver,
        .labels = d->labels,
        .mountpoint = d->mountpoint,
        .name = d->name,
        .options = d->options,
        .scope = "local",
    };
}

static int selected(const struct filters *f, const struct volume_row *row, bool *out, struct err *e)
{
    bool given, dangling;

    TRY(filters_bool(f, "dangling", &given, &dangling, e));
    *out = filters_match(f, "driver", row->doc.driver) &&
           filters_match_name(f, "name", row->doc.name) &&
           filters_match_labels(f, &row->doc.labels) && (!given || (row->refs == 0) == dangling);
    return 0;
}

int engine_volume_list(struct engine *g, const char *filters, struct buf *out, struct err *e)
{
    static const char *const accepted[] = {"dangling", "driver", "label", "name", NULL};
    auto_arena struct arena *a = arena_new();
    struct volume_list reply = {0};
    struct volume_row *rows;
    struct filters f;
    size_t n;

    TRY(filters_parse(filters, accepted, a, &f, e));
    volumes_list(g->volumes, a, &rows, &n);
    for (size_t i = 0; i < n; i++) {
        bool want = false;

        TRY(selected(&f, &rows[i], &want, e));
        if (want)
            fill(&rows[i].doc, vec_add_in(a, &reply.volumes));
    }
    json_write(&volume_list_json, &reply, out);
    return 0;
}

int engine_volume_inspect(struct engine *g, const char *name, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct volume_inspect d;
    struct volume_doc doc;

    TRY(volume_get(g->volumes, name, a, &doc, e));
    fill(&doc, &d);
    json_write(&volume_inspect_json, &d, out);
    return 0;
}

int engine_volume_create(struct engine *g, const char *body, size_t len, struct buf *out,
                         struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct volume_create rq = {0};
    struct volume_inspect d;
    struct volume_doc doc;
    bool made = false;

    if (len > 0)
        TRY(json_parse(&volume_create_json, &rq, body, len, a, e));
    if (rq.cluster_spec != NULL)
        return err_set(e, ERR_UNIMPLEMENTED, "cluster volumes are not supported");
    const struct volume_rq v = {.name = rq.name != NULL ? rq.name : "",
                                .driver =
                                    rq.driver != NULL && rq.driver[0] != '\0' ? rq.driver : "local",
                                .options = rq.driver_opts,
                                .labels = rq.labels};
    TRY(volume_create(g->volumes, &v, a, &doc, &made, e));
    if (made)
        event_raise(g, "volume", "create", doc.name, "driver", doc.driver, NULL);
    fill(&doc, &d);
    json_write(&volume_inspect_json, &d, out);
    return 0;
}

int engine_volume_remove(struct engine *g, const char *name, bool force, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct volume_doc doc;
    struct err absent = {0};
    bool there = volume_get(g->volumes, name, a, &doc, &absent) == 0;

    TRY(volume_remove(g->volumes, name, force, e));
    if (there)
        event_raise(g, "volume", "destroy", name, "driver", doc.driver, NULL);
    return 0;
}

int engine_volume_prune(struct engine *g, const char *filters, int api, struct buf *out,
                        struct err *e)
{
    static const char *const accepted[] = {"label", "label!", "all", NULL};
    auto_arena struct arena *a = arena_new();
    struct volumes_pruned reply = {0};
    struct volume_row *rows;
    struct filters f;
    bool given, all;
    char size[32];
    size_t n;

    TRY(filters_parse(filters, accepted, a, &f, e));
    TRY(filters_bool(&f, "all", &given, &all, e));
    volumes_list(g->volumes, a, &rows, &n);
    for (size_t i = 0; i < n; i++) {
        const struct volume_doc *d = &rows[i].doc;
        struct err why = {0};
        int64_t bytes = 0;

        if (rows[i].refs > 0 || d->options.n > 0 || !filters_match_labels(&f, &d->labels) ||
            (api >= 42 && !all && !volume_is_anonymous(d)))
            continue;
        (void)volume_usage(g->volumes, d->name, &bytes, &why);
        if (engine_volume_remove(g, d->name, false, &why) < 0) {
            log_warn("cannot prune a volume", "volume", d->name, "error", why.msg, NULL);
            continue;
        }
        vec_push_in(a, &reply.deleted, (char *)d->name);
        reply.space_reclaimed += (uint64_t)MAX(bytes, 0);
    }
    snprintf(size, sizeof(size), "%llu", (unsigned long long)reply.space_reclaimed);
    event_raise(g, "volume", "prune", "", "reclaimed", size, NULL);
    json_write(&volumes_pruned_json, &reply, out);
    return 0;
}
