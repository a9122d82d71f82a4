/*
 * Transfers: one call that does all the work in the supervisor, and streams beside it for progress,
 * credentials and the archive's bytes. One thread polls all of them, so nothing here waits for one
 * while another has something to say.
 *
 * Source: containerd's services transfer v1 and streaming v1.
 */
#include "client/transfer.h"

#include <errno.h>
#include <poll.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/str.h"
#include "proto/streaming.pb-c.h"
#include "proto/transfer.pb-c.h"
#include "proto/transfer_types.pb-c.h"
#include "types/registry_job.h"

enum {
    SETTINGS_MAX = 64 << 10,   /* bytes, as metadata */
    DATA_CHUNK = 32 << 10,     /* bytes in one message; the original takes no longer ones */
    EXPORT_WINDOW = 512 << 10, /* bytes an export may be ahead of us */
};

/* One transfer under way. */
struct xfer {
    struct ctd *c;
    struct arena *a;              /* messages live for one turn of the loop, see turn() */
    struct grpc_stream *call;     /* the Transfer call itself */
    struct grpc_stream *progress; /* NULL: nobody asked, or ended */
    struct grpc_stream *auth;
    struct grpc_stream *data; /* the archive */
    int cancel_fd;

    const struct transfer_auth *credentials;
    const struct registry_settings *settings;
    const char *reference; /* that they are for */
    transfer_progress_fn *on_progress;
    transfer_read_fn *read;
    transfer_write_fn *write;
    void *arg;
    int64_t window; /* bytes that may be sent (import), or that the peer may still send (export) */
};

static void xfer_done(struct xfer *x)
{
    grpc_stream_free(x->call);
    grpc_stream_free(x->progress);
    grpc_stream_free(x->auth);
    grpc_stream_free(x->data);
    arena_free(x->a);
}
#define auto_xfer CLEANUP(xfer_done)

static int send_any(struct grpc_stream *s, const ProtobufCMessage *msg, struct arena *a,
                    struct err *e)
{
    return grpc_stream_send(s, &pb_any_new(msg, a)->base, e);
}

/* Open a stream and give it a name that the transfer can refer to. */
static int side_stream(struct xfer *x, const char *kind, struct arena *names, const char **out_id,
                       struct grpc_stream **out, struct err *e)
{
    struct ctd_opts o = CTD_OPTS();
    Streaming__StreamInit init = STREAMING__STREAM_INIT__INIT;
    unsigned char random[8];
    char hex[2 * sizeof(random) + 1];
    Pb__Any *ack;

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_sys(e, "getrandom");
    str_hex(random, sizeof(random), hex);
    *out_id = arena_printf(names, "%s-%s", kind, hex);
    init.id = (char *)*out_id;
    o.cancel_fd = x->cancel_fd;
    TRY(ctd_stream(x->c, "/containerd.services.streaming.v1.Streaming/Stream", &o, out, e));
    TRY(send_any(*out, &init.base, x->a, e));
    if (grpc_stream_recv(*out, &pb__any__descriptor, x->a, &ack, e) <= 0)
        return e->kind != ERR_NONE ? -1
                                   : err_set(e, ERR_UNAVAILABLE, "containerd closed the stream");
    return 0;
}

static int start(struct xfer *x, const ProtobufCMessage *source,
                 const ProtobufCMessage *destination, const char *progress_id, struct err *e)
{
    struct ctd_opts o = CTD_OPTS();
    auto_buf struct buf settings = BUF_MAX(SETTINGS_MAX);
    Transfer__TransferOptions options = TRANSFER__TRANSFER_OPTIONS__INIT;
    Transfer__TransferRequest req = TRANSFER__TRANSFER_REQUEST__INIT;

    o.cancel_fd = x->cancel_fd;
    if (x->settings != NULL) {
        json_write(&registry_settings_json, x->settings, &settings);
        o.settings = buf_cstr(&settings);
    }
    req.source = pb_any_new(source, x->a);
    req.destination = pb_any_new(destination, x->a);
    options.progress_stream = (char *)progress_id;
    req.options = &options;
    TRY(ctd_stream(x->c, "/containerd.services.transfer.v1.Transfer/Transfer", &o, &x->call, e));
    TRY(grpc_stream_send(x->call, &req.base, e));
    grpc_stream_close_send(x->call);
    return 0;
}

