/* Content: blobs read, listed, written with resume. A Write call is a small state machine over a
 * content writer. */
#include "base/mem.h"
#include "containerd/convert.h"
#include "containerd/ctd.h"
#include "proto/content.pb-c.h"
#include "store/content.h"
#include "sys/fd.h"

#define READ_CHUNK ((size_t)1 << 20)
#define LIST_BATCH 100

static struct store *store_of(struct grpc_call *c)
{
    return ((struct ctd *)grpc_call_ctx(c))->store;
}

static Content__Info *info_to_pb(const struct content_info *i, struct arena *a)
{
    Content__Info *p = ARENA_NEW(a, Content__Info);
    content__info__init(p);
    p->digest = arena_strdup(a, i->digest);
    p->size = i->size;
    p->created_at = pb_time_new(i->created_ns, a);
    p->updated_at = pb_time_new(i->updated_ns, a);
    map_to_pb(&i->labels, &content__info__labels_entry__descriptor, &p->n_labels, &p->labels, a);
    return p;
}

static int info(struct grpc_call *c, const void *req, struct err *e)
{
    const Content__InfoRequest *q = req;
    Content__InfoResponse r = CONTENT__INFO_RESPONSE__INIT;
    struct scope sc;
    struct content_info i;
    TRY(call_scope(c, &sc, e));
    TRY(content_info(store_of(c), &sc, q->digest, grpc_call_arena(c), &i, e));
    r.info = info_to_pb(&i, grpc_call_arena(c));
    return grpc_call_reply(c, &r.base, e);
}

static int update(struct grpc_call *c, const void *req, struct err *e)
{
    const Content__UpdateRequest *q = req;
    Content__UpdateResponse r = CONTENT__UPDATE_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strv mask = mask_from_pb(q->update_mask);
    struct scope sc;
    struct content_info i;
    TRY(call_scope(c, &sc, e));
    if (q->info == NULL)
        return err_set(e, ERR_INVALID, "info is required: invalid argument");
    struct strmap labels = map_from_pb(q->info->n_labels, q->info->labels, a);
    TRY(content_update(store_of(c), &sc, q->info->digest, &labels, &mask, a, &i, e));
    r.info = info_to_pb(&i, a);
    return grpc_call_reply(c, &r.base, e);
}

/* A list goes out in messages of up to LIST_BATCH blobs, each built in an arena of its own. */
struct lister {
    struct grpc_call *call;
    struct arena *arena;
    Content__Info *batch[LIST_BATCH];
    size_t n;
};

static int list_flush(struct lister *l, struct err *e)
{
    Content__ListContentResponse r = CONTENT__LIST_CONTENT_RESPONSE__INIT;
    r.info = l->batch;
    r.n_info = l->n;
    int rc = l->n == 0 ? 0 : grpc_call_send(l->call, &r.base, e);
    l->n = 0;
    arena_free(l->arena);
    l->arena = arena_new();
    return rc;
}

static int list_one(void *arg, const struct content_info *i, struct err *e)
{
    struct lister *l = arg;
    Content__Info *p = info_to_pb(i, l->arena);
    /* the callback's strings end with it */
    for (size_t k = 0; k < p->n_labels; k++) {
        p->labels[k]->key = arena_strdup(l->arena, p->labels[k]->key);
        p->labels[k]->value = arena_strdup(l->arena, p->labels[k]->value);
    }
    l->batch[l->n++] = p;
    return l->n == LIST_BATCH ? list_flush(l, e) : 0;
}

static int list(struct grpc_call *c, const void *req, struct err *e)
{
    const Content__ListContentRequest *q = req;
    struct strv filters = strv_from_pb(q->n_filters, q->filters);
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    struct lister l = {.call = c, .arena = arena_new()};
    int rc = content_list(store_of(c), &sc, &filters, list_one, &l, e);
    if (rc == 0)
        rc = list_flush(&l, e);
    arena_free(l.arena);
    if (rc == 0)
        grpc_call_finish(c, NULL);
    return rc;
}

static int delete (struct grpc_call *c, const void *req, struct err *e)
{
    const Content__DeleteContentRequest *q = req;
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    TRY(content_delete(store_of(c), &sc, q->digest, e));
    return grpc_call_reply_empty(c, e);
}

/* A read that is under way; the handler is called again whenever the client can take more. */
struct reading {
    int fd;
    int64_t at, end;
};

