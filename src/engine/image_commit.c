/*
 * Commit: the writable layer becomes a blob (Diff), that blob a snapshot of its own (Prepare,
 * Apply, Commit), and a configuration and a manifest are written that refer to them. A lease holds
 * every piece until the name does; labels say what refers to what, so that the collector knows.
 */
#include "engine/image_commit.h"

#include <stdatomic.h>

#include "base/log.h"
#include "base/time.h"
#include "client/diff.h"
#include "engine/change_words.h"
#include "engine/config.h"
#include "engine/events.h"
#include "engine/image_store.h"
#include "types/digest.h"
#include "types/exec.h"

enum { LEASE_S = 3600 };

static atomic_uint running;

bool container_commit_runs(void)
{
    return atomic_load(&running) > 0;
}

struct commit {
    struct engine *g;
    struct container *c;
    const struct container_record *rec;
    const struct commit_opts *o;
    struct arena *a;
    const struct image *parent;
    const char *lease;
    const char *key; /* of the snapshots that live as long as this call */
    struct oci_descriptor layer;
    const char *diff_id, *chain;
    struct oci_descriptor config, manifest;
};

/* ---- the configuration ---- */

/* What an image keeps of a container's configuration. */
static void image_part(const struct container_config *from, struct container_config *to)
{
    *to = (struct container_config){
        .user = from->user,
        .exposed_ports = from->exposed_ports,
        .env = from->env,
        .cmd = from->cmd,
        .healthcheck = from->healthcheck,
        .volumes = from->volumes,
        .working_dir = from->working_dir,
        .entrypoint = from->entrypoint,
        .on_build = from->on_build,
        .labels = from->labels,
        .stop_signal = from->stop_signal,
        .shell = from->shell,
    };
}

/* The request's, then its changes, then the container's own. */
static int make_config(struct commit *m, struct container_config *out, struct err *e)
{
    struct container_config given = {0}, own, *copy = ARENA_NEW(m->a, struct container_config);

    if (m->o->body_len > 0)
        TRY(json_parse(&container_config_json, &given, m->o->body, m->o->body_len, m->a, e));
    json_copy(&container_config_json, copy, &m->rec->config, m->a);
    image_part(&given, out);
    image_part(copy, &own);
    if (m->o->changes != NULL)
        vec_each(c, m->o->changes)
            TRY(change_apply(*c, out, m->a, e));
    config_merge(out, &own, m->a);
    vec_each(s, &own.on_build)
        if (!strv_has(&out->on_build, *s))
            vec_push_in(m->a, &out->on_build, *s);
    return 0;
}

/* ---- layer and snapshot ---- */

static int make_layer(struct commit *m, struct err *e)
{
    const char *snapshotter = m->rec->snapshotter;
    struct ctd_mounts lower, upper;
    struct err ignored = {0};
    int r;

    TRY(ctd_snapshot_mounts(m->g->ctd, snapshotter, m->c->id, m->a, &upper, e));
    TRY(ctd_snapshot_view(m->g->ctd, snapshotter, m->key, m->parent->chain_id, m->lease, m->a,
                          &lower, e));
    r = ctd_diff(m->g->ctd, &lower, &upper, m->lease, m->o->cancel_fd, m->a, &m->layer, &m->diff_id,
                 e);
    (void)ctd_snapshot_remove(m->g->ctd, snapshotter, m->key, &ignored); /* else with the lease */
    return r;
}

/* The same with the container's processes held, so that no file is half written. */
static int make_layer_paused(struct commit *m, struct err *e)
{
    auto_view struct view v = container_view(m->c);
    struct err why = {0};
    int r;

    if (!m->o->pause || !v.state->running || v.state->paused)
        return make_layer(m, e);
    TRY(container_pause(m->c, e));
    r = make_layer(m, e);
    if (container_unpause(m->c, &why) < 0)
        log_warn("a container stays paused after its commit", "container", m->c->id, "error",
                 why.msg, NULL);
    return r;
}