static void stream_end(struct grpc_stream **s)
{
    grpc_stream_free(*s);
    *s = NULL;
}

static int take_progress(struct xfer *x, struct err *e)
{
    Pb__Any *any;
    Transfer__Progress *m;
    struct err ignored = {0};

    if (grpc_stream_recv(x->progress, &pb__any__descriptor, x->a, &any, &ignored) <= 0) {
        stream_end(&x->progress); /* what failed is told by the call */
        return 0;
    }
    TRY(pb_any_unpack(any, &transfer__progress__descriptor, x->a, &m, e));
    struct transfer_progress p = {
        .event = m->event,
        .name = m->name,
        .digest = m->desc != NULL && m->desc->digest[0] != '\0' ? m->desc->digest : NULL,
        .media_type = m->desc != NULL ? m->desc->media_type : "",
        .progress = m->progress,
        .total = m->total,
    };
    return x->on_progress(x->arg, &p, e);
}

/* The host that asks is the reference's own registry, and no mirror of it. */
static bool is_own_host(const char *reference, const char *host)
{
    static const char *const hub[] = {"registry-1.docker.io", "index.docker.io"};
    struct str rest = str_of(reference), domain = str_cut(&rest, '/');

    if (str_eq(domain, host))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(hub); i++)
        if (str_eq(domain, "docker.io") && strcmp(host, hub[i]) == 0)
            return true;
    return false;
}

static int take_auth(struct xfer *x, struct err *e)
{
    const struct transfer_auth *c = x->credentials;
    Pb__Any *any;
    Transfer__AuthRequest *q;
    Transfer__AuthResponse r = TRANSFER__AUTH_RESPONSE__INIT;
    struct err ignored = {0};

    if (grpc_stream_recv(x->auth, &pb__any__descriptor, x->a, &any, &ignored) <= 0) {
        stream_end(&x->auth);
        return 0;
    }
    TRY(pb_any_unpack(any, &transfer__auth_request__descriptor, x->a, &q, e));
    if (!is_own_host(x->reference, q->host)) {
        r.authtype = TRANSFER__AUTH_TYPE__NONE;
    } else if (c->registry_token != NULL) {
        r.authtype = TRANSFER__AUTH_TYPE__HEADER;
        r.secret = arena_printf(x->a, "Bearer %s", c->registry_token);
    } else if (c->identity_token != NULL) {
        r.authtype = TRANSFER__AUTH_TYPE__REFRESH;
        r.secret = (char *)c->identity_token;
    } else if (c->username != NULL) {
        r.authtype = TRANSFER__AUTH_TYPE__CREDENTIALS;
        r.username = (char *)c->username;
        r.secret = (char *)c->password;
    }
    return send_any(x->auth, &r.base, x->a, e);
}

/* Import: the service allows more bytes. */
static int take_window(struct xfer *x, struct err *e)
{
    Pb__Any *any;
    Transfer__WindowUpdate *m;
    struct err ignored = {0};

    if (grpc_stream_recv(x->data, &pb__any__descriptor, x->a, &any, &ignored) <= 0) {
        stream_end(&x->data);
        return 0;
    }
    TRY(pb_any_unpack(any, &transfer__window_update__descriptor, x->a, &m, e));
    x->window += m->update;
    return 0;
}

