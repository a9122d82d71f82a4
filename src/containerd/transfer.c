/*
 * Transfer: one call that moves an image from one place to another. Which function does it is
 * looked up by the types of source and destination; each blocks in the call's own thread, and
 * reports over the progress stream if the client has opened one.
 */
#include "containerd/transfer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "containerd/convert.h"
#include "proto/transfer.pb-c.h"
#include "proto/transfer_types.pb-c.h"
#include "registry/registry.h"
#include "store/lease.h"
#include "store/pull.h"
#include "store/unpack.h"
#include "sys/fd.h"

enum { REPORT_MS = 100, LEASE_S = 24 * 3600, AUTH_MS = 60000 };

/* What a transfer works with. */
struct transfer {
    struct ctd *d;
    struct scope sc;
    struct grpc_call *call;
    struct arena *a;
    struct stream *progress; /* NULL: nobody listens */
    struct stream *auth;     /* NULL: no credentials */
    const char *reference;   /* of the registry */
    int64_t reported_ns;     /* when a report that may be left out last went out */
};

/* ---- reports ---- */

struct report {
    const char *event, *name, *digest, *media_type;
    int64_t current, total;
};

static void report(struct transfer *x, const struct report *r)
{
    auto_arena struct arena *a = arena_new();
    Transfer__Progress m = TRANSFER__PROGRESS__INIT;
    struct err ignored = {0};
    struct oci_descriptor d = {.media_type = r->media_type != NULL ? r->media_type : "",
                               .digest = r->digest != NULL ? r->digest : "",
                               .size = r->total};
    if (x->progress == NULL)
        return;
    m.event = pb_str(r->event);
    m.name = pb_str(r->name);
    m.progress = r->current;
    m.total = r->total;
    if (r->digest != NULL)
        m.desc = descriptor_to_pb(&d, a);
    (void)stream_send(x->progress, &m.base, &ignored); /* who left needs no reports */
}

/* The words of containerd 2's own pulls, and two for what it reports otherwise. */
static const char *const pull_events[] = {
    [PULL_PULLING] = "waiting",         [PULL_WAITING] = "waiting",
    [PULL_DOWNLOADING] = "downloading", [PULL_VERIFYING] = "downloading",
    [PULL_DOWNLOADED] = "complete",     [PULL_EXTRACTING] = "extracting",
    [PULL_COMPLETE] = "extracted",      [PULL_EXISTS] = "already exists",
};

static const char *kind_of(const char *media_type)
{
    if (media_type == NULL)
        return "unknown";
    if (strstr(media_type, "layer") != NULL || strstr(media_type, "rootfs.diff") != NULL)
        return "layer";
    if (strstr(media_type, "index") != NULL || strstr(media_type, "manifest.list") != NULL)
        return "index";
    if (strstr(media_type, "manifest") != NULL)
        return "manifest";
    return "config";
}

static void on_pull(void *arg, const struct pull_progress *p)
{
    struct transfer *x = arg;
    bool step = (p->state == PULL_DOWNLOADING || p->state == PULL_EXTRACTING) && p->current > 0 &&
                (p->total == 0 || p->current < p->total);
    int64_t now_ns = time_mono_ns();
    if (x->progress == NULL)
        return;
    if (step && (now_ns - x->reported_ns < REPORT_MS * NS_PER_MS || !stream_writable(x->progress)))
        return;
    if (step)
        x->reported_ns = now_ns;
    auto_free char *name = mem_printf("%s-%s", kind_of(p->media_type), p->digest);
    const struct report r = {pull_events[p->state], name,       p->digest,
                             p->media_type,         p->current, p->total};
    report(x, &r);
}

/* ---- credentials ---- */

/* Wait for the client's answer. */
static int hear_auth(struct transfer *x, Transfer__AuthResponse **out, struct err *e)
{
    int64_t until_ns = time_mono_ns() + AUTH_MS * NS_PER_MS;
    for (;;) {
        Pb__Any *any;
        int r = stream_next(x->auth, x->a, &any);
        if (r > 0)
            return pb_any_unpack(any, &transfer__auth_response__descriptor, x->a, out, e);
        if (r < 0)
            return err_set(e, ERR_UNAVAILABLE, "the credentials stream has ended: unavailable");
        struct pollfd p[] = {{stream_fd(x->auth), POLLIN, 0},
                             {grpc_call_cancel_fd(x->call), POLLIN, 0}};
        int64_t left_ms = (until_ns - time_mono_ns()) / NS_PER_MS;
        int n = left_ms > 0 ? poll(p, ARRAY_LEN(p), (int)left_ms) : 0;
        if (n == 0)
            return err_set(e, ERR_TIMEOUT, "no credentials came");
        if (n > 0 && p[1].revents != 0)
            return err_set(e, ERR_CANCELLED, "context canceled");
    }
}

