/*
 * Protobuf messages in arenas: see pb.h. protobuf-c takes its memory through an allocator of ours
 * that counts, so a small message that unfolds into a huge one ends in an error. Freeing single
 * fields does nothing.
 */
#include "rpc/pb.h"

#include "base/time.h"

#define GO_ZERO_SECONDS INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */

struct budget {
    struct arena *arena;
    size_t left;
    bool over;
};

static void *budget_alloc(void *data, size_t n)
{
    struct budget *b = data;

    if (n > b->left) {
        b->over = true;
        return NULL;
    }
    b->left -= n;
    return arena_alloc(b->arena, n);
}

static void budget_free(void *data UNUSED, void *p UNUSED)
{
    /* the arena goes as a whole */
}

int pb_pack(const ProtobufCMessage *msg, struct buf *b, struct err *e)
{
    size_t n = protobuf_c_message_get_packed_size(msg);
    char *to = n > PB_MAX_BYTES ? NULL : buf_reserve(b, n);

    if (to == NULL)
        return err_set(e, ERR_EXHAUSTED, "message %s of %zu bytes is too long",
                       msg->descriptor->name, n);
    buf_commit(b, protobuf_c_message_pack(msg, (uint8_t *)to));
    return 0;
}

int pb_unpack(const ProtobufCMessageDescriptor *type, const void *p, size_t n, struct arena *a,
              void *out, struct err *e)
{
    struct budget b = {.arena = a, .left = PB_MAX_MEMORY};
    ProtobufCAllocator alloc = {.alloc = budget_alloc, .free = budget_free, .allocator_data = &b};
    ProtobufCMessage *m;

    if (n > PB_MAX_BYTES)
        return err_set(e, ERR_EXHAUSTED, "message %s of %zu bytes is too long", type->name, n);
    m = protobuf_c_message_unpack(type, &alloc, n, p);
    if (m == NULL && b.over)
        return err_set(e, ERR_EXHAUSTED, "message %s needs more than %zu bytes of memory",
                       type->name, PB_MAX_MEMORY);
    if (m == NULL)
        return err_set(e, ERR_INVALID, "not a valid %s message", type->name);
    *(ProtobufCMessage **)out = m;
    return 0;
}

Pb__Any *pb_any_new(const ProtobufCMessage *msg, struct arena *a)
{
    Pb__Any *any = ARENA_NEW(a, Pb__Any);
    size_t n = protobuf_c_message_get_packed_size(msg);

    pb__any__init(any);
    any->type_url = arena_strdup(a, msg->descriptor->name);
    any->value.data = arena_alloc(a, n);
    any->value.len = protobuf_c_message_pack(msg, any->value.data);
    return any;
}

bool pb_any_is(const Pb__Any *any, const ProtobufCMessageDescriptor *type)
{
    const char *slash;

    if (any == NULL)
        return false;
    slash = strrchr(any->type_url, '/');
    return strcmp(slash != NULL ? slash + 1 : any->type_url, type->name) == 0;
}

int pb_any_unpack(const Pb__Any *any, const ProtobufCMessageDescriptor *type, struct arena *a,
                  void *out, struct err *e)
{
    if (!pb_any_is(any, type))
        return err_set(e, ERR_INVALID, "expected a %s, not %s", type->name,
                       any == NULL ? "nothing" : any->type_url);
    return pb_unpack(type, any->value.data, any->value.len, a, out, e);
}

Pb__Timestamp *pb_time_new(int64_t ns, struct arena *a)
{
    Pb__Timestamp *t = ARENA_NEW(a, Pb__Timestamp);

    pb__timestamp__init(t);
    t->seconds = ns == 0 ? GO_ZERO_SECONDS : ns / NS_PER_S;
    t->nanos = (int32_t)(ns % NS_PER_S);
    if (t->nanos < 0) { /* protobuf counts nanoseconds forward, also before 1970 */
        t->nanos += (int32_t)NS_PER_S;
        t->seconds--;
    }
    return t;
}

int64_t pb_time_ns(const Pb__Timestamp *t)
{
    int64_t ns;

    if (t == NULL || t->seconds == GO_ZERO_SECONDS || t->nanos < 0 || t->nanos >= NS_PER_S ||
        __builtin_mul_overflow(t->seconds, NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, t->nanos, &ns))
        return 0;
    return ns;
}

const char *pb_map_get(size_t n, const void *entries, const char *key)
{
    struct pb_entry *const *v = entries;

    while (n-- > 0)
        if (strcmp(v[n]->key, key) == 0)
            return v[n]->value;
    return NULL;
}

void pb_map_add(const ProtobufCMessageDescriptor *type, size_t *n, void *entries, const char *key,
                const char *value, struct arena *a)
{
    struct pb_entry ***v = entries, *ent = arena_alloc(a, type->sizeof_message);

    /* the array has room for the next power of two: it grows when the count is one */
    if ((*n & (*n - 1)) == 0) {
        struct pb_entry **more =
            arena_alloc_array(a, *n == 0 ? 1 : *n * 2, sizeof(struct pb_entry *));
        if (*n > 0)
            memcpy(more, *v, *n * sizeof(struct pb_entry *));
        *v = more;
    }
    type->message_init(&ent->base);
    ent->key = arena_strdup(a, key);
    ent->value = arena_strdup(a, value);
    (*v)[(*n)++] = ent;
}