/* Import: send one piece of the archive. */
static int give_data(struct xfer *x, struct err *e)
{
    Transfer__Data m = TRANSFER__DATA__INIT;
    ssize_t n;

    m.data.data = arena_alloc(x->a, DATA_CHUNK);
    n = x->read(x->arg, m.data.data, (size_t)MIN(x->window, DATA_CHUNK), e);
    if (n < 0)
        return -1;
    if (n == 0) {
        grpc_stream_close_send(x->data);
        x->read = NULL;
        return 0;
    }
    m.data.len = (size_t)n;
    x->window -= n;
    struct err gone = {0};
    if (send_any(x->data, &m.base, x->a, &gone) < 0)
        stream_end(&x->data); /* the service has stopped reading: the call says why */
    return 0;
}

/* Export: take bytes and allow more. */
static int take_data(struct xfer *x, struct err *e)
{
    Pb__Any *any;
    Transfer__Data *m;
    Transfer__WindowUpdate more = TRANSFER__WINDOW_UPDATE__INIT;
    struct err ignored = {0};

    if (grpc_stream_recv(x->data, &pb__any__descriptor, x->a, &any, &ignored) <= 0) {
        stream_end(&x->data);
        return 0;
    }
    TRY(pb_any_unpack(any, &transfer__data__descriptor, x->a, &m, e));
    TRY(x->write(x->arg, m->data.data, m->data.len, e));
    x->window -= (int64_t)m->data.len;
    if (x->window > EXPORT_WINDOW / 2)
        return 0;
    more.update = (int32_t)(EXPORT_WINDOW - x->window);
    x->window = EXPORT_WINDOW;
    (void)send_any(x->data, &more.base, x->a, &ignored); /* a lost stream shows in the next turn */
    return 0;
}

/* The call has something to say: 1 it goes on, 0 it has ended well, -1 it has failed. */
static int take_call(struct xfer *x, struct err *e)
{
    Pb__Empty *m;

    return grpc_stream_recv(x->call, &pb__empty__descriptor, x->a, &m, e);
}

static bool ready(struct grpc_stream *s, int timeout_ms)
{
    struct pollfd p = {.fd = s != NULL ? grpc_stream_fd(s) : -1, .events = POLLIN};

    return s != NULL && poll(&p, 1, timeout_ms) > 0;
}

/* Move what there is to be moved on the side streams; true: something was. */
static int turn_sides(struct xfer *x, bool *out_moved, struct err *e)
{
    *out_moved = false;
    if (ready(x->progress, 0)) {
        *out_moved = true;
        TRY(take_progress(x, e));
    }
    if (ready(x->auth, 0)) {
        *out_moved = true;
        TRY(take_auth(x, e));
    }
    if (ready(x->data, 0)) {
        *out_moved = true;
        TRY(x->write != NULL ? take_data(x, e) : take_window(x, e));
    }
    if (x->data != NULL && x->read != NULL && x->window > 0) {
        *out_moved = true;
        TRY(give_data(x, e));
    }
    return 0;
}

static int run(struct xfer *x, struct err *e)
{
    bool moved = false;

    for (;;) {
        struct grpc_stream *all[] = {x->call, x->progress, x->auth, x->data};
        struct pollfd p[ARRAY_LEN(all) + 1];

        for (size_t i = 0; i < ARRAY_LEN(all); i++)
            p[i] = (struct pollfd){all[i] != NULL ? grpc_stream_fd(all[i]) : -1, POLLIN, 0};
        p[ARRAY_LEN(all)] = (struct pollfd){x->cancel_fd, POLLIN, 0};
        if (poll(p, ARRAY_LEN(p), moved ? 0 : -1) < 0 && errno != EINTR)
            return err_sys(e, "poll");
        if (p[ARRAY_LEN(all)].revents != 0)
            return err_set(e, ERR_CANCELLED, "cancelled");
        arena_free(x->a);
        x->a = arena_new();
        if (p[0].revents != 0) {
            int r = take_call(x, e);

            TRY(r);
            if (r == 0)
                break;
        }
        TRY(turn_sides(x, &moved, e));
    }
    do { /* the last reports, and the rest of an export, came before the answer but on other streams
          */
        TRY(turn_sides(x, &moved, e));
    } while (moved || (x->write != NULL && x->data != NULL && ready(x->data, 1000)));
    return 0;
}