static int ask_auth(void *arg, const char *host, const char *challenge, struct registry_creds *out,
                    struct err *e)
{
    struct transfer *x = arg;
    Transfer__AuthRequest q = TRANSFER__AUTH_REQUEST__INIT;
    Transfer__AuthResponse *r;
    char *challenges[] = {pb_str(challenge)};
    *out = (struct registry_creds){0};
    if (x->auth == NULL)
        return 0;
    q.host = pb_str(host);
    q.reference = pb_str(x->reference);
    q.wwwauthenticate = challenges;
    q.n_wwwauthenticate = challenge != NULL;
    TRY(stream_send(x->auth, &q.base, e));
    TRY(hear_auth(x, &r, e));
    switch (r->authtype) {
    case TRANSFER__AUTH_TYPE__CREDENTIALS:
        out->username = r->username;
        out->password = r->secret;
        return 0;
    case TRANSFER__AUTH_TYPE__REFRESH:
        out->identity_token = r->secret;
        return 0;
    case TRANSFER__AUTH_TYPE__HEADER:
        if (strncmp(r->secret, "Bearer ", 7) != 0)
            return err_set(e, ERR_UNIMPLEMENTED,
                           "authorization headers other than Bearer: not implemented");
        out->registry_token = r->secret + 7;
        return 0;
    default:
        return 0;
    }
}

/* ---- pull ---- */

static const char *platform_text(struct arena *a, const Types__Platform *p)
{
    if (p == NULL || *p->os == '\0')
        return NULL;
    return arena_printf(a, *p->variant != '\0' ? "%s/%s/%s" : "%s/%s", p->os, p->architecture,
                        p->variant);
}

static int check_unpacks(const Transfer__ImageStore *to, struct err *e)
{
    for (size_t i = 0; i < to->n_unpacks; i++)
        TRY(snapshotter_check(to->unpacks[i]->snapshotter, e));
    return 0;
}

static const char *const *headers_of(const Transfer__RegistryResolver *r, struct arena *a)
{
    const char **v = arena_alloc_array(a, r->n_headers + 1, sizeof(*v));
    for (size_t i = 0; i < r->n_headers; i++)
        v[i] = arena_printf(a, "%s: %s", r->headers[i]->key, r->headers[i]->value);
    return v;
}

static int read_resolver(struct transfer *x, const Transfer__RegistryResolver *r,
                         struct registry_opts *o, struct err *e)
{
    if (r == NULL)
        return 0;
    if (*r->auth_stream != '\0')
        TRY(stream_claim(x->d->streams, x->sc.ns, r->auth_stream, &x->auth, e));
    o->host_dir = r->host_dir;
    o->plain_http = strcmp(r->default_scheme, "http") == 0;
    o->headers = headers_of(r, x->a);
    return 0;
}

/* libcurl and the TLS library behind it take 3 MiB: not before the first pull. That may be in any
 * thread, since 7.84 curl does not mind. */
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;

static int pull(struct transfer *x, const void *source, const void *destination, struct err *e)
{
    const Transfer__OCIRegistry *from = source;
    const Transfer__ImageStore *to = destination;
    struct registry_opts ro = {
        .ask = ask_auth, .ask_arg = x, .cancel_fd = grpc_call_cancel_fd(x->call)};
    struct pull_opts po = {.name = *to->name != '\0' ? to->name : from->reference,
                           .all_platforms = to->all_metadata,
                           .no_unpack = to->n_unpacks == 0,
                           .labels = map_from_pb(to->n_labels, to->labels, x->a),
                           .cancel_fd = ro.cancel_fd,
                           .progress = on_pull,
                           .arg = x};
    struct pull_result done;
    auto_registry_source struct image_source *src = NULL;
    struct ref ref;
    x->reference = from->reference;
    TRY(ref_parse_full(from->reference, &ref, e));
    TRY(check_unpacks(to, e));
    TRY(read_resolver(x, from->resolver, &ro, e));
    if (to->n_platforms > 0)
        po.platform = platform_text(x->a, to->platforms[0]);
    else if (to->n_unpacks > 0)
        po.platform = platform_text(x->a, to->unpacks[0]->platform);
    const struct report begin = {.event = "Resolving from OCI Registry", .name = from->reference};
    report(x, &begin);
    (void)pthread_once(&registry_once, registry_global_init);
    TRY(registry_source_open(&ref, &ro, &src, e));
    TRY(image_pull(x->d->store, &x->sc, src, &po, x->a, &done, e));
    const struct report saved = {"saved", po.name, done.target.digest, done.target.media_type,
                                 0,       0};
    report(x, &saved);
    const struct report end = {.event = "Completed pull from OCI Registry",
                               .name = from->reference};
    report(x, &end);
    return 0;
}

