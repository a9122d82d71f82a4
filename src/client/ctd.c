/*
 * The connection: one HTTP/2 session shared by all threads, made on demand and replaced when it is
 * lost. The lock guards only the pointer; connecting happens outside of it, so that a daemon that
 * is away makes its callers wait one by one in poll and nobody else.
 */
#include "client/ctd.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "types/registry_job.h"

enum { CONNECT_MS = 2000, RETRY_FOR_MS = 10000, PAUSE_MIN_MS = 10, PAUSE_MAX_MS = 500 };

struct ctd {
    char *path, *ns;
    pthread_mutex_t lock;
    struct grpc_client *conn; /* guarded by lock; NULL before the first call */
};

struct ctd *ctd_new(const char *address, const char *ns)
{
    struct ctd *c = mem_alloc(sizeof(*c));

    if (str_starts(str_of(address), "unix://"))
        address += strlen("unix://");
    c->path = mem_strdup(address);
    c->ns = mem_strdup(ns);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void ctd_free(struct ctd *c)
{
    if (c == NULL)
        return;
    grpc_client_unref(c->conn);
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    free(c->ns);
    free(c);
}

const char *ctd_address(const struct ctd *c)
{
    return c->path;
}

const char *ctd_namespace(const struct ctd *c)
{
    return c->ns;
}

/* The live connection with a reference, or NULL. */
static struct grpc_client *conn_get(struct ctd *c)
{
    struct grpc_client *dead = NULL, *conn = NULL;

    pthread_mutex_lock(&c->lock);
    if (c->conn != NULL && grpc_client_alive(c->conn)) {
        conn = grpc_client_ref(c->conn);
    } else {
        dead = c->conn;
        c->conn = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    grpc_client_unref(dead);
    return conn;
}

/* Make fresh the connection of all, unless another thread was faster; returns a reference to the
 * one that counts. */
static struct grpc_client *conn_set(struct ctd *c, struct grpc_client *fresh)
{
    struct grpc_client *other = fresh;

    pthread_mutex_lock(&c->lock);
    if (c->conn == NULL || !grpc_client_alive(c->conn)) {
        other = c->conn;
        c->conn = fresh;
    }
    fresh = grpc_client_ref(c->conn);
    pthread_mutex_unlock(&c->lock);
    grpc_client_unref(other);
    return fresh;
}

static int connect_until(struct ctd *c, int64_t deadline_ns, int cancel_fd,
                         struct grpc_client **out, struct err *e)
{
    int pause_ms = PAUSE_MIN_MS;

    for (;;) {
        struct grpc_client *fresh = NULL;
        struct pollfd p = {.fd = cancel_fd, .events = POLLIN};
        int64_t left_ms;

        *out = conn_get(c);
        if (*out != NULL)
            return 0;
        if (grpc_client_connect(c->path, CONNECT_MS, &fresh, e) == 0) {
            *out = conn_set(c, fresh);
            return 0;
        }
        left_ms = (deadline_ns - time_mono_ns()) / NS_PER_MS;
        if (left_ms <= 0)
            return err_wrap(e, "connect to containerd at %s", c->path);
        if (poll(&p, 1, (int)MIN(left_ms, pause_ms)) > 0)
            return err_set(e, ERR_CANCELLED, "cancelled");
        pause_ms = MIN(pause_ms * 2, PAUSE_MAX_MS);
    }
}

static int64_t connect_deadline(const struct ctd_opts *o)
{
    int64_t ms = o->timeout_ms > 0 ? MIN(o->timeout_ms, RETRY_FOR_MS) : RETRY_FOR_MS;

    return time_mono_ns() + ms * NS_PER_MS;
}

enum { MD_MAX = 3 };

/* The options of gRPC for those of ours. */
static struct grpc_opts grpc_opts_of(const struct ctd *c, const struct ctd_opts *o,
                                     struct grpc_md md[static MD_MAX])
{
    struct grpc_opts g = GRPC_OPTS(.metadata = md, .n_metadata = 1, .timeout_ms = o->timeout_ms);

    g.cancel_fd = o->cancel_fd;
    md[0] = (struct grpc_md){"containerd-namespace", c->ns};
    if (o->lease != NULL)
        md[g.n_metadata++] = (struct grpc_md){"containerd-lease", o->lease};
    if (o->settings != NULL)
        md[g.n_metadata++] = (struct grpc_md){REGISTRY_SETTINGS_KEY, o->settings};
    return g;
}

static void tell_duration(const char *path, int64_t began_ns)
{
    char text[TIME_TEXT_MAX];

    if (!log_enabled(LOG_DEBUG))
        return;
    dur_format(time_mono_ns() - began_ns, text);
    log_debug("containerd call", "call", strrchr(path, '.') + 1, "took", text, NULL);
}

int ctd_call(struct ctd *c, const char *path, const ProtobufCMessage *req,
             const struct ctd_opts *opts, const ProtobufCMessageDescriptor *response,
             struct arena *a, void *out_msg, struct err *e)
{
    const struct ctd_opts none = CTD_OPTS();
    const struct ctd_opts *o = opts != NULL ? opts : &none;
    struct grpc_client *conn = NULL;
    struct grpc_md md[MD_MAX];
    struct grpc_opts g = grpc_opts_of(c, o, md);
    int64_t began_ns = time_mono_ns();
    int r;

    TRY(connect_until(c, connect_deadline(o), o->cancel_fd, &conn, e));
    r = grpc_unary(conn, path, req, &g, response, a, out_msg, e);
    grpc_client_unref(conn);
    tell_duration(path, began_ns);
    return r;
}

int ctd_stream(struct ctd *c, const char *path, const struct ctd_opts *opts,
               struct grpc_stream **out_stream, struct err *e)
{
    const struct ctd_opts none = CTD_OPTS();
    const struct ctd_opts *o = opts != NULL ? opts : &none;
    struct grpc_client *conn = NULL;
    struct grpc_md md[MD_MAX];
    struct grpc_opts g = grpc_opts_of(c, o, md);
    int r;

    TRY(connect_until(c, connect_deadline(o), o->cancel_fd, &conn, e));
    r = grpc_stream_open(conn, path, &g, out_stream, e);
    grpc_client_unref(conn);
    return r;
}
