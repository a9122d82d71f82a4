/* Pull, load and save: the supervisor works, here its reports become Docker's progress lines. */
#include <errno.h>

#include "base/log.h"
#include "client/transfer.h"
#include "engine/image_store.h"
#include "engine/image_trust.h"
#include "engine/images.h"
#include "engine/progress.h"
#include "engine/registry.h"
#include "types/reference.h"

/* ---- progress lines ---- */

struct layer {
    const char *digest;
    enum {
        LAYER_NEW,
        LAYER_WAITING,
        LAYER_LOADING,
        LAYER_LOADED,
        LAYER_EXTRACTING,
        LAYER_DONE
    } state;
};

struct report {
    const struct sink *sink;
    struct arena *a;
    VEC(struct layer) layers;
    bool quiet, started, any;  /* any: of this or of an image before it */
    struct progress_line head; /* goes out before the first line of a pull; status NULL: none */
    struct strv saved;         /* names of images that were stored (load) */
};

/* The first line waits until the registry has answered: what fails before gets a status of its own.
 */
static int begin_lines(struct report *r, struct err *e)
{
    if (r->started)
        return 0;
    r->started = r->any = true;
    return r->head.status != NULL ? progress_write(r->sink, &r->head, e) : 0;
}

static struct layer *layer_of(struct report *r, const char *digest)
{
    struct layer *l;

    vec_each(x, &r->layers)
        if (strcmp(x->digest, digest) == 0)
            return x;
    l = vec_add_in(r->a, &r->layers);
    l->digest = arena_strdup(r->a, digest);
    return l;
}

static int layer_line(struct report *r, const struct layer *l, const char *status, int64_t current,
                      int64_t total, struct err *e)
{
    struct progress_detail detail = {.current = current, .total = total};
    struct progress_line line = {.status = status, .detail = &detail};

    TRY(begin_lines(r, e));
    line.id = arena_printf(r->a, "%.12s", digest_hex(l->digest));
    return progress_write(r->sink, &line, e);
}

/* What the service calls the states of a part. */
static const struct {
    const char *event;
    int state;
} events[] = {
    {"waiting", LAYER_WAITING},      {"downloading", LAYER_LOADING},
    {"complete", LAYER_LOADED},      {"done", LAYER_LOADED},
    {"downloaded", LAYER_LOADED},    {"extracting", LAYER_EXTRACTING},
    {"unpacking", LAYER_EXTRACTING}, {"extracted", LAYER_DONE},
    {"unpacked", LAYER_DONE},
};

static int layer_move(struct report *r, struct layer *l, int state,
                      const struct transfer_progress *p, struct err *e)
{
    if (l->state == LAYER_DONE || (state < (int)l->state))
        return 0;
    if (l->state == LAYER_NEW)
        TRY(layer_line(r, l, "Pulling fs layer", 0, 0, e));
    if (state == LAYER_LOADING)
        TRY(layer_line(r, l, "Downloading", p->progress, p->total, e));
    if (state >= LAYER_LOADED && l->state < LAYER_LOADED)
        TRY(layer_line(r, l, "Download complete", 0, 0, e));
    if (state == LAYER_EXTRACTING)
        TRY(layer_line(r, l, "Extracting", p->progress, p->total, e));
    if (state == LAYER_DONE)
        TRY(layer_line(r, l, "Pull complete", 0, 0, e));
    l->state = (__typeof__(l->state))MAX(state, LAYER_WAITING);
    return 0;
}