static int push(struct transfer *x UNUSED, const void *source UNUSED,
                const void *destination UNUSED, struct err *e)
{
    return err_set(e, ERR_UNIMPLEMENTED, "pushing images is not supported yet: not implemented");
}

/* ---- import ---- */

/* The names that an image gets beside its own: a prefix and the digest, for those without one. */
static int save_unnamed(struct transfer *x, const Transfer__ImageStore *to,
                        struct image_record *rec, struct err *e)
{
    for (size_t i = 0; i < to->n_extra_references; i++) {
        const Transfer__ImageReference *ref = to->extra_references[i];
        if (!ref->is_prefix || *ref->name == '\0')
            continue;
        rec->name = arena_printf(x->a, "%s@%s", ref->name, rec->target.digest);
        return image_put(x->d->store, &x->sc, rec, e);
    }
    return 0;
}

static int import_from(struct transfer *x, int fd, const Transfer__ImageStore *to, struct err *e)
{
    struct import_opts o = {.no_unpack = to->n_unpacks == 0,
                            .cancel_fd = grpc_call_cancel_fd(x->call)};
    struct image_record *v;
    size_t n;
    if (to->n_platforms > 0)
        o.platform = platform_text(x->a, to->platforms[0]);
    if (*to->name != '\0')
        o.name = to->name;
    TRY(image_import(x->d->store, &x->sc, fd, &o, x->a, &v, &n, e));
    for (size_t i = 0; i < n; i++) {
        if (v[i].name == NULL || *v[i].name == '\0')
            TRY(save_unnamed(x, to, &v[i], e));
        const struct report saved = {"saved", v[i].name, v[i].target.digest, v[i].target.media_type,
                                     0,       0};
        report(x, &saved);
    }
    return 0;
}

/* A lease over what has no name yet, unless the client holds one. */
static int hold(struct transfer *x, struct lease_info *out, struct err *e)
{
    char expire[TIME_TEXT_MAX];
    struct strmap labels = {0};
    if (x->sc.lease != NULL && *x->sc.lease != '\0')
        return 0;
    time_format(time_now_ns() + LEASE_S * NS_PER_S, expire);
    strmap_set(&labels, x->a, "containerd.io/gc.expire", expire);
    TRY(lease_create(x->d->store, &x->sc, "", &labels, x->a, out, e));
    x->sc.lease = out->id;
    return 0;
}

static int import(struct transfer *x, const void *source, const void *destination, struct err *e)
{
    const Transfer__ImageImportStream *from = source;
    const Transfer__ImageStore *to = destination;
    struct stream *st = NULL;
    struct pump *pump = NULL;
    struct lease_info lease = {0};
    struct err ignored = {0};
    auto_fd int fd = -1;
    TRY(check_unpacks(to, e));
    TRY(stream_claim(x->d->streams, x->sc.ns, from->stream, &st, e));
    const struct report begin = {.event = "Importing"};
    report(x, &begin);
    int r = hold(x, &lease, e);
    if (r == 0)
        r = pump_in(st, &pump, &fd, e);
    if (r == 0)
        r = import_from(x, fd, to, e);
    fd_close(take_fd(&fd)); /* the pump's writes fail from now on */
    if (pump != NULL)
        pump_end(pump, true);
    stream_close(st);
    if (lease.id != NULL)
        (void)lease_delete(x->d->store, &x->sc, lease.id, false, &ignored); /* it expires, too */
    const struct report end = {.event = "Completed import"};
    if (r == 0)
        report(x, &end);
    return r;
}

/* ---- export ---- */