static int registry(struct xfer *x, const struct transfer_pull *p, struct arena *names,
                    Transfer__RegistryResolver *resolver, Transfer__OCIRegistry *out, struct err *e)
{
    const char *id;

    out->reference = (char *)p->reference;
    out->resolver = resolver;
    x->reference = p->reference;
    if (p->host_dir != NULL)
        resolver->host_dir = (char *)p->host_dir;
    if (p->auth != NULL) {
        TRY(side_stream(x, "auth", names, &id, &x->auth, e));
        resolver->auth_stream = (char *)id;
    }
    return 0;
}

static int begin(struct xfer *x, struct arena *names, const char **out_progress, struct err *e)
{
    bool has;

    TRY(ctd_has_transfer(x->c, &has, e));
    if (!has)
        return err_set(e, ERR_UNIMPLEMENTED,
                       "this containerd has no transfer service (2.0 or newer is needed)");
    *out_progress = NULL;
    if (x->on_progress != NULL)
        TRY(side_stream(x, "progress", names, out_progress, &x->progress, e));
    return 0;
}

static void platform_set(const struct transfer_pull *p, Types__Platform *out)
{
    out->os = (char *)p->os;
    out->architecture = (char *)p->arch;
    out->variant = (char *)p->variant;
}

int ctd_pull(struct ctd *c, const struct transfer_pull *p, struct err *e)
{
    auto_arena struct arena *names = arena_new();
    auto_xfer struct xfer x = {.c = c,
                               .a = arena_new(),
                               .cancel_fd = p->cancel_fd,
                               .credentials = p->auth,
                               .settings = p->settings,
                               .on_progress = p->progress,
                               .arg = p->arg};
    Types__Platform platform = TYPES__PLATFORM__INIT, *platforms[] = {&platform};
    Transfer__UnpackConfiguration unpack = TRANSFER__UNPACK_CONFIGURATION__INIT;
    Transfer__UnpackConfiguration *unpacks[] = {&unpack};
    Transfer__RegistryResolver resolver = TRANSFER__REGISTRY_RESOLVER__INIT;
    Transfer__OCIRegistry source = TRANSFER__OCIREGISTRY__INIT;
    Transfer__ImageStore store = TRANSFER__IMAGE_STORE__INIT;
    const char *progress_id;

    TRY(begin(&x, names, &progress_id, e));
    TRY(registry(&x, p, names, &resolver, &source, e));
    platform_set(p, &platform);
    store.name = (char *)(p->store_as != NULL ? p->store_as : p->reference);
    if (p->os != NULL) {
        store.platforms = platforms;
        store.n_platforms = 1;
    }
    if (p->snapshotter != NULL) {
        if (p->os != NULL)
            unpack.platform = &platform;
        unpack.snapshotter = (char *)p->snapshotter;
        store.unpacks = unpacks;
        store.n_unpacks = 1;
    }
    TRY(start(&x, &source.base, &store.base, progress_id, e));
    return run(&x, e);
}

int ctd_push(struct ctd *c, const struct transfer_pull *p, struct err *e)
{
    auto_arena struct arena *names = arena_new();
    auto_xfer struct xfer x = {.c = c,
                               .a = arena_new(),
                               .cancel_fd = p->cancel_fd,
                               .credentials = p->auth,
                               .settings = p->settings,
                               .on_progress = p->progress,
                               .arg = p->arg};
    Transfer__RegistryResolver resolver = TRANSFER__REGISTRY_RESOLVER__INIT;
    Transfer__OCIRegistry destination = TRANSFER__OCIREGISTRY__INIT;
    Transfer__ImageStore store = TRANSFER__IMAGE_STORE__INIT;
    const char *progress_id;

    TRY(begin(&x, names, &progress_id, e));
    TRY(registry(&x, p, names, &resolver, &destination, e));
    store.name = (char *)(p->store_as != NULL ? p->store_as : p->reference);
    TRY(start(&x, &store.base, &destination.base, progress_id, e));
    return run(&x, e);
}

