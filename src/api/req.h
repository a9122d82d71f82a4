/**
 * One API request as handlers see it: variables of its path, parameters as Docker reads them, and
 * answers in Docker's forms.
 */
#ifndef HULL_API_REQ_H
#define HULL_API_REQ_H

#include "api/api.h"
#include "engine/engine.h"

enum { REQ_VARS_MAX = 2 };

struct req {
    struct http_req *http;
    const struct api *api;
    struct engine *engine;
    struct arena *arena;
    int version; /* minor number of the API version that was asked for */
    const char *vars[REQ_VARS_MAX];
    bool streaming; /* the answer of req_sink has begun */
    const char *stream_type;
};

/** A handler: answers and returns 0, or returns -1 with e, which is then answered if nothing was.
 */
typedef int req_handler(struct req *rq, struct err *e);

/** A parameter of the query (or of a form body); NULL when absent. */
const char *req_query(const struct req *rq, const char *key);

/** All values of a parameter. */
struct strv req_query_all(const struct req *rq, const char *key);

/** True unless it is absent, empty, "0", "no", "false" or "none" in any case. */
bool req_flag(const struct req *rq, const char *key);

/** As req_flag with a default for an absent one. */
bool req_flag_or(const struct req *rq, const char *key, bool absent);

/** A decimal number; absent or empty: missing. INVALID else. */
int req_int(const struct req *rq, const char *key, int missing, int *out, struct err *e);

/** Sizes of a terminal, h and w, both required. */
int req_size(const struct req *rq, uint32_t *out_width, uint32_t *out_height, struct err *e);

/** The JSON body, at most 4 MiB. optional: an absent or empty one reads as "{}". Errors: INVALID
 * with Docker's texts. */
int req_json_body(struct req *rq, bool optional, const char **out, size_t *out_n, struct err *e);

/** Readable when the client has gone: the engine's cancel_fd. */
int req_cancel_fd(struct req *rq);

/** The body as the engine's reading functions take it: arg is the struct req. */
ssize_t req_body_read(void *arg, void *p, size_t cap, struct err *e);

/** Answer with a status alone. */
int req_status(struct req *rq, int status);

/** Answer with one JSON document; takes what b holds. */
int req_reply(struct req *rq, int status, struct buf *b);

/** A buffer for documents. */
#define REQ_DOC BUF_MAX(256u << 20)

/**
 * A sink for the engine that begins the answer with its first byte, so that what fails before is
 * still answered with a status.
 *
 * req_sink    collects up to 32 KiB; for bulk.
 * req_sink_now  sends each write at once; for what people watch.
 */
struct sink req_sink(struct req *rq, const char *type);
struct sink req_sink_now(struct req *rq, const char *type);

/** Send the head now: for streams that may stay silent. */
int req_begin(struct req *rq, const char *type, struct err *e);

#endif