static void reading_free(void *data)
{
    struct reading *r = data;
    fd_close(r->fd);
    free(r);
}

static int read_begin(struct grpc_call *c, const Content__ReadContentRequest *q, struct err *e)
{
    struct scope sc;
    int64_t size;
    TRY(call_scope(c, &sc, e));
    auto_fd int fd = content_open(store_of(c), &sc, q->digest, &size, e);
    if (fd < 0)
        return -1;
    if (q->offset < 0 || q->offset > size)
        return err_set(e, ERR_OUT_OF_RANGE, "read past object length %lld bytes: out of range",
                       (long long)size);
    if (q->size < 0 || q->size > size - q->offset)
        return err_set(e, ERR_OUT_OF_RANGE, "read past object length %lld bytes: out of range",
                       (long long)size);
    struct reading *r = mem_alloc(sizeof(*r));
    *r = (struct reading){take_fd(&fd), q->offset, q->size > 0 ? q->offset + q->size : size};
    grpc_call_set_data(c, r, reading_free);
    return 0;
}

static int read_blob(struct grpc_call *c, const void *req, struct err *e)
{
    if (grpc_call_data(c) == NULL)
        TRY(read_begin(c, req, e));
    struct reading *r = grpc_call_data(c);
    auto_free char *chunk = mem_alloc(READ_CHUNK);
    while (r->at < r->end) {
        if (!grpc_call_writable(c))
            return GRPC_AGAIN;
        ssize_t n = pread(r->fd, chunk, (size_t)MIN(r->end - r->at, (int64_t)READ_CHUNK), r->at);
        if (n <= 0)
            return err_set(e, ERR_DATA_LOSS, "content is shorter than its record says: data loss");
        Content__ReadContentResponse m = CONTENT__READ_CONTENT_RESPONSE__INIT;
        m.offset = r->at;
        m.data.data = (uint8_t *)chunk;
        m.data.len = (size_t)n;
        TRY(grpc_call_send(c, &m.base, e));
        r->at += n;
    }
    grpc_call_finish(c, NULL);
    return 0;
}

static Content__Status *status_to_pb(const struct ingest_status *s, struct arena *a)
{
    Content__Status *p = ARENA_NEW(a, Content__Status);
    content__status__init(p);
    p->ref = pb_str(s->ref);
    p->expected = pb_str(s->expected);
    p->offset = s->offset;
    p->total = s->total;
    p->started_at = pb_time_new(s->started_ns, a);
    p->updated_at = pb_time_new(s->updated_ns, a);
    return p;
}

static int status(struct grpc_call *c, const void *req, struct err *e)
{
    const Content__StatusRequest *q = req;
    Content__StatusResponse r = CONTENT__STATUS_RESPONSE__INIT;
    struct scope sc;
    struct ingest_status s;
    TRY(call_scope(c, &sc, e));
    TRY(ingest_status(store_of(c), &sc, q->ref, grpc_call_arena(c), &s, e));
    r.status = status_to_pb(&s, grpc_call_arena(c));
    return grpc_call_reply(c, &r.base, e);
}

static int list_statuses(struct grpc_call *c, const void *req, struct err *e)
{
    const Content__ListStatusesRequest *q = req;
    Content__ListStatusesResponse r = CONTENT__LIST_STATUSES_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strv filters = strv_from_pb(q->n_filters, q->filters);
    struct scope sc;
    struct ingest_status *v;
    size_t n;
    TRY(call_scope(c, &sc, e));
    TRY(ingest_list(store_of(c), &sc, &filters, a, &v, &n, e));
    r.statuses = arena_alloc_array(a, n, sizeof(*r.statuses));
    for (; r.n_statuses < n; r.n_statuses++)
        r.statuses[r.n_statuses] = status_to_pb(&v[r.n_statuses], a);
    return grpc_call_reply(c, &r.base, e);
}

static int abort_ingest(struct grpc_call *c, const void *req, struct err *e)
{
    const Content__AbortRequest *q = req;
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    TRY(ingest_abort(store_of(c), &sc, q->ref, e));
    return grpc_call_reply_empty(c, e);
}

/* ---- Write ---- */

static void writer_done(void *w)
{
    content_writer_close(w);
}