static Types__Platform *platform_of(const struct oci_platform *p, struct arena *a)
{
    Types__Platform *out = ARENA_NEW(a, Types__Platform);

    types__platform__init(out);
    out->os = (char *)p->os;
    out->architecture = (char *)p->architecture;
    if (p->variant != NULL)
        out->variant = (char *)p->variant;
    return out;
}

int ctd_import(struct ctd *c, const struct transfer_import *p, struct err *e)
{
    auto_arena struct arena *names = arena_new();
    auto_xfer struct xfer x = {.c = c,
                               .a = arena_new(),
                               .cancel_fd = p->cancel_fd,
                               .read = p->read,
                               .on_progress = p->progress,
                               .arg = p->arg};
    Transfer__UnpackConfiguration unpack = TRANSFER__UNPACK_CONFIGURATION__INIT;
    Transfer__UnpackConfiguration *unpacks[] = {&unpack};
    Transfer__ImageReference extra = TRANSFER__IMAGE_REFERENCE__INIT, *extras[] = {&extra};
    Transfer__ImageImportStream source = TRANSFER__IMAGE_IMPORT_STREAM__INIT;
    Transfer__ImageStore store = TRANSFER__IMAGE_STORE__INIT;
    const char *progress_id, *data_id;

    TRY(begin(&x, names, &progress_id, e));
    TRY(side_stream(&x, "import", names, &data_id, &x.data, e));
    source.stream = (char *)data_id;
    extra.name = (char *)p->prefix;
    extra.is_prefix = extra.allow_overwrite = extra.add_digest = extra.skip_named_digest = true;
    store.extra_references = extras;
    store.n_extra_references = 1;
    unpack.snapshotter = (char *)p->snapshotter;
    store.unpacks = unpacks;
    store.n_unpacks = p->snapshotter != NULL;
    Types__Platform *platform = p->platform != NULL ? platform_of(p->platform, names) : NULL;
    if (platform != NULL) {
        unpack.platform = platform;
        store.platforms = &platform;
        store.n_platforms = 1;
    }
    TRY(start(&x, &source.base, &store.base, progress_id, e));
    return run(&x, e);
}

int ctd_export(struct ctd *c, const struct transfer_export *p, struct err *e)
{
    auto_arena struct arena *names = arena_new();
    auto_xfer struct xfer x = {.c = c,
                               .a = arena_new(),
                               .cancel_fd = p->cancel_fd,
                               .write = p->write,
                               .arg = p->arg,
                               .window = EXPORT_WINDOW};
    Transfer__WindowUpdate window = TRANSFER__WINDOW_UPDATE__INIT;
    Transfer__ImageExportStream destination = TRANSFER__IMAGE_EXPORT_STREAM__INIT;
    Transfer__ImageStore store = TRANSFER__IMAGE_STORE__INIT;
    const char *progress_id, *data_id;

    TRY(begin(&x, names, &progress_id, e));
    TRY(side_stream(&x, "export", names, &data_id, &x.data, e));
    destination.stream = (char *)data_id;
    window.update = EXPORT_WINDOW;
    TRY(send_any(x.data, &window.base, x.a, e));
    store.extra_references = arena_alloc_array(names, p->names->n + 1, sizeof(void *));
    vec_each(name, p->names) {
        Transfer__ImageReference *r = ARENA_NEW(names, Transfer__ImageReference);

        transfer__image_reference__init(r);
        r->name = *name;
        store.extra_references[store.n_extra_references++] = r;
    }
    Types__Platform *platform = p->platform != NULL ? platform_of(p->platform, names) : NULL;
    if (platform != NULL) {
        destination.platforms = &platform;
        destination.n_platforms = 1;
    }
    TRY(start(&x, &store.base, &destination.base, progress_id, e));
    return run(&x, e);
}
