/*
 * Create: decode, merge, check; then make, in an order that leaves nothing behind when a step
 * fails: name, volumes, snapshot, one transaction.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "engine/config.h"
#include "engine/core.h"
#include "engine/events.h"
#include "engine/image_trust.h"
#include "engine/names.h"
#include "engine/stores.h"
#include "sys/cgroup.h"
#include "sys/path.h"

/* What has been made so far, to be taken back. */
struct making {
    struct engine *g;
    const struct container_record *rec;
    bool name, snapshot, dir;
    struct strv volumes; /* anonymous ones, and references to the others */
};

int name_reserve(struct engine *g, const char *name, const char *id, struct err *e)
{
    struct container *c;
    const char *holder;

    pthread_mutex_lock(&g->lock);
    c = map_get(&g->by_name, name);
    holder = c != NULL ? c->id : map_get(&g->reserved, name);
    if (holder == NULL)
        map_put(&g->reserved, name, (void *)id);
    else
        (void)err_set(e, ERR_CONFLICT,
                      "Conflict. The container name \"/%s\" is already in use by container \"%s\". "
                      "You have to "
                      "remove (or rename) that container to be able to reuse that name.",
                      name, holder);
    pthread_mutex_unlock(&g->lock);
    return holder == NULL ? 0 : -1;
}

void name_unreserve(struct engine *g, const char *name)
{
    pthread_mutex_lock(&g->lock);
    map_del(&g->reserved, name);
    pthread_mutex_unlock(&g->lock);
}

static void undo(struct making *m)
{
    struct engine *g = m->g;
    struct err e = {0};

    if (m->snapshot && ctd_snapshot_remove(g->ctd, m->rec->snapshotter, m->rec->id, &e) < 0)
        log_warn("cannot remove a snapshot", "container", m->rec->id, "error", e.msg, NULL);
    vec_each(v, &m->volumes) {
        auto_arena struct arena *a = arena_new();
        struct volume_doc doc;

        volume_unref(g->volumes, *v, m->rec->id);
        if (volume_get(g->volumes, *v, a, &doc, &e) == 0 && volume_is_anonymous(&doc))
            (void)volume_remove(g->volumes, *v, true, &e);
    }
    if (m->dir) {
        auto_free char *path = mem_printf("%s/containers/%s", g->o.data_root, m->rec->id);

        (void)rmdir(path); /* the next start removes leftovers */
    }
    if (m->name)
        name_unreserve(g, m->rec->name);
}

static int parse_body(const struct create_opts *o, struct record *r, struct err *e)
{
    struct container_create doc;

    if (o->body_len == 0)
        return err_set(e, ERR_INVALID, "invalid JSON: got EOF while reading request body");
    TRY(json_parse(&container_create_json, &doc, o->body, o->body_len, r->arena, e));
    r->d.config = doc.config;
    if (doc.host != NULL)
        r->d.host = *doc.host;
    if (doc.networking != NULL)
        r->d.networking = *doc.networking;
    vec_each(n, &r->d.networking.endpoints)
        if (n->val == NULL)
            n->val = ARENA_NEW(r->arena, struct endpoint_settings);
    if (o->api < 44 && r->d.networking.endpoints.n > 1)
        return err_set(e, ERR_INVALID,
                       "Container cannot be created with multiple network endpoints");
    return 0;
}

/* The image, and what the record says about it. */
static int take_image(struct engine *g, const struct create_opts *o, struct record *r,
                      struct image **out, struct err *e)
{
    struct oci_platform platform;
    struct ctd_image found;
    const char *name;

    if (r->d.config.image == NULL || r->d.config.image[0] == '\0')
        return err_set(e, ERR_INVALID, "no image specified");
    TRY(oci_platform_parse(o->platform != NULL ? o->platform : "", r->arena, &platform, e));
    TRY(image_find(g, r->d.config.image, r->arena, &found, &name, e));
    TRY(image_load_target(g, found.digest, found.media_type, found.size, &platform, out, e));
    TRY(image_trust_run(g, r->d.config.image, name[0] == '\0', *out, e));
    r->d.image_id = arena_strdup(r->arena, (*out)->id);
    r->d.image_name = name;
    r->d.chain_id = arena_strdup(r->arena, (*out)->chain_id);
    r->d.image_manifest = ARENA_NEW(r->arena, struct oci_descriptor);
    json_copy(&oci_descriptor_json, r->d.image_manifest, &(*out)->manifest, r->arena);
    return 0;
}