static int find_images(struct transfer *x, const Transfer__ImageStore *from,
                       struct image_record **out, size_t *out_n, struct err *e)
{
    *out = arena_alloc_array(x->a, from->n_extra_references + 1, sizeof(**out));
    *out_n = 0;
    if (*from->name != '\0')
        TRY(image_get(x->d->store, &x->sc, from->name, x->a, &(*out)[(*out_n)++], e));
    for (size_t i = 0; i < from->n_extra_references; i++)
        TRY(image_get(x->d->store, &x->sc, from->extra_references[i]->name, x->a,
                      &(*out)[(*out_n)++], e));
    return *out_n > 0 ? 0 : err_set(e, ERR_INVALID, "no image to export: invalid argument");
}

static int export(struct transfer *x, const void *source, const void *destination, struct err *e)
{
    const Transfer__ImageStore *from = source;
    const Transfer__ImageExportStream *to = destination;
    struct export_opts o = {.cancel_fd = grpc_call_cancel_fd(x->call)};
    struct image_record *images;
    struct stream *st = NULL;
    struct pump *pump = NULL;
    auto_fd int fd = -1;
    size_t n;
    TRY(find_images(x, from, &images, &n, e));
    if (to->n_platforms > 0 && !to->all_platforms)
        o.platform = platform_text(x->a, to->platforms[0]);
    TRY(stream_claim(x->d->streams, x->sc.ns, to->stream, &st, e));
    const struct report begin = {.event = "Exporting"};
    report(x, &begin);
    int r = pump_out(st, &pump, &fd, e);
    if (r == 0)
        r = image_export(x->d->store, &x->sc, fd, images, n, &o, e);
    fd_close(take_fd(&fd)); /* the pump sends the rest and ends */
    if (pump != NULL)
        pump_end(pump, r < 0);
    stream_close(st);
    const struct report end = {.event = "Completed export"};
    if (r == 0)
        report(x, &end);
    return r;
}

/* ---- tag ---- */

static int tag(struct transfer *x, const void *source, const void *destination, struct err *e)
{
    const Transfer__ImageStore *from = source, *to = destination;
    struct image_record rec;
    TRY(image_get(x->d->store, &x->sc, from->name, x->a, &rec, e));
    rec.name = to->name;
    rec.labels = map_from_pb(to->n_labels, to->labels, x->a);
    return image_put(x->d->store, &x->sc, &rec, e);
}

/* ---- the call ---- */

static const struct {
    const ProtobufCMessageDescriptor *source, *destination;
    int (*run)(struct transfer *x, const void *source, const void *destination, struct err *e);
} ways[] = {
    {&transfer__ociregistry__descriptor, &transfer__image_store__descriptor, pull},
    {&transfer__image_import_stream__descriptor, &transfer__image_store__descriptor, import},
    {&transfer__image_store__descriptor, &transfer__image_export_stream__descriptor, export},
    {&transfer__image_store__descriptor, &transfer__image_store__descriptor, tag},
    {&transfer__image_store__descriptor, &transfer__ociregistry__descriptor, push},
};

static int run(struct transfer *x, const Transfer__TransferRequest *q, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        ProtobufCMessage *source, *destination;
        if (!pb_any_is(q->source, ways[i].source) ||
            !pb_any_is(q->destination, ways[i].destination))
            continue;
        TRY(pb_any_unpack(q->source, ways[i].source, x->a, &source, e));
        TRY(pb_any_unpack(q->destination, ways[i].destination, x->a, &destination, e));
        return ways[i].run(x, source, destination, e);
    }
    return err_set(e, ERR_UNIMPLEMENTED, "transfer from %s to %s: not implemented",
                   q->source != NULL ? q->source->type_url : "nothing",
                   q->destination != NULL ? q->destination->type_url : "nothing");
}

static int transfer(struct grpc_call *c, const void *req, struct err *e)
{
    const Transfer__TransferRequest *q = req;
    struct transfer x = {.d = grpc_call_ctx(c), .call = c, .a = grpc_call_arena(c)};
    TRY(call_scope(c, &x.sc, e));
    if (q->options != NULL && *q->options->progress_stream != '\0')
        TRY(stream_claim(x.d->streams, x.sc.ns, q->options->progress_stream, &x.progress, e));
    int r = run(&x, q, e);
    stream_close(x.auth);
    stream_close(x.progress);
    return r < 0 ? -1 : grpc_call_reply_empty(c, e);
}

static const struct grpc_method methods[] = {
    {"containerd.services.transfer.v1.Transfer", "Transfer",
     &transfer__transfer_request__descriptor, &pb__empty__descriptor, GRPC_UNARY, GRPC_SLOW,
     transfer},
};

void service_transfer_add(struct grpc_server *s)
{
    grpc_server_add(s, methods, ARRAY_LEN(methods));
}
