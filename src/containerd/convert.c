/* Conversions between records and messages: see convert.h. */
#include "containerd/convert.h"

struct strmap map_from_pb(size_t n, const void *entries, struct arena *a)
{
    struct pb_entry *const *v = entries;
    struct strmap m = {0};
    for (size_t i = 0; i < n; i++)
        strmap_set(&m, a, v[i]->key, v[i]->value);
    return m;
}

void map_to_pb(const struct strmap *m, const ProtobufCMessageDescriptor *type, size_t *n,
               void *entries, struct arena *a)
{
    vec_each(ent, m)
        pb_map_add(type, n, entries, ent->key, ent->val, a);
}

Types__Descriptor *descriptor_to_pb(const struct oci_descriptor *d, struct arena *a)
{
    Types__Descriptor *p = ARENA_NEW(a, Types__Descriptor);
    types__descriptor__init(p);
    p->media_type = pb_str(d->media_type);
    p->digest = pb_str(d->digest);
    p->size = d->size;
    map_to_pb(&d->annotations, &types__descriptor__annotations_entry__descriptor, &p->n_annotations,
              &p->annotations, a);
    return p;
}

struct oci_descriptor descriptor_from_pb(const Types__Descriptor *d, struct arena *a)
{
    if (d == NULL)
        return (struct oci_descriptor){.media_type = "", .digest = ""};
    return (struct oci_descriptor){.media_type = d->media_type,
                                   .digest = d->digest,
                                   .size = d->size,
                                   .annotations = map_from_pb(d->n_annotations, d->annotations, a)};
}

Types__Mount **mounts_to_pb(const struct mount_spec *m, struct arena *a)
{
    Types__Mount **list = arena_alloc_array(a, 1, sizeof(*list)), *p = ARENA_NEW(a, Types__Mount);
    types__mount__init(p);
    p->type = pb_str(m->type);
    p->source = pb_str(m->source);
    p->target = pb_str(m->target);
    p->options = m->options.v;
    p->n_options = m->options.n;
    list[0] = p;
    return list;
}

struct mount_spec mount_from_pb(const Types__Mount *m)
{
    return (struct mount_spec){.type = m->type,
                               .source = m->source,
                               .target = m->target,
                               .options = strv_from_pb(m->n_options, m->options)};
}

struct strv strv_from_pb(size_t n, char **v)
{
    return (struct strv){.v = v, .n = n, .cap = n};
}

struct strv mask_from_pb(const Pb__FieldMask *m)
{
    return m == NULL ? (struct strv){0} : strv_from_pb(m->n_paths, m->paths);
}

struct any_value any_from_pb(const Pb__Any *any)
{
    if (any == NULL)
        return (struct any_value){0};
    return (struct any_value){any->type_url, any->value.data, any->value.len};
}

Pb__Any *any_to_pb(const struct any_value *v, struct arena *a)
{
    if (v->type_url == NULL || *v->type_url == '\0')
        return NULL;
    Pb__Any *any = ARENA_NEW(a, Pb__Any);
    pb__any__init(any);
    any->type_url = pb_str(v->type_url);
    any->value.data = (uint8_t *)(uintptr_t)v->value;
    any->value.len = v->len;
    return any;
}
