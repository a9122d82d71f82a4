/** Between the store's records and protobuf messages. Everything made lives in the arena. */
#ifndef HULL_CONTAINERD_CONVERT_H
#define HULL_CONTAINERD_CONVERT_H

#include "proto/types.pb-c.h"
#include "rpc/pb.h"
#include "store/container.h"
#include "store/snapshot.h"
#include "types/oci_descriptor.h"

/** A const string where generated structs want char *; NULL gives "". protobuf-c only reads it. */
static inline char *pb_str(const char *s)
{
    return (char *)(uintptr_t)(s != NULL ? s : "");
}

/** map<string, string> entries (a generated pointer array) as a strmap; strings are borrowed. */
struct strmap map_from_pb(size_t n, const void *entries, struct arena *a);

/** Fill a message's map<string, string>: type, count and pointer array as pb_map_add wants them. */
void map_to_pb(const struct strmap *m, const ProtobufCMessageDescriptor *type, size_t *n,
               void *entries, struct arena *a);

Types__Descriptor *descriptor_to_pb(const struct oci_descriptor *d, struct arena *a);
struct oci_descriptor descriptor_from_pb(const Types__Descriptor *d, struct arena *a);

/** One mount as a list of one, as snapshot services answer it. */
Types__Mount **mounts_to_pb(const struct mount_spec *m, struct arena *a);
struct mount_spec mount_from_pb(const Types__Mount *m);

/** Strings of a repeated field, borrowed. */
struct strv strv_from_pb(size_t n, char **v);

/** The paths of a field mask; NULL is an empty one. */
struct strv mask_from_pb(const Pb__FieldMask *m);

struct any_value any_from_pb(const Pb__Any *any);
/** NULL when there is no type. */
Pb__Any *any_to_pb(const struct any_value *v, struct arena *a);

#endif