static int write_reply(struct grpc_call *c, struct content_writer *w, Content__WriteAction action,
                       struct err *e)
{
    Content__WriteContentResponse r = CONTENT__WRITE_CONTENT_RESPONSE__INIT;
    auto_arena struct arena *a = arena_new();
    struct ingest_status s;
    char digest[72];
    content_writer_status(w, &s, digest);
    r.action = action;
    r.started_at = pb_time_new(s.started_ns, a);
    r.updated_at = pb_time_new(s.updated_ns, a);
    r.offset = s.offset;
    r.total = s.total;
    r.digest = digest;
    return grpc_call_send(c, &r.base, e);
}

static int write_data(struct content_writer *w, const Content__WriteContentRequest *q,
                      struct err *e)
{
    struct ingest_status s;
    char digest[72];
    content_writer_status(w, &s, digest);
    if (q->offset > 0 && q->offset != s.offset)
        return err_set(e, ERR_OUT_OF_RANGE,
                       "write @%lld must occur at current offset %lld: out of range",
                       (long long)q->offset, (long long)s.offset);
    if (q->offset == 0 && s.offset > 0)
        TRY(content_writer_truncate(w, 0, e));
    return q->data.len > 0 ? content_write(w, q->data.data, q->data.len, e) : 0;
}

static int write_commit(struct grpc_call *c, struct content_writer *w,
                        const Content__WriteContentRequest *q, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct strmap labels = map_from_pb(q->n_labels, q->labels, a);
    TRY(content_writer_commit(w, q->total, q->expected, &labels, e));
    TRY(write_reply(c, w, CONTENT__WRITE_ACTION__COMMIT, e));
    grpc_call_finish(c, NULL);
    return 0;
}

static int write_message(struct grpc_call *c, const void *req, struct err *e)
{
    const Content__WriteContentRequest *q = req;
    struct content_writer *w = grpc_call_data(c);
    if (q == NULL) { /* the client has left: what is there stays for a resume */
        grpc_call_finish(c, NULL);
        return 0;
    }
    if (w == NULL) {
        struct scope sc;
        TRY(call_scope(c, &sc, e));
        if (*q->ref == '\0')
            return err_set(e, ERR_INVALID, "first message must have a reference: invalid argument");
        TRY(content_writer_open(store_of(c), &sc, q->ref, q->total, q->expected, &w, e));
        grpc_call_set_data(c, w, writer_done);
    }
    switch (q->action) {
    case CONTENT__WRITE_ACTION__STAT:
        return write_reply(c, w, q->action, e);
    case CONTENT__WRITE_ACTION__WRITE:
        TRY(write_data(w, q, e));
        return write_reply(c, w, q->action, e);
    case CONTENT__WRITE_ACTION__COMMIT:
        TRY(write_data(w, q, e));
        return write_commit(c, w, q, e);
    default:
        return err_set(e, ERR_INVALID, "unknown write action %d: invalid argument", (int)q->action);
    }
}

#define CONTENT "containerd.services.content.v1.Content"

static const struct grpc_method methods[] = {
    {CONTENT, "Info", &content__info_request__descriptor, &content__info_response__descriptor,
     GRPC_UNARY, 0, info},
    {CONTENT, "Update", &content__update_request__descriptor, &content__update_response__descriptor,
     GRPC_UNARY, 0, update},
    {CONTENT, "List", &content__list_content_request__descriptor,
     &content__list_content_response__descriptor, GRPC_SERVER_STREAM, 0, list},
    {CONTENT, "Delete", &content__delete_content_request__descriptor, &pb__empty__descriptor,
     GRPC_UNARY, 0, delete},
    {CONTENT, "Read", &content__read_content_request__descriptor,
     &content__read_content_response__descriptor, GRPC_SERVER_STREAM, 0, read_blob},
    {CONTENT, "Status", &content__status_request__descriptor, &content__status_response__descriptor,
     GRPC_UNARY, 0, status},
    {CONTENT, "ListStatuses", &content__list_statuses_request__descriptor,
     &content__list_statuses_response__descriptor, GRPC_UNARY, 0, list_statuses},
    {CONTENT, "Abort", &content__abort_request__descriptor, &pb__empty__descriptor, GRPC_UNARY, 0,
     abort_ingest},
    {CONTENT, "Write", &content__write_content_request__descriptor,
     &content__write_content_response__descriptor, GRPC_BIDI, GRPC_SLOW, write_message},
};

void service_content_add(struct grpc_server *s)
{
    grpc_server_add(s, methods, ARRAY_LEN(methods));
}
