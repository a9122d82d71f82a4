/*
 * Transfers with a registry: pull and push, and the credentials that the client is asked for.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/time.h"
#include "containerd/convert.h"
#include "containerd/transfer_run.h"
#include "registry/registry.h"
#include "store/pull.h"
#include "store/push.h"

enum { REPORT_MS = 100, AUTH_MS = 60000, PARALLEL_MAX = 1000, ATTEMPTS_MAX = 1000 };

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

/* Reports that may be left out: one now and then, and only to who reads them. */
static bool is_due(struct transfer *x)
{
    int64_t now_ns = time_mono_ns();
    if (x->progress == NULL || now_ns - x->reported_ns < REPORT_MS * NS_PER_MS ||
        !stream_writable(x->progress))
        return false;
    x->reported_ns = now_ns;
    return true;
}

static void on_pull(void *arg, const struct pull_progress *p)
{
    struct transfer *x = arg;
    bool step = (p->state == PULL_DOWNLOADING || p->state == PULL_EXTRACTING) && p->current > 0 &&
                (p->total == 0 || p->current < p->total);
    if (step && !is_due(x))
        return;
    auto_free char *name = mem_printf("%s-%s", kind_of(p->media_type), p->digest);
    const struct transfer_report r = {pull_events[p->state], name,       p->digest,
                                      p->media_type,         p->current, p->total};
    transfer_report(x, &r);
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

static const char *const *headers_of(const Transfer__RegistryResolver *r, struct arena *a)
{
    const char **v = arena_alloc_array(a, r->n_headers + 1, sizeof(*v));
    for (size_t i = 0; i < r->n_headers; i++)
        v[i] = arena_printf(a, "%s: %s", r->headers[i]->key, r->headers[i]->value);
    return v;
}

/* What a hulld adds to its calls. */
static int read_settings(struct transfer *x, struct registry_opts *o, struct registry_settings *out,
                         struct err *e)
{
    const char *text = grpc_call_metadata(x->call, REGISTRY_SETTINGS_KEY);
    *out = (struct registry_settings){0};
    if (text != NULL && json_parse(&registry_settings_json, out, text, strlen(text), x->a, e) < 0)
        return err_wrap(e, REGISTRY_SETTINGS_KEY);
    out->downloads = MIN(MAX(out->downloads, 0), PARALLEL_MAX);
    out->uploads = MIN(MAX(out->uploads, 0), PARALLEL_MAX);
    o->attempts = (int)MIN(MAX(out->attempts, 0), ATTEMPTS_MAX);
    o->proxies = (struct registry_proxies){out->http_proxy, out->https_proxy, out->no_proxy};
    return 0;
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

int transfer_pull(struct transfer *x, const void *source, const void *destination, struct err *e)
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
    struct registry_settings set;
    auto_registry_source struct image_source *src = NULL;
    struct ref ref;
    x->reference = from->reference;
    TRY(ref_parse_full(from->reference, &ref, e));
    TRY(transfer_check_unpacks(to, e));
    TRY(read_resolver(x, from->resolver, &ro, e));
    TRY(read_settings(x, &ro, &set, e));
    po.max_parallel = (int)set.downloads;
    if (to->n_platforms > 0)
        po.platform = transfer_platform(x->a, to->platforms[0]);
    else if (to->n_unpacks > 0)
        po.platform = transfer_platform(x->a, to->unpacks[0]->platform);
    const struct transfer_report begin = {.event = "Resolving from OCI Registry",
                                          .name = from->reference};
    transfer_report(x, &begin);
    (void)pthread_once(&registry_once, registry_global_init);
    TRY(registry_source_open(&ref, &ro, &src, e));
    TRY(image_pull(x->d->store, &x->sc, src, &po, x->a, &done, e));
    const struct transfer_report saved = {
        "saved", po.name, done.target.digest, done.target.media_type, 0, 0};
    transfer_report(x, &saved);
    const struct transfer_report end = {.event = "Completed pull from OCI Registry",
                                        .name = from->reference};
    transfer_report(x, &end);
    return 0;
}

/* ---- push ---- */

static const char *const push_events[] = {
    [PUSH_STATE_WAITING] = "waiting", [PUSH_STATE_SENDING] = "uploading",
    [PUSH_STATE_SENT] = "complete",   [PUSH_STATE_EXISTS] = "already exists",
    [PUSH_STATE_MOUNTED] = "mounted",
};

static void on_push(void *arg, const struct push_progress *p)
{
    struct transfer *x = arg;
    if (p->state == PUSH_STATE_SENDING && !is_due(x))
        return;
    auto_free char *name = mem_printf("%s-%s", kind_of(p->media_type), p->digest);
    auto_free char *mounted = p->from != NULL ? mem_printf("mounted from %s", p->from) : NULL;
    const struct transfer_report r = {mounted != NULL ? mounted : push_events[p->state],
                                      name,
                                      p->digest,
                                      p->media_type,
                                      p->current,
                                      p->total};
    transfer_report(x, &r);
}

static const char *const *platforms_of(const Transfer__ImageStore *from, struct arena *a)
{
    const char **v = arena_alloc_array(a, from->n_platforms + 1, sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < from->n_platforms; i++)
        if (*from->platforms[i]->os != '\0')
            v[n++] = transfer_platform(a, from->platforms[i]);
    return n > 0 ? v : NULL;
}

int transfer_push(struct transfer *x, const void *source, const void *destination, struct err *e)
{
    const Transfer__ImageStore *from = source;
    const Transfer__OCIRegistry *to = destination;
    struct registry_opts ro = {
        .ask = ask_auth, .ask_arg = x, .cancel_fd = grpc_call_cancel_fd(x->call)};
    struct push_opts po = {.platforms = platforms_of(from, x->a),
                           .cancel_fd = ro.cancel_fd,
                           .progress = on_push,
                           .arg = x};
    auto_registry_target struct image_target *target = NULL;
    struct registry_settings set;
    struct image_record rec;
    struct ref ref;
    x->reference = to->reference;
    TRY(ref_parse_full(to->reference, &ref, e));
    TRY(image_get(x->d->store, &x->sc, *from->name != '\0' ? from->name : to->reference, x->a, &rec,
                  e));
    TRY(read_resolver(x, to->resolver, &ro, e));
    TRY(read_settings(x, &ro, &set, e));
    po.max_parallel = (int)set.uploads;
    po.target = &rec.target;
    const struct transfer_report begin = {
        .event = arena_printf(x->a, "Pushing to OCI Registry (%s)", to->reference),
        .name = to->reference};
    transfer_report(x, &begin);
    (void)pthread_once(&registry_once, registry_global_init);
    TRY(registry_target_open(&ref, &ro, &target, e));
    TRY(image_push(x->d->store, &x->sc, target, &po, e));
    const struct transfer_report end = {
        .event = arena_printf(x->a, "Completed push to OCI Registry (%s)", to->reference),
        .name = to->reference};
    transfer_report(x, &end);
    return 0;
}
