/*
 * Disk usage: what images, containers and volumes allocate, and as metadata what else lies in the
 * data root. Layers were measured when they were unpacked; blobs are rounded up to blocks; only the
 * rest is walked. Together that is what du says.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "engine/image_store.h"
#include "engine/images.h"
#include "engine/summary.h"
#include "sys/fd.h"
#include "sys/usage.h"
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

static bool is_container(struct container *const *all, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i]->id, key) == 0)
            return true;
    return false;
}

/* All snapshots but the writable ones of containers, each once: layers, and what is being made. */
static int64_t snapshots_size(struct engine *g, struct arena *a)
{
    struct ctd_snapshot *v;
    struct err ignored = {0};
    int64_t sum = 0;
    size_t n, n_all;

    if (ctd_snapshot_list(g->ctd, g->o.snapshotter, a, &v, &n, &ignored) < 0)
        return 0;
    struct container **all = containers_all(g, &n_all);
    for (size_t i = 0; i < n; i++) {
        int64_t size = 0;

        if ((!v[i].active || !is_container(all, n_all, v[i].key)) &&
            ctd_snapshot_usage(g->ctd, g->o.snapshotter, v[i].key, &size, &ignored) == 0)
            sum += size;
    }
    containers_free(all, n_all);
    return sum;
}

/* All blobs in whole blocks, those that are half there too. */
static int64_t blobs_size(struct engine *g, struct arena *a)
{
    struct ctd_blob *v;
    struct err ignored = {0};
    struct statvfs fs;
    int64_t sum = 0, block = 4096;
    size_t n;

    if (statvfs(g->o.data_root, &fs) == 0 && fs.f_frsize > 0)
        block = (int64_t)fs.f_frsize;
    if (ctd_content_list(g->ctd, a, &v, &n, &ignored) < 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        sum += (v[i].size + block - 1) / block * block;
    return sum;
}

int64_t images_disk_size(struct engine *g)
{
    auto_arena struct arena *a = arena_new();

    return snapshots_size(g, a) + blobs_size(g, a);
}

/* ---- metadata ---- */

/* Leave out DIR/NAME/sub of each NAME; sub NULL: DIR/NAME itself, when it is a file too. */
static void skip_each(int root, const char *dir, const char *sub, struct usage_skip *skip,
                      int64_t *files)
{
    auto_fd int fd = openat(root, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int copy = fd < 0 ? -1 : fd_dup(fd);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);

    if (d == NULL) {
        fd_close(copy);
        return; /* not there: an engine on a containerd of somebody else */
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
    for (struct dirent *ent; (ent = readdir(d)) != NULL;) {
        char path[NAME_MAX + 32];
        struct stat st;

        if (ent->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "%s%s%s", ent->d_name, sub != NULL ? "/" : "",
                       sub != NULL ? sub : "");
        if (fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(st.st_mode))
            vec_push(&skip->inodes, st.st_ino);
        else
            *files += (int64_t)st.st_blocks * 512;
    }
    closedir(d);
}

/* What lies in the data root and is neither blob, layer nor volume. */
static int64_t metadata_size(struct engine *g)
{
    auto_fd int root = open(g->o.data_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct usage_skip skip = {0};
    struct err ignored = {0};
    int64_t all = 0, files = 0;

    if (root < 0)
        return 0;
    skip_each(root, "containerd/blobs/sha256", NULL, &skip, &files);
    skip_each(root, "containerd/ingest", NULL, &skip, &files);
    skip_each(root, "containerd/snapshots", "fs", &skip, &files);
    skip_each(root, "volumes", "_data", &skip, &files);
    (void)usage_of_tree(root, &skip, &all, NULL, &ignored);
    vec_done(&skip.inodes);
    return MAX(all - files, (int64_t)0);
}

int engine_df(struct engine *g, int api, const struct strv *types, bool verbose, struct buf *out,
              struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct disk_usage d = {.build_cache = "[]"};

    (void)verbose; /* from API 1.52 on */
    if (wanted(types, "image")) {
        auto_buf struct buf images = BUF_MAX(64 << 20);
        const struct image_list_opts o = {
            .all = true, .shared_size = true, .containers = true, .api = api};

        TRY(image_list(g, &o, &images, e));
        TRY(json_parse_list(&image_summary_json, (void **)&d.images.v, &d.images.n,
                            buf_cstr(&images), images.n, a, e));
        d.layers_size = images_disk_size(g);
    }
    if (wanted(types, "container"))
        TRY(containers_fill(g, api, a, &d));
    if (wanted(types, "volume"))
        volumes_fill(g, a, &d);
    if (types == NULL || types->n == 0)
        d.metadata_size = metadata_size(g);
    json_write(&disk_usage_json, &d, out);
    return 0;
}