/* "container:NAME" gets the full id, in all modes that can have it. */
static int resolve_modes(struct engine *g, struct record *r, struct err *e)
{
    const char **modes[] = {&r->d.host.network_mode, &r->d.host.pid_mode, &r->d.host.ipc_mode};

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        auto_container struct container *c = NULL;

        if (*modes[i] == NULL || strncmp(*modes[i], "container:", 10) != 0)
            continue;
        TRY(container_find(g, *modes[i] + 10, &c, e));
        *modes[i] = arena_printf(r->arena, "container:%s", c->id);
    }
    return 0;
}

static bool host_has_cgroup2(void)
{
    auto_arena struct arena *a = arena_new();
    struct cgroup_host host;
    struct err ignored = {0};

    return cgroup_host_read(a, &host, &ignored) == 0 && host.mode == CGROUP_V2;
}

static void set_hostname(struct record *r)
{
    struct container_config *c = &r->d.config;
    bool of_host = strcmp(r->d.host.network_mode, "host") == 0 ||
                   (r->d.host.uts_mode != NULL && strcmp(r->d.host.uts_mode, "host") == 0);
    char name[256] = "";

    if (c->hostname != NULL && c->hostname[0] != '\0')
        return;
    if (of_host && gethostname(name, sizeof(name) - 1) == 0)
        c->hostname = arena_strdup(r->arena, name);
    else
        c->hostname = arena_strndup(r->arena, r->d.id, SHORT_ID_LEN);
}

/* The daemon's mapping, unless the host's user namespace was asked for. */
static int take_userns(struct engine *g, struct record *r, struct err *e)
{
    const struct userns_maps *maps = &g->o.userns;
    const char *mode = r->d.host.userns_mode;

    if (maps->uid == NULL || (mode != NULL && strcmp(mode, "host") == 0))
        return 0;
    TRY(config_check_userns(&r->d.host, e));
    r->d.userns = ARENA_NEW(r->arena, struct userns_record);
    r->d.userns->uid = arena_strdup(r->arena, maps->uid);
    r->d.userns->gid = arena_strdup(r->arena, maps->gid);
    return 0;
}

/* Everything that needs no other object: the whole record but name and mounts' volumes. */
static int fill_record(struct engine *g, const struct create_opts *o, struct record *r,
                       struct strv *warnings, struct err *e)
{
    auto_image struct image *image = NULL;
    struct ctd_runtime runtime;
    char id[65];

    TRY(parse_body(o, r, e));
    TRY(take_image(g, o, r, &image, e));
    config_merge(&r->d.config, &image->config, r->arena);
    TRY(config_args(&r->d.config, r->arena, &r->d.args, e));
    host_config_defaults(&r->d.host, &g->o, host_has_cgroup2(), r->arena);
    TRY(config_check(&r->d.config, &r->d.host, r->arena, warnings, e));
    TRY(take_userns(g, r, e));
    TRY(engine_runtime_find(g, r->d.host.runtime, &runtime, e));
    TRY(resolve_modes(g, r, e));
    TRY(mounts_resolve(&r->d.config, &r->d.host, r->arena, &r->d, e));
    TRY(id_generate(id, e));
    r->d.id = arena_strdup(r->arena, id);
    r->d.created_ns = time_now_ns();
    r->d.snapshotter = g->o.snapshotter;
    set_hostname(r);
    r->d.log_path =
        strcmp(r->d.host.log.type, "json-file") == 0
            ? arena_printf(r->arena, "%s/containers/%s/%s-json.log", g->o.data_root, id, id)
            : "";
    return 0;
}

static int take_name(struct making *m, const char *wanted, struct record *r, struct err *e)
{
    char made[64];

    if (wanted != NULL && wanted[0] != '\0') {
        TRY(name_check(wanted, e));
        r->d.name = arena_strdup(r->arena, wanted[0] == '/' ? wanted + 1 : wanted);
        TRY(name_reserve(m->g, r->d.name, r->d.id, e));
        m->name = true;
        return 0;
    }
    for (int i = 0; i < 6 && !m->name; i++) {
        name_generate(i, made);
        m->name = name_reserve(m->g, made, r->d.id, e) == 0;
    }
    if (!m->name) {
        snprintf(made, sizeof(made), "%.12s", r->d.id);
        TRY(name_reserve(m->g, made, r->d.id, e));
        m->name = true;
    }
    r->d.name = arena_strdup(r->arena, made);
    return 0;
}

