/* Images: names and what they stand for. */
#include "containerd/convert.h"
#include "containerd/ctd.h"
#include "proto/images.pb-c.h"
#include "store/image.h"

static struct store *store_of(struct grpc_call *c)
{
    return ((struct ctd *)grpc_call_ctx(c))->store;
}

static Images__Image *to_pb(const struct image_record *rec, struct arena *a)
{
    Images__Image *p = ARENA_NEW(a, Images__Image);
    images__image__init(p);
    p->name = pb_str(rec->name);
    p->target = descriptor_to_pb(&rec->target, a);
    p->created_at = pb_time_new(rec->created_ns, a);
    p->updated_at = pb_time_new(rec->updated_ns, a);
    map_to_pb(&rec->labels, &images__image__labels_entry__descriptor, &p->n_labels, &p->labels, a);
    return p;
}

static int from_pb(const Images__Image *p, struct arena *a, struct image_record *out, struct err *e)
{
    if (p == NULL)
        return err_set(e, ERR_INVALID, "image is required: invalid argument");
    *out = (struct image_record){.name = p->name,
                                 .labels = map_from_pb(p->n_labels, p->labels, a),
                                 .target = descriptor_from_pb(p->target, a),
                                 .created_ns = pb_time_ns(p->created_at),
                                 .updated_ns = pb_time_ns(p->updated_at)};
    return 0;
}

static int get(struct grpc_call *c, const void *req, struct err *e)
{
    const Images__GetImageRequest *q = req;
    Images__GetImageResponse r = IMAGES__GET_IMAGE_RESPONSE__INIT;
    struct scope sc;
    struct image_record rec;
    TRY(call_scope(c, &sc, e));
    TRY(image_get(store_of(c), &sc, q->name, grpc_call_arena(c), &rec, e));
    r.image = to_pb(&rec, grpc_call_arena(c));
    return grpc_call_reply(c, &r.base, e);
}

static int list(struct grpc_call *c, const void *req, struct err *e)
{
    const Images__ListImagesRequest *q = req;
    Images__ListImagesResponse r = IMAGES__LIST_IMAGES_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strv filters = strv_from_pb(q->n_filters, q->filters);
    struct scope sc;
    struct image_record *v;
    size_t n;
    TRY(call_scope(c, &sc, e));
    TRY(image_list(store_of(c), &sc, &filters, a, &v, &n, e));
    r.images = arena_alloc_array(a, n, sizeof(*r.images));
    for (; r.n_images < n; r.n_images++)
        r.images[r.n_images] = to_pb(&v[r.n_images], a);
    return grpc_call_reply(c, &r.base, e);
}

static int create(struct grpc_call *c, const void *req, struct err *e)
{
    const Images__CreateImageRequest *q = req;
    Images__CreateImageResponse r = IMAGES__CREATE_IMAGE_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct scope sc;
    struct image_record rec, done;
    TRY(call_scope(c, &sc, e));
    TRY(from_pb(q->image, a, &rec, e));
    TRY(image_create(store_of(c), &sc, &rec, a, &done, e));
    r.image = to_pb(&done, a);
    return grpc_call_reply(c, &r.base, e);
}

static int update(struct grpc_call *c, const void *req, struct err *e)
{
    const Images__UpdateImageRequest *q = req;
    Images__UpdateImageResponse r = IMAGES__UPDATE_IMAGE_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strv mask = mask_from_pb(q->update_mask);
    struct scope sc;
    struct image_record rec, done;
    TRY(call_scope(c, &sc, e));
    TRY(from_pb(q->image, a, &rec, e));
    TRY(image_update(store_of(c), &sc, &rec, &mask, a, &done, e));
    r.image = to_pb(&done, a);
    return grpc_call_reply(c, &r.base, e);
}

static int delete (struct grpc_call *c, const void *req, struct err *e)
{
    const Images__DeleteImageRequest *q = req;
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    TRY(image_delete(store_of(c), &sc, q->name, q->target != NULL ? q->target->digest : "", q->sync,
                     e));
    return grpc_call_reply_empty(c, e);
}

#define IMAGES "containerd.services.images.v1.Images"

static const struct grpc_method methods[] = {
    {IMAGES, "Get", &images__get_image_request__descriptor, &images__get_image_response__descriptor,
     GRPC_UNARY, 0, get},
    {IMAGES, "List", &images__list_images_request__descriptor,
     &images__list_images_response__descriptor, GRPC_UNARY, 0, list},
    {IMAGES, "Create", &images__create_image_request__descriptor,
     &images__create_image_response__descriptor, GRPC_UNARY, 0, create},
    {IMAGES, "Update", &images__update_image_request__descriptor,
     &images__update_image_response__descriptor, GRPC_UNARY, 0, update},
    /* may wait for a collection */
    {IMAGES, "Delete", &images__delete_image_request__descriptor, &pb__empty__descriptor,
     GRPC_UNARY, GRPC_SLOW, delete},
};

void service_images_add(struct grpc_server *s)
{
    grpc_server_add(s, methods, ARRAY_LEN(methods));
}
