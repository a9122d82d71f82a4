/**
 * One ttrpc connection on a loop: frames in, frames out, nothing waits. What server and client
 * share. Source: containerd/ttrpc PROTOCOL.md, "Message Frame".
 */
#ifndef HULL_RPC_TTRPC_CONN_H
#define HULL_RPC_TTRPC_CONN_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/str.h"
#include "proto/ttrpc.pb-c.h"
#include "rpc/ttrpc.h"

#define TTRPC_HEADER 10                     /* bytes before each payload */
#define TTRPC_UNSENT_MAX ((size_t)16 << 20) /* queued for a peer that does not read */
#define TTRPC_NS_KEY "containerd-namespace-ttrpc"

enum ttrpc_type { TTRPC_REQUEST = 1, TTRPC_RESPONSE = 2, TTRPC_DATA = 3 };
enum ttrpc_flags { TTRPC_REMOTE_CLOSED = 1, TTRPC_REMOTE_OPEN = 2, TTRPC_NO_DATA = 4 };

struct ttrpc_frame {
    uint32_t stream;
    uint8_t type, flags;
    bool too_long;    /* over TTRPC_MAX_PAYLOAD: the payload is skipped, p is NULL */
    const uint8_t *p; /* good until the next call of the reader */
    size_t n;         /* as the header says it */
};

/** Cuts a stream of bytes into frames. Start with TTRPC_READER. */
struct ttrpc_reader {
    struct buf in;
    size_t used; /* bytes at the front of in that were read already */
    size_t skip; /* bytes of a payload that is too long, still to come */
};
#define TTRPC_READER                                                         \
    {                                                                        \
        .in = BUF_MAX(TTRPC_HEADER + TTRPC_MAX_PAYLOAD + ((size_t)64 << 10)) \
    }

/** Add bytes that came, at most 64 KiB; all complete frames must have been read before. */
void ttrpc_reader_feed(struct ttrpc_reader *r, const void *p, size_t n);
/** The next complete frame: true, else more bytes are needed. */
bool ttrpc_reader_next(struct ttrpc_reader *r, struct ttrpc_frame *out);
void ttrpc_reader_done(struct ttrpc_reader *r);

struct ttrpc_conn;

struct ttrpc_conn_ops {
    void (*frame)(void *owner, const struct ttrpc_frame *f); /* may free the connection */
    void (*closed)(void *owner); /* lost; may free the connection; nothing comes after it */
};

/** Takes fd, also on failure, and makes it non-blocking. Callbacks come from the loop only. */
int ttrpc_conn_new(struct loop *loop, int fd, const struct ttrpc_conn_ops *ops, void *owner,
                   struct ttrpc_conn **out_conn, struct err *e);

/** Queue a frame and send what the socket takes. EXHAUSTED when it is too long or too much is
 * unsent. */
int ttrpc_conn_send(struct ttrpc_conn *c, uint32_t stream, enum ttrpc_type type, const void *p,
                    size_t n, struct err *e);

size_t ttrpc_conn_unsent(const struct ttrpc_conn *c);
void ttrpc_conn_free(struct ttrpc_conn *c);

/* ---- between the client and the hub ---- */

/** Called once with the packed response, or with p NULL and e. */
typedef void ttrpc_raw_done(void *arg, const uint8_t *p, size_t n, const struct err *e);

/** The argument of ttrpc_typed_done, on the heap. */
struct ttrpc_typed {
    const ProtobufCMessageDescriptor *response;
    ttrpc_done *done;
    void *arg;
};

/** A ttrpc_raw_done that reads the response and calls a ttrpc_done. Frees arg. */
void ttrpc_typed_done(void *arg, const uint8_t *p, size_t n, const struct err *e);

/** Pack r as the payload of a request frame. */
int ttrpc_request_pack(const struct ttrpc_request *r, struct buf *out, struct err *e);

/** As ttrpc_client_call, for a packed request, with the response unread. */
int ttrpc_client_send(struct ttrpc_client *c, struct str request, int64_t timeout_ms,
                      ttrpc_raw_done *done, void *arg, uint32_t *out_id, struct err *e);

#endif
