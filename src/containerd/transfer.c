/*
 * Transfer: one call that moves an image from one place to another. Which function does it is
 * looked up by the types of source and destination; each blocks in the call's own thread, and
 * reports over the progress stream if the client has opened one.
 */
#include "containerd/transfer_run.h"

#include "base/mem.h"
#include "base/time.h"
#include "containerd/convert.h"
#include "proto/transfer.pb-c.h"
#include "store/lease.h"
#include "store/unpack.h"
#include "sys/fd.h"

/* ---- reports ---- */

void transfer_report(struct transfer *x, const struct transfer_report *r)
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

const char *transfer_platform(struct arena *a, const Types__Platform *p)
{
    if (p == NULL || *p->os == '\0')
        return NULL;
    return arena_printf(a, *p->variant != '\0' ? "%s/%s/%s" : "%s/%s", p->os, p->architecture,
                        p->variant);
}

int transfer_check_unpacks(const Transfer__ImageStore *to, struct err *e)
{
    for (size_t i = 0; i < to->n_unpacks; i++)
        TRY(snapshotter_check(to->unpacks[i]->snapshotter, e));
    return 0;
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
        o.platform = transfer_platform(x->a, to->platforms[0]);
    if (*to->name != '\0')
        o.name = to->name;
    TRY(image_import(x->d->store, &x->sc, fd, &o, x->a, &v, &n, e));
    for (size_t i = 0; i < n; i++) {
        if (v[i].name == NULL || *v[i].name == '\0')
            TRY(save_unnamed(x, to, &v[i], e));
        const struct transfer_report saved = {
            "saved", v[i].name, v[i].target.digest, v[i].target.media_type, 0, 0};
        transfer_report(x, &saved);
    }
    return 0;
}

/* A lease over what has no name yet, unless the client holds one. */
static int hold(struct transfer *x, const char **out, struct err *e)
{
    if (x->sc.lease != NULL && *x->sc.lease != '\0')
        return 0;
    TRY(lease_for_transfer(x->d->store, &x->sc, x->a, out, e));
    x->sc.lease = *out;
    return 0;
}

static int import(struct transfer *x, const void *source, const void *destination, struct err *e)
{
    const Transfer__ImageImportStream *from = source;
    const Transfer__ImageStore *to = destination;
    struct stream *st = NULL;
    struct pump *pump = NULL;
    const char *lease = NULL;
    auto_fd int fd = -1;
    TRY(transfer_check_unpacks(to, e));
    TRY(stream_claim(x->d->streams, x->sc.ns, from->stream, &st, e));
    const struct transfer_report begin = {.event = "Importing"};
    transfer_report(x, &begin);
    int r = hold(x, &lease, e);
    if (r == 0)
        r = pump_in(st, &pump, &fd, e);
    if (r == 0)
        r = import_from(x, fd, to, e);
    fd_close(take_fd(&fd)); /* the pump's writes fail from now on */
    if (pump != NULL)
        pump_end(pump, true);
    stream_close(st);
    if (lease != NULL)
        /* the platforms that were not asked for are gone when the client hears of it */
        lease_end_transfer(x->d->store, &x->sc, lease, false, to->n_platforms > 0);
    const struct transfer_report end = {.event = "Completed import"};
    if (r == 0)
        transfer_report(x, &end);
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
        o.platform = transfer_platform(x->a, to->platforms[0]);
    TRY(stream_claim(x->d->streams, x->sc.ns, to->stream, &st, e));
    const struct transfer_report begin = {.event = "Exporting"};
    transfer_report(x, &begin);
    int r = pump_out(st, &pump, &fd, e);
    if (r == 0)
        r = image_export(x->d->store, &x->sc, fd, images, n, &o, e);
    fd_close(take_fd(&fd)); /* the pump sends the rest and ends */
    if (pump != NULL)
        pump_end(pump, r < 0);
    stream_close(st);
    const struct transfer_report end = {.event = "Completed export"};
    if (r == 0)
        transfer_report(x, &end);
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
    {&transfer__ociregistry__descriptor, &transfer__image_store__descriptor, transfer_pull},
    {&transfer__image_import_stream__descriptor, &transfer__image_store__descriptor, import},
    {&transfer__image_store__descriptor, &transfer__image_export_stream__descriptor, export},
    {&transfer__image_store__descriptor, &transfer__image_store__descriptor, tag},
    {&transfer__image_store__descriptor, &transfer__ociregistry__descriptor, transfer_push},
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
