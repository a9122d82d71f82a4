/**
 * The bytes of gRPC inside HTTP/2: length-prefixed messages, percent-encoded status texts,
 * time-outs. Pure functions over outside bytes.
 */
#ifndef HULL_RPC_GRPC_WIRE_H
#define HULL_RPC_GRPC_WIRE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "rpc/pb.h"

#define GRPC_PREFIX 5 /* bytes before each message: compressed flag, big-endian length */

/** One message on the heap, in a queue; free with free(). */
struct grpc_msg {
    struct list link;
    size_t n, cap, pos; /* pos: how much of it was sent already */
    uint8_t bytes[];
};

/** Cuts a stream of bytes into messages. Zeroed: at the start of a stream. */
struct grpc_deframer {
    uint8_t prefix[GRPC_PREFIX];
    size_t n_prefix;
    size_t want;          /* length of the message being read */
    struct grpc_msg *msg; /* as much of it as came */
};

/**
 * Take bytes off the front of *in until a message is complete. 1: *out_msg is it (without prefix),
 * the caller frees it; 0: all bytes are taken and more are needed; -1: EXHAUSTED (longer than
 * PB_MAX_BYTES), UNIMPLEMENTED (compressed), INVALID.
 */
int grpc_deframe(struct grpc_deframer *d, struct str *in, struct grpc_msg **out_msg, struct err *e);

/** True when the stream may end here: not inside a message. */
bool grpc_deframer_idle(const struct grpc_deframer *d);
void grpc_deframer_done(struct grpc_deframer *d);

/** A message with its prefix, ready to send; NULL and EXHAUSTED when it is longer than
 * PB_MAX_BYTES. */
struct grpc_msg *grpc_frame(const ProtobufCMessage *m, struct err *e);

/** Free a queue of messages. */
void grpc_msgs_free(struct list *queue);

/** Add text with all but printable ASCII, and '%', as %XX. */
void grpc_text_encode(const char *text, struct buf *out);

/** Undo grpc_text_encode; broken escapes stay as they are. */
void grpc_text_decode(struct str text, struct buf *out);

/** A grpc-timeout, "250m": at most 8 digits and a unit of H M S m u n. False when it is not one. */
bool grpc_timeout_parse(struct str s, int64_t *out_ns);

/** The shortest exact enough form of ns (> 0), rounded up. */
void grpc_timeout_format(int64_t ns, char out[static 16]);

#endif
