/**
 * Protobuf messages between bytes and arenas. protobuf-c does the wire format; memory is ours: an
 * unpacked message and all it points to live in the arena that was given, so nothing is ever freed
 * field by field.
 *
 *     Images__GetImageRequest *req;
 *     TRY(pb_unpack(&images__get_image_request__descriptor, p, n, arena, &req, e));
 *
 * Messages to send are built on the stack with the generated INIT macros, their parts in an arena.
 */
#ifndef HULL_RPC_PB_H
#define HULL_RPC_PB_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "proto/wellknown.pb-c.h"

/* The most bytes one packed message may have, and the most memory its unpacked form may take. */
#define PB_MAX_BYTES ((size_t)16 << 20)
#define PB_MAX_MEMORY ((size_t)96 << 20)

/** Add the packed form of msg to b. EXHAUSTED when it does not fit; b then has what it had. */
int pb_pack(const ProtobufCMessage *msg, struct buf *b, struct err *e);

/**
 * Read n bytes as a message of type.
 *
 * out  address of a pointer to the generated struct (Images__Image **); the message lives as long
 * as the arena.
 *
 * Errors: INVALID (not such a message), EXHAUSTED (too long, or needs too much memory).
 */
int pb_unpack(const ProtobufCMessageDescriptor *type, const void *p, size_t n, struct arena *a,
              void *out, struct err *e);

/** An Any in the arena that holds a packed copy of msg; its type URL is the bare full name, as
 * containerd writes it. */
Pb__Any *pb_any_new(const ProtobufCMessage *msg, struct arena *a);

/** True when any is not NULL and holds a message of type, with or without a prefix that ends in
 * '/'. */
bool pb_any_is(const Pb__Any *any, const ProtobufCMessageDescriptor *type);

/** Unpack what any holds. INVALID when it is NULL or of another type; else as pb_unpack. */
int pb_any_unpack(const Pb__Any *any, const ProtobufCMessageDescriptor *type, struct arena *a,
                  void *out, struct err *e);

/** A Timestamp in the arena. 0 ns stands for never: Go's zero time, the year 1. */
Pb__Timestamp *pb_time_new(int64_t ns, struct arena *a);

/** Nanoseconds since 1970 UTC; 0 for NULL, for Go's zero time and for what int64_t cannot hold. */
int64_t pb_time_ns(const Pb__Timestamp *t);

/* Every generated entry of a map<string, string> is laid out like this. */
struct pb_entry {
    ProtobufCMessage base;
    char *key;
    char *value;
};

/** The value of key in a map<string, string> of n entries (the generated pointer array), or NULL.
 * The last one wins. */
const char *pb_map_get(size_t n, const void *entries, const char *key);

/**
 * Add an entry to a map<string, string> that lives in an arena; key and value are copied.
 *
 * type     descriptor of the entry, e.g. &images__image__labels_entry__descriptor.
 * n        address of the member n_labels.
 * entries  address of the member labels.
 */
void pb_map_add(const ProtobufCMessageDescriptor *type, size_t *n, void *entries, const char *key,
                const char *value, struct arena *a);

#endif
