/**
 * Transfer and Streaming: images pulled, imported, exported and tagged by the daemon itself, with
 * progress to the client.
 *
 * Source: containerd services transfer v1 and streaming v1.
 */
#ifndef HULL_CONTAINERD_TRANSFER_H
#define HULL_CONTAINERD_TRANSFER_H

#include "containerd/ctd.h"

struct streams;
struct stream;

/** The streams that clients have opened by name, waiting to be used by a transfer. */
struct streams *streams_new(void) __attribute__((returns_nonnull));
/** After the server's end. NULL is fine. */
void streams_free(struct streams *s);

/** Register the Streaming service. */
void service_streaming_add(struct grpc_server *s);
/** Register the Transfer service. */
void service_transfer_add(struct grpc_server *s);

/* ---- one stream, in the hands of the transfer that claimed it ---- */

/** Take the stream that the client has opened under this name. NOT_FOUND. */
int stream_claim(struct streams *s, const char *ns, const char *id, struct stream **out,
                 struct err *e);
/** End it for the client and let go. NULL is fine. */
void stream_close(struct stream *st);

/** Readable when stream_next has something new to say. Only poll it. */
int stream_fd(const struct stream *st);
/** 1: the next message, in the arena. 0: none yet. -1: there will be no more. */
int stream_next(struct stream *st, struct arena *a, Pb__Any **out);
/** True when the client is gone. */
bool stream_cancelled(struct stream *st);
/** Send one message in an Any. As grpc_call_send. */
int stream_send(struct stream *st, const ProtobufCMessage *msg, struct err *e);
/** True when there is room for messages that may be left out. */
bool stream_writable(struct stream *st);

/* ---- bytes of archives over streams ---- */

struct pump;

/** Move the client's Data messages into a pipe, from a thread. *out_fd: where to read them. */
int pump_in(struct stream *st, struct pump **out, int *out_fd, struct err *e);
/** Move what is written to *out_fd to the client. */
int pump_out(struct stream *st, struct pump **out, int *out_fd, struct err *e);
/** Wait until all has been sent (out), or stop at once (in, or cut). Frees; the caller has closed
 * its descriptor. */
void pump_end(struct pump *p, bool cut);

#endif