static int on_progress(void *arg, const struct transfer_progress *p, struct err *e)
{
    struct report *r = arg;
    struct layer *l;

    if (strcmp(p->event, "saved") == 0 && p->name[0] != '\0') {
        vec_push_in(r->a, &r->saved, arena_strdup(r->a, p->name));
        return 0;
    }
    if (r->quiet || p->digest == NULL || !oci_is_layer(p->media_type))
        return 0;
    l = layer_of(r, p->digest);
    if (strcmp(p->event, "already exists") == 0) {
        if (l->state == LAYER_NEW)
            TRY(layer_line(r, l, "Already exists", 0, 0, e));
        l->state = LAYER_DONE;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        if (strcmp(p->event, events[i].event) == 0)
            return layer_move(r, l, events[i].state, p, e);
    return 0;
}

static int finish_layers(struct report *r, struct err *e)
{
    struct transfer_progress none = {.event = ""};

    vec_each(l, &r->layers)
        TRY(layer_move(r, l, LAYER_DONE, &none, e));
    return 0;
}

static const char *given(const char *s)
{
    return s != NULL && s[0] != '\0' ? s : NULL;
}

/* ---- pull ---- */

static int pull_reference(const struct pull_opts *o, struct arena *a, struct ref *out,
                          struct err *e)
{
    const char *name = o->from_image, *tag = given(o->tag);
    size_t n = strlen(name);

    if (n > 0 && name[n - 1] == ':')
        name = arena_strndup(a, name, n - 1);
    if (tag != NULL)
        name = arena_printf(a, "%s%c%s", name, strncmp(tag, "sha256:", 7) == 0 ? '@' : ':', tag);
    TRY(ref_parse(name, out, e));
    if (strcmp(out->path, "library/scratch") == 0)
        return err_set(e, ERR_FORBIDDEN, "'scratch' is a reserved name");
    return 0;
}

/* What the supervisor is told: what the name stands for, or, under a policy, what it has vouched
 * for. */
static int transfer(struct engine *g, const struct ref *ref, const struct pull_opts *o,
                    struct report *r, struct trust_grant *grant, struct err *e)
{
    char full[REF_TEXT_MAX];
    struct oci_platform platform;
    const struct trust_question question = {ref, given(o->platform),
                                            registry_auth_read(o->auth, r->a), o->cancel_fd};
    struct transfer_pull p = {.store_as = full,
                              .auth = question.auth,
                              .settings = g->o.registry,
                              .snapshotter = g->o.snapshotter,
                              .cancel_fd = o->cancel_fd,
                              .progress = on_progress,
                              .arg = r};

    ref_format(ref, full);
    TRY(oci_platform_parse(o->platform != NULL ? o->platform : "", r->a, &platform, e));
    TRY(registry_host_dir(g, ref->domain, r->a, &p.host_dir, e));
    TRY(image_trust_pull(g, &question, r->a, grant, e));
    p.reference = grant->digest == NULL
                      ? full
                      : arena_printf(r->a, "%s/%s@%s", ref->domain, ref->path, grant->digest);
    p.os = platform.os;
    p.arch = platform.architecture;
    p.variant = given(platform.variant);
    return ctd_pull(g->ctd, &p, e);
}

static int pull_now(struct engine *g, const struct ref *ref, const struct pull_opts *o,
                    struct report *r, struct err *e)
{
    char full[REF_TEXT_MAX], familiar[REF_TEXT_MAX];
    struct ctd_image before = {.digest = ""}, after;
    struct trust_grant grant;
    bool same;
    int had;

    ref_format(ref, full);
    ref_familiar(ref, familiar);
    had = ctd_image_get(g->ctd, full, r->a, &before, e);
    TRY(had);
    if (had > 0)
        TRY(image_keep_dangling(g, full, e));
    r->head.status = arena_printf(r->a, "Pulling from %s", ref->path);
    r->head.id = ref->digest[0] != '\0' ? ref->digest : ref->tag;
    if (transfer(g, ref, o, r, &grant, e) < 0 ||
        ctd_image_get(g->ctd, full, r->a, &after, e) <= 0) {
        if (had > 0)
            image_drop_dangling(g, before.digest);
        if (e->kind == ERR_NOT_FOUND && strstr(e->msg, "manifest") == NULL &&
            strstr(e->msg, "denied") == NULL)
            return err_wrap(e, "manifest for %s not found: manifest unknown", familiar);
        return e->kind != ERR_NONE
                   ? -1
                   : err_set(e, ERR_INTERNAL, "%s was pulled, but is not there", familiar);
    }
    same = had > 0 && strcmp(before.digest, after.digest) == 0;
    if (had > 0)
        image_drop_dangling(g, before.digest);
    TRY(image_trust_keep(g, &grant, e));
    TRY(begin_lines(r, e));
    TRY(finish_layers(r, e));
    struct progress_line digest = {.status = arena_printf(r->a, "Digest: %s", after.digest)};
    struct progress_line status = {
        .status = arena_printf(r->a, "Status: %s for %s",
                               same ? "Image is up to date" : "Downloaded newer image", familiar)};
    TRY(progress_write(r->sink, &digest, e));
    TRY(progress_write(r->sink, &status, e));
    image_event(g, "pull", familiar, familiar);
    return 0;
}

/* One after the other, as Docker does; what fails ends it. */
static int pull_tags(struct engine *g, const struct ref *repo, const struct pull_opts *o,
                     struct report *r, struct err *e)
{
    char full[REF_TEXT_MAX];
    struct registry_job job = {.op = "tags", .reference = full};
    struct registry_answer answer;

    ref_format(repo, full);
    TRY(registry_ask(g, &job, repo->domain, registry_auth_read(o->auth, r->a), o->cancel_fd, r->a,
                     &answer, e));
    vec_each(tag, &answer.tags) {
        struct ref *ref = ARENA_NEW(r->a, struct ref); /* the report keeps it */

        TRY(ref_parse_full(arena_printf(r->a, "%s:%s", full, *tag), ref, e));
        r->started = false;
        r->layers.n = 0;
        TRY(pull_now(g, ref, o, r, e));
    }
    return answer.tags.n > 0 ? 0
                             : err_set(e, ERR_NOT_FOUND, "repository %s has no tags", repo->path);
}

int image_pull(struct engine *g, const struct pull_opts *o, const struct sink *sink, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct report r = {.sink = sink, .a = a};
    struct err why = {0};
    struct ref ref;
    bool has;

    TRY(pull_reference(o, a, &ref, e));
    TRY(ctd_has_transfer(g->ctd, &has, e));
    if (!has)
        return err_set(
            e, ERR_UNIMPLEMENTED,
            "pull needs a containerd with the transfer service (2.0 or newer, or hull-containerd)");
    bool all = ref.tag[0] == '\0' && ref.digest[0] == '\0';
    if ((all ? pull_tags(g, &ref, o, &r, &why) : pull_now(g, &ref, o, &r, &why)) == 0)
        return 0;
    if (!r.any) {
        *e = why;
        return -1;
    }
    progress_fail(sink, &why);
    return 0;
}

/* ---- load and save ---- */

struct load_arg {
    struct report report; /* first: on_progress gets it */
    const struct source_stream *body;
};

static ssize_t load_read(void *arg, void *p, size_t cap, struct err *e)
{
    struct load_arg *l = arg;

    return l->body->read(l->body->arg, p, cap, e);
}

static int load_progress(void *arg, const struct transfer_progress *p, struct err *e)
{
    struct load_arg *l = arg;

    return on_progress(&l->report, p, e);
}

static int loaded_line(struct engine *g, struct report *r, const char *name, struct err *e)
{
    struct ctd_image img;
    char familiar[REF_TEXT_MAX];
    struct progress_line line = {0};
    struct ref ref;
    int found = ctd_image_get(g->ctd, name, r->a, &img, e);

    TRY(found);
    if (found == 0)
        return 0;
    if (image_name_is_dangling(name) || ref_parse_full(name, &ref, e) < 0) {
        line.stream = arena_printf(r->a, "Loaded image ID: %s\n", img.digest);
    } else {
        ref_familiar(&ref, familiar);
        line.stream = arena_printf(r->a, "Loaded image: %s\n", familiar);
    }
    image_event(g, "load", img.digest, img.digest);
    return progress_write(r->sink, &line, e);
}

static int load_now(struct engine *g, struct load_arg *l, const struct load_opts *o, struct err *e)
{
    const struct transfer_import p = {.read = load_read,
                                      .progress = load_progress,
                                      .arg = l,
                                      .snapshotter = g->o.snapshotter,
                                      .prefix = "moby-dangling",
                                      .platform = o->platform,
                                      .cancel_fd = o->cancel_fd};
    struct strv done = {0};

    TRY(ctd_import(g->ctd, &p, e));
    vec_each(name, &l->report.saved) {
        if (strv_has(&done, *name))
            continue;
        vec_push_in(l->report.a, &done, *name);
        TRY(loaded_line(g, &l->report, *name, e));
    }
    return 0;
}

int image_load(struct engine *g, const struct load_opts *o, const struct source_stream *body,
               const struct sink *sink, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct load_arg l = {.report = {.sink = sink, .a = a, .quiet = true}, .body = body};
    struct err why = {0};
    bool has;

    /* o->quiet: layers are unpacked as they come, there is no second pass to tell about */
    TRY(ctd_has_transfer(g->ctd, &has, e));
    if (!has)
        return err_set(
            e, ERR_UNIMPLEMENTED,
            "load needs a containerd with the transfer service (2.0 or newer, or hull-containerd)");
    if (load_now(g, &l, o, &why) < 0)
        progress_fail(sink, &why);
    return 0;
}

struct save_arg {
    const struct sink *sink;
};

static int save_write(void *arg, const void *p, size_t n, struct err *e)
{
    struct save_arg *s = arg;

    return s->sink->write(s->sink->arg, p, n, e);
}

/* The stored names that one name of the request stands for. */
static int save_names(struct engine *g, const char *name, struct arena *a, struct strv *out,
                      struct err *e)
{
    struct ctd_image img, *all;
    const char *stored;
    struct err ignored = {0};
    struct ref want, have;
    size_t n, before = out->n;

    if (ref_parse(name, &want, &ignored) == 0 && want.tag[0] == '\0' && want.digest[0] == '\0') {
        TRY(ctd_image_list(g->ctd, NULL, a, &all, &n, e));
        for (size_t i = 0; i < n; i++)
            if (ref_parse_full(all[i].name, &have, &ignored) == 0 &&
                strcmp(have.domain, want.domain) == 0 && strcmp(have.path, want.path) == 0 &&
                have.tag[0] != '\0')
                vec_push_in(a, out, (char *)all[i].name);
        if (out->n > before)
            return 0;
    }
    TRY(image_find(g, name, a, &img, &stored, e));
    vec_push_in(a, out, (char *)(stored[0] != '\0' ? stored : img.name));
    return 0;
}

/* Before the first byte goes out. */
static int check_variant(struct engine *g, const char *stored, const struct oci_platform *platform,
                         struct arena *a, struct err *e)
{
    auto_image struct image *i = NULL;
    struct ctd_image img;
    int there = platform != NULL ? ctd_image_get(g->ctd, stored, a, &img, e) : 0;

    TRY(there);
    if (there == 0)
        return 0; /* a name that has just gone is told of by who exports it */
    return image_load_variant(g, &img, image_familiar(stored, a), platform, &i, e) < 0
               ? err_wrap(e, "no suitable export target found")
               : 0;
}

int image_save(struct engine *g, const struct strv *names, const struct oci_platform *platform,
               const struct sink *sink, int cancel_fd, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct strv stored = {0};
    struct save_arg s = {sink};
    const struct transfer_export p = {.names = &stored,
                                      .platform = platform,
                                      .write = save_write,
                                      .arg = &s,
                                      .cancel_fd = cancel_fd};

    if (names->n == 0)
        return err_set(e, ERR_INVALID, "no image names given");
    vec_each(n, names)
        TRY(save_names(g, *n, a, &stored, e));
    vec_each(n, &stored)
        TRY(check_variant(g, *n, platform, a, e));
    TRY(ctd_export(g->ctd, &p, e));
    vec_each(n, &stored)
        image_event(g, "save", *n, *n);
    return 0;
}