static int make_snapshot(struct commit *m, struct err *e)
{
    const char *snapshotter = m->rec->snapshotter;
    struct strv ids = {0};
    struct ctd_mounts mounts;
    int r;

    vec_each(id, &m->parent->oci.rootfs.diff_ids)
        vec_push_in(m->a, &ids, *id);
    vec_push_in(m->a, &ids, (char *)m->diff_id);
    m->chain = digest_chain(&ids, ids.n, m->a);
    TRY(ctd_snapshot_prepare_leased(m->g->ctd, snapshotter, m->key, m->parent->chain_id, m->lease,
                                    m->a, &mounts, e));
    TRY(ctd_apply(m->g->ctd, &m->layer, &mounts, m->lease, m->o->cancel_fd, e));
    r = ctd_snapshot_commit(m->g->ctd, snapshotter, m->chain, m->key, m->lease, e);
    if (r < 0 && e->kind == ERR_EXISTS) { /* the same change was committed before */
        err_clear(e);
        r = 0;
    }
    return r;
}

/* ---- documents ---- */

static int write_document(struct commit *m, const struct buf *b, const char *media_type,
                          const struct strmap *labels, struct oci_descriptor *out, struct err *e)
{
    char *digest = arena_alloc(m->a, DIGEST_MAX);

    digest_of(b->p, b->n, digest);
    *out =
        (struct oci_descriptor){.media_type = media_type, .digest = digest, .size = (int64_t)b->n};
    return ctd_content_write(m->g->ctd, digest, b->p, b->n, labels, m->lease, e);
}

static const char *one_line(const struct strv *words, struct arena *a)
{
    const char *line = "";

    vec_each(w, words)
        line = arena_printf(a, "%s%s%s", line, w == words->v ? "" : " ", *w);
    return line;
}

static int write_config(struct commit *m, const struct container_config *config, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(1 << 20), b = BUF_MAX(OCI_CONFIG_MAX);
    struct oci_image_config doc = m->parent->oci;
    struct strmap labels = {0};
    char now[TIME_TEXT_MAX];

    json_write(&container_config_json, config, &text);
    time_format(time_now_ns(), now);
    doc.created = now;
    doc.author = m->o->author;
    doc.comment = m->o->comment;
    doc.config = buf_cstr(&text);
    doc.rootfs.type = "layers";
    doc.rootfs.diff_ids = (struct strv){0};
    vec_each(id, &m->parent->oci.rootfs.diff_ids)
        vec_push_in(m->a, &doc.rootfs.diff_ids, *id);
    vec_push_in(m->a, &doc.rootfs.diff_ids, (char *)m->diff_id);
    memset(&doc.history, 0, sizeof(doc.history));
    vec_each(h, &m->parent->oci.history)
        vec_push_in(m->a, &doc.history, *h);
    *vec_add_in(m->a, &doc.history) = (struct oci_history){
        .created = now,
        .created_by = one_line(&m->rec->config.cmd, m->a),
        .author = m->o->author,
        .comment = m->o->comment,
    };
    json_write(&oci_image_config_json, &doc, &b);
    strmap_set(&labels, m->a,
               arena_printf(m->a, "containerd.io/gc.ref.snapshot.%s", m->rec->snapshotter),
               m->chain);
    return write_document(m, &b, OCI_CONFIG, &labels, &m->config, e);
}

/* An OCI manifest names its layers in OCI's media types, whatever the parent's are. */
static const char *oci_layer_type(const char *media_type)
{
    if (strcmp(media_type, DOCKER_LAYER_GZIP) == 0)
        return OCI_LAYER_GZIP;
    return strcmp(media_type, DOCKER_LAYER) == 0 ? OCI_LAYER : media_type;
}

static int write_manifest(struct commit *m, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(OCI_MANIFEST_MAX);
    struct oci_manifest doc = {
        .schema_version = 2, .media_type = OCI_MANIFEST, .config = m->config};
    struct strmap labels = {0};

    vec_each(l, &m->parent->doc.layers) {
        struct oci_descriptor *d = vec_add_in(m->a, &doc.layers);

        *d = *l;
        d->media_type = oci_layer_type(l->media_type);
    }
    vec_push_in(m->a, &doc.layers, m->layer);
    strmap_set(&labels, m->a, "containerd.io/gc.ref.content.config", m->config.digest);
    for (size_t i = 0; i < doc.layers.n; i++)
        strmap_set(&labels, m->a, arena_printf(m->a, "containerd.io/gc.ref.content.l.%zu", i),
                   doc.layers.v[i].digest);
    json_write(&oci_manifest_json, &doc, &b);
    return write_document(m, &b, OCI_MANIFEST, &labels, &m->manifest, e);
}

/* ---- name ---- */