static int make_volumes(struct making *m, struct record *r, struct err *e)
{
    for (size_t i = 0; i < r->d.mounts.n; i++) {
        struct mount_record *mr = &r->d.mounts.v[i];
        struct volume_rq rq = {.name = mr->name, .driver = mr->driver};
        struct volume_doc doc;
        bool made = false;

        if (strcmp(mr->type, "volume") != 0)
            continue;
        /* labels and options of --mount are the matching entry's of HostConfig.Mounts */
        vec_each(s, &r->d.host.mounts) {
            if (s->target == NULL || strcmp(s->target, mr->target) != 0 || s->volume == NULL)
                continue;
            rq.labels = s->volume->labels;
            if (s->volume->driver != NULL)
                rq.options = s->volume->driver->options;
        }
        TRY(volume_create(m->g->volumes, &rq, r->arena, &doc, &made, e));
        mr->name = doc.name;
        mr->source = doc.mountpoint;
        vec_push_in(r->arena, &m->volumes, (char *)doc.name);
        TRY(volume_ref(m->g->volumes, doc.name, r->d.id, e));
        if (made)
            event_raise(m->g, "volume", "create", doc.name, "driver", doc.driver, NULL);
    }
    return 0;
}

static int make_snapshot(struct making *m, struct record *r, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct strmap labels = {0};
    struct ctd_mounts mounts;

    strmap_set(&labels, a, "hull.container", r->d.id);
    strmap_set(&labels, a, "hull.engine", m->g->engine_id);
    if (r->d.userns != NULL) {
        strmap_set(&labels, a, "containerd.io/snapshot/uidmapping", r->d.userns->uid);
        strmap_set(&labels, a, "containerd.io/snapshot/gidmapping", r->d.userns->gid);
    }
    TRY(ctd_snapshot_prepare(m->g->ctd, r->d.snapshotter, r->d.id, r->d.chain_id, &labels, a,
                             &mounts, e));
    m->snapshot = true;
    return volumes_copy_up(m->g, &r->d, &mounts, e);
}

static int make_dir(struct making *m, struct err *e)
{
    auto_free char *path = mem_printf("%s/containers/%s", m->g->o.data_root, m->rec->id);

    if (mkdir(path, 0710) < 0)
        return err_sys(e, "mkdir %s", path);
    m->dir = true;
    return 0;
}

/* Into the database, then into the tables. */
static int publish(struct making *m, struct record *r, struct container **out, struct err *e)
{
    struct engine *g = m->g;
    struct container *c;
    /* what removes itself does not have to survive a power cut */
    bool durable = !r->d.host.auto_remove;

    atomic_fetch_add(&r->refs, 1);
    c = container_new(g, r->d.id, r, run_new());
    if (container_save(c, durable, e) < 0) {
        container_unref(c);
        return -1;
    }
    pthread_mutex_lock(&g->lock);
    map_put(&g->by_id, c->id, container_ref(c));
    map_put(&g->by_name, r->d.name, c);
    map_del(&g->reserved, r->d.name);
    pthread_mutex_unlock(&g->lock);
    m->name = false;
    *out = c;
    return 0;
}

int container_create(struct engine *g, const struct create_opts *o, struct buf *out, struct err *e)
{
    struct record *r = record_new();
    struct making m = {.g = g, .rec = &r->d};
    struct container_created reply = {0};
    auto_container struct container *c = NULL;
    int rc = fill_record(g, o, r, &reply.warnings, e);

    if (rc == 0)
        rc = take_name(&m, o->name, r, e);
    if (rc == 0)
        rc = make_volumes(&m, r, e);
    if (rc == 0)
        rc = make_snapshot(&m, r, e);
    if (rc == 0)
        rc = make_dir(&m, e);
    if (rc == 0)
        rc = publish(&m, r, &c, e);
    if (rc < 0) {
        undo(&m);
    } else {
        container_event(c, "create", NULL);
        reply.id = c->id;
        json_write(&container_created_json, &reply, out);
    }
    record_unref(r);
    return rc;
}
