/** The inside of a server's call, for grpc_server.c (what the connection tells) and grpc_call.c
 * (what handlers do). */
#ifndef HULL_RPC_GRPC_CALL_H
#define HULL_RPC_GRPC_CALL_H

#include "base/vec.h"
#include "rpc/grpc.h"
#include "rpc/grpc_pool.h"
#include "rpc/h2.h"

struct grpc_call {
    struct h2_stream h2; /* first: a stream is a call */
    struct grpc_job job;
    struct grpc_pool *pool;
    void *ctx;
    struct ucred peer;

    /* written by the connection's thread before the first job, then only read */
    struct arena *arena; /* then the handler's */
    VEC(struct grpc_md) metadata;
    bool not_grpc;                    /* an HTTP request of another kind: answered with 415 */
    const struct grpc_method *method; /* NULL: not dispatched */
    int64_t deadline_ns;

    /* whoever runs the job */
    const void *req;
    struct arena *msg_arena; /* of req when it is one of a request stream */
    void *data;
    void (*data_done)(void *data);

    /* guarded by h2.lock */
    bool running;  /* a job is queued or at work */
    bool have_req; /* the request of a unary or server-streaming call was taken */
    bool had_end;  /* the handler knows that no more comes */
    bool again;    /* the handler wants to be called again */
    bool finished; /* code and text are set */
    bool cancelled;
    int cancel_fd; /* -1: not made yet */
    enum grpc_code code;
    char *text; /* NULL: none */

    /* Recursive, and held around on_cancel: whoever has taken it back knows that it does not run.
     */
    pthread_mutex_t cancel_lock;
    void (*on_cancel)(void *arg); /* guarded by cancel_lock */
    void *on_cancel_arg;
};

/** A new call on a connection, with one reference. */
struct grpc_call *grpc_call_new(struct h2_conn *conn, struct grpc_pool *pool, void *ctx,
                                struct ucred peer);
void grpc_call_free(struct grpc_call *c);

/** Give the handler what it can work on, if it is not at work already. */
void grpc_call_kick(struct grpc_call *c);

/** As grpc_call_finish, with on_cancel left as it is. True when this was the first. */
bool grpc_call_end(struct grpc_call *c, const struct err *e);

/** Nobody waits for the answer any more: tell whoever works on it. */
void grpc_call_cancel(struct grpc_call *c);

#endif