static int put_name(struct commit *m, const char *full, struct err *e)
{
    struct ctd_image img = {.name = full,
                            .media_type = m->manifest.media_type,
                            .digest = m->manifest.digest,
                            .size = m->manifest.size},
                     old = {.digest = ""};
    int had = 0;

    if (full == NULL) {
        img.name = arena_printf(m->a, DANGLING_PREFIX "%s", img.digest);
        return ctd_image_put(m->g->ctd, &img, e);
    }
    had = ctd_image_get(m->g->ctd, full, m->a, &old, e);
    TRY(had);
    if (had > 0)
        TRY(image_keep_dangling(m->g, full, e));
    TRY(ctd_image_put(m->g->ctd, &img, e));
    if (had > 0)
        image_drop_dangling(m->g, old.digest);
    return 0;
}

static void tell(struct commit *m, const char *full)
{
    const char *comment = m->o->comment != NULL ? m->o->comment : "";

    image_event(m->g, "create", m->manifest.digest, m->manifest.digest);
    if (full != NULL)
        image_event(m->g, "tag", m->manifest.digest, image_familiar(full, m->a));
    container_event(m->c, "commit", "comment", comment, "imageID", m->manifest.digest, "imageRef",
                    full != NULL ? full : "", NULL);
}

static int make_image(struct commit *m, const struct container_config *config, const char *full,
                      struct err *e)
{
    TRY(make_layer_paused(m, e));
    TRY(make_snapshot(m, e));
    TRY(write_config(m, config, e));
    TRY(write_manifest(m, e));
    return put_name(m, full, e);
}

static int check_state(struct container *c, const struct container_run *s, struct err *e)
{
    if (s->dead)
        return err_set(e, ERR_CONFLICT, "You cannot commit container %s which is Dead", c->id);
    if (s->removing)
        return err_set(e, ERR_CONFLICT, "You cannot commit container %s which is being removed",
                       c->id);
    return 0;
}

static int find_parent(struct commit *m, struct image **out, struct err *e)
{
    struct ctd_image *v;
    size_t n;

    TRY(ctd_image_list(m->g->ctd, arena_printf(m->a, "target.digest==%s", m->rec->image_id), m->a,
                       &v, &n, e));
    if (n == 0)
        return err_set(e, ERR_NOT_FOUND, "No such image: %s", m->rec->image_id);
    return image_load_target(m->g, v[0].digest, v[0].media_type, v[0].size, NULL, out, e);
}

/* The files of a user namespace have the host's ids on disk: our differ gives the layer those
 * inside, containerd's does not. */
static int check_differ(struct commit *m, struct err *e)
{
    const char *version = "", *revision;

    if (m->rec->userns == NULL)
        return 0;
    TRY(ctd_version(m->g->ctd, m->a, &version, &revision, e));
    if (strstr(version, "+hull.") != NULL)
        return 0;
    return err_set(e, ERR_UNIMPLEMENTED,
                   "commit of a container with a user namespace needs hull-containerd: containerd "
                   "%.50s would give the layer the ids of the host",
                   version);
}

int container_commit(struct container *c, const struct commit_opts *o, struct buf *out,
                     struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_view struct view v = container_view(c);
    auto_image struct image *parent = NULL;
    struct commit m = {.g = c->g, .c = c, .rec = v.rec, .o = o, .a = a};
    struct container_config config;
    struct err ignored = {0};
    const char *full;
    int r;

    TRY(check_state(c, v.state, e));
    TRY(check_differ(&m, e));
    TRY(image_target_name(o->repo, o->tag, "refusing to create a tag with a digest reference", a,
                          &full, e));
    TRY(make_config(&m, &config, e));
    TRY(find_parent(&m, &parent, e));
    m.parent = parent;
    m.key = arena_printf(a, COMMIT_LEASE "%.12s-%lld", c->id, (long long)time_mono_ns());
    atomic_fetch_add(&running, 1);
    r = ctd_lease_create(c->g->ctd, m.key, LEASE_S, a, &m.lease, e);
    if (r == 0)
        r = make_image(&m, &config, full, e);
    for (int tries = 0; m.lease != NULL && tries < 3;
         tries++) /* a supervisor that was killed comes back */
        if (ctd_lease_delete(c->g->ctd, m.lease, r < 0, &ignored) == 0 ||
            ignored.kind != ERR_UNAVAILABLE)
            break; /* else it ends by itself, or with `image prune -a` */
    atomic_fetch_sub(&running, 1);
    TRY(r);
    tell(&m, full);
    const struct id_reply reply = {.id = m.manifest.digest};
    json_write(&id_reply_json, &reply, out);
    return 0;
}
