/* Disk usage: what images, containers and volumes allocate. */
#include "engine/image_store.h"
#include "engine/images.h"
#include "engine/summary.h"
#include "types/system.h"
#include "types/volume.h"

static bool wanted(const struct strv *types, const char *type)
{
    return types == NULL || types->n == 0 || strv_has(types, type);
}

static int containers_fill(struct engine *g, int api, struct arena *a, struct disk_usage *out)
{
    size_t n;
    struct container **all = containers_all(g, &n);

    for (size_t i = 0; i < n; i++) {
        struct err gone = {0};

        if (container_summary_fill(all[i], api, true, a, vec_add_in(a, &out->containers), &gone) <
            0)
            out->containers.n--; /* removed while we looked */
    }
    containers_free(all, n);
    return 0;
}

static void volumes_fill(struct engine *g, struct arena *a, struct disk_usage *out)
{
    struct volume_row *rows;
    size_t n;

    volumes_list(g->volumes, a, &rows, &n);
    for (size_t i = 0; i < n; i++) {
        struct volume_inspect *v = vec_add_in(a, &out->volumes);
        struct err gone = {0};

        *v = (struct volume_inspect){.created_ns = rows[i].doc.created_ns,
                                     .driver = rows[i].doc.driver,
                                     .labels = rows[i].doc.labels,
                                     .mountpoint = rows[i].doc.mountpoint,
                                     .name = rows[i].doc.name,
                                     .options = rows[i].doc.options,
                                     .scope = "local"};
        v->usage = ARENA_NEW(a, struct volume_usage);
        v->usage->ref_count = rows[i].refs;
        if (volume_usage(g->volumes, rows[i].doc.name, &v->usage->size, &gone) < 0)
            v->usage->size = -1;
    }
}

/* All committed snapshots, each once. */
static int64_t layers_size(struct engine *g, struct arena *a)
{
    struct ctd_snapshot *v;
    struct err ignored = {0};
    int64_t sum = 0;
    size_t n;

    if (ctd_snapshot_list(g->ctd, g->o.snapshotter, a, &v, &n, &ignored) < 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        int64_t size = 0;

        if (!v[i].active &&
            ctd_snapshot_usage(g->ctd, g->o.snapshotter, v[i].key, &size, &ignored) == 0)
            sum += size;
    }
    return sum;
}

int engine_df(struct engine *g, int api, const struct strv *types, bool verbose, struct buf *out,
              struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct disk_usage d = {.build_cache = "[]"};

    (void)verbose; /* from API 1.52 on */
    if (wanted(types, "image")) {
        auto_buf struct buf images = BUF_MAX(64 << 20);
        const struct image_list_opts o = {.all = true, .api = api};

        TRY(image_list(g, &o, &images, e));
        TRY(json_parse_list(&image_summary_json, (void **)&d.images.v, &d.images.n,
                            buf_cstr(&images), images.n, a, e));
        d.layers_size = layers_size(g, a);
    }
    if (wanted(types, "container"))
        TRY(containers_fill(g, api, a, &d));
    if (wanted(types, "volume"))
        volumes_fill(g, a, &d);
    json_write(&disk_usage_json, &d, out);
    return 0;
}
