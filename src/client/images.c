/* Image names and blobs. */
#include "client/images.h"

#include "client/wire.h"
#include "proto/content.pb-c.h"
#include "proto/images.pb-c.h"

#define IMAGES "/containerd.services.images.v1.Images/"
#define CONTENT "/containerd.services.content.v1.Content/"

static void image_of(const Images__Image *i, struct arena *a, struct ctd_image *out)
{
    *out = (struct ctd_image){
        .name = i->name,
        .media_type = i->target != NULL ? i->target->media_type : "",
        .digest = i->target != NULL ? i->target->digest : "",
        .size = i->target != NULL ? i->target->size : 0,
        .created_ns = pb_time_ns(i->created_at),
        .updated_ns = pb_time_ns(i->updated_at),
        .labels = wire_labels(i->n_labels, i->labels, a),
    };
}

int ctd_image_get(struct ctd *c, const char *name, struct arena *a, struct ctd_image *out,
                  struct err *e)
{
    Images__GetImageRequest req = IMAGES__GET_IMAGE_REQUEST__INIT;
    Images__GetImageResponse *r;

    req.name = (char *)name;
    if (ctd_call(c, IMAGES "Get", &req.base, NULL, &images__get_image_response__descriptor, a, &r,
                 e) < 0)
        return e->kind == ERR_NOT_FOUND ? 0 : -1;
    if (r->image == NULL)
        return 0;
    image_of(r->image, a, out);
    return 1;
}

int ctd_image_list(struct ctd *c, const char *filter, struct arena *a, struct ctd_image **out,
                   size_t *out_n, struct err *e)
{
    Images__ListImagesRequest req = IMAGES__LIST_IMAGES_REQUEST__INIT;
    Images__ListImagesResponse *r;
    char *filters[] = {(char *)filter};

    if (filter != NULL) {
        req.filters = filters;
        req.n_filters = 1;
    }
    TRY(ctd_call(c, IMAGES "List", &req.base, NULL, &images__list_images_response__descriptor, a,
                 &r, e));
    *out = arena_alloc_array(a, r->n_images + 1, sizeof(**out));
    *out_n = r->n_images;
    for (size_t i = 0; i < r->n_images; i++)
        image_of(r->images[i], a, &(*out)[i]);
    return 0;
}

int ctd_image_put(struct ctd *c, const struct ctd_image *img, struct err *e)
{
    enum { TRIES = 5 };
    auto_arena struct arena *a = arena_new();
    Types__Descriptor target = TYPES__DESCRIPTOR__INIT;
    Images__Image doc = IMAGES__IMAGE__INIT;
    Images__UpdateImageRequest update = IMAGES__UPDATE_IMAGE_REQUEST__INIT;
    Images__CreateImageRequest create = IMAGES__CREATE_IMAGE_REQUEST__INIT;
    Images__UpdateImageResponse *updated;
    Images__CreateImageResponse *created;

    target.media_type = (char *)img->media_type;
    target.digest = (char *)img->digest;
    target.size = img->size;
    doc.name = (char *)img->name;
    doc.target = &target;
    vec_each(l, &img->labels)
        pb_map_add(&images__image__labels_entry__descriptor, &doc.n_labels, &doc.labels, l->key,
                   l->val, a);
    update.image = create.image = &doc;
    for (int try = 0; try < TRIES; try++) { /* another client may take or free the name meanwhile */
        err_clear(e);
        if (ctd_call(c, IMAGES "Update", &update.base, NULL,
                     &images__update_image_response__descriptor, a, &updated, e) == 0)
            return 0;
        if (e->kind != ERR_NOT_FOUND)
            return -1;
        err_clear(e);
        if (ctd_call(c, IMAGES "Create", &create.base, NULL,
                     &images__create_image_response__descriptor, a, &created, e) == 0)
            return 0;
        if (e->kind != ERR_EXISTS)
            return -1;
    }
    return -1;
}

int ctd_image_delete(struct ctd *c, const char *name, bool sync, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Images__DeleteImageRequest req = IMAGES__DELETE_IMAGE_REQUEST__INIT;
    Pb__Empty *r;

    req.name = (char *)name;
    req.sync = sync;
    return ctd_call(c, IMAGES "Delete", &req.base, NULL, &pb__empty__descriptor, a, &r, e);
}

int ctd_content_read(struct ctd *c, const char *digest, size_t max, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Content__ReadContentRequest req = CONTENT__READ_CONTENT_REQUEST__INIT;
    struct grpc_stream *s = NULL;
    size_t start = out->n;
    int r;

    req.digest = (char *)digest;
    TRY(ctd_stream(c, CONTENT "Read", NULL, &s, e));
    r = grpc_stream_send(s, &req.base, e);
    grpc_stream_close_send(s);
    while (r >= 0) {
        Content__ReadContentResponse *m;

        r = grpc_stream_recv(s, &content__read_content_response__descriptor, a, &m, e);
        if (r <= 0)
            break;
        if (out->n - start + m->data.len > max || buf_add(out, m->data.data, m->data.len) < 0)
            r = err_set(e, ERR_TOO_LARGE, "blob %s has more than %zu bytes", digest, max);
    }
    grpc_stream_free(s);
    return r;
}

/* The bytes and the commit are one message, and one more tells the labels to a blob that exists. */
static int label_blob(struct ctd *c, const char *digest, const struct strmap *labels,
                      const struct ctd_opts *opts, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Content__UpdateRequest req = CONTENT__UPDATE_REQUEST__INIT;
    Content__Info info = CONTENT__INFO__INIT;
    Pb__FieldMask mask = PB__FIELD_MASK__INIT;
    Content__UpdateResponse *r;

    if (labels == NULL || labels->n == 0)
        return 0;
    info.digest = (char *)digest;
    mask.paths = arena_alloc_array(a, labels->n, sizeof(*mask.paths));
    vec_each(l, labels) {
        pb_map_add(&content__info__labels_entry__descriptor, &info.n_labels, &info.labels, l->key,
                   l->val, a);
        mask.paths[mask.n_paths++] = arena_printf(a, "labels.%s", l->key);
    }
    req.info = &info;
    req.update_mask = &mask;
    return ctd_call(c, CONTENT "Update", &req.base, opts, &content__update_response__descriptor, a,
                    &r, e);
}

static int send_blob(struct grpc_stream *s, Content__WriteContentRequest *req, struct arena *a,
                     struct err *e)
{
    Content__WriteContentResponse *m;
    int r;

    TRY(grpc_stream_send(s, &req->base, e));
    grpc_stream_close_send(s);
    while ((r = grpc_stream_recv(s, &content__write_content_response__descriptor, a, &m, e)) > 0)
        ;
    return r;
}

int ctd_content_write(struct ctd *c, const char *digest, const void *p, size_t n,
                      const struct strmap *labels, const char *lease, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const struct ctd_opts opts = CTD_OPTS(.lease = lease);
    Content__WriteContentRequest req = CONTENT__WRITE_CONTENT_REQUEST__INIT;
    struct grpc_stream *s = NULL;
    int r;

    req.action = CONTENT__WRITE_ACTION__COMMIT;
    req.ref = arena_printf(a, "write-%s", digest);
    req.total = (int64_t)n;
    req.expected = (char *)digest;
    req.data = (ProtobufCBinaryData){n, arena_dup(a, p, n)};
    if (labels != NULL)
        vec_each(l, labels)
            pb_map_add(&content__write_content_request__labels_entry__descriptor, &req.n_labels,
                       &req.labels, l->key, l->val, a);
    TRY(ctd_stream(c, CONTENT "Write", &opts, &s, e));
    r = send_blob(s, &req, a, e);
    grpc_stream_free(s);
    if (r < 0 && e->kind == ERR_EXISTS) {
        err_clear(e);
        r = label_blob(c, digest, labels, &opts, e);
    }
    return r;
}

int ctd_content_info(struct ctd *c, const char *digest, struct arena *a, int64_t *out_size,
                     struct strmap *out_labels, struct err *e)
{
    Content__InfoRequest req = CONTENT__INFO_REQUEST__INIT;
    Content__InfoResponse *r;

    req.digest = (char *)digest;
    if (ctd_call(c, CONTENT "Info", &req.base, NULL, &content__info_response__descriptor, a, &r,
                 e) < 0)
        return e->kind == ERR_NOT_FOUND ? 0 : -1;
    if (r->info == NULL)
        return 0;
    *out_size = r->info->size;
    if (out_labels != NULL)
        *out_labels = wire_labels(r->info->n_labels, r->info->labels, a);
    return 1;
}

struct blobs {
    VEC(struct ctd_blob) list;
};

static int list_blobs(struct ctd *c, struct arena *a, struct blobs *out, struct err *e)
{
    Content__ListContentRequest req = CONTENT__LIST_CONTENT_REQUEST__INIT;
    struct grpc_stream *s = NULL;
    int r;

    TRY(ctd_stream(c, CONTENT "List", NULL, &s, e));
    r = grpc_stream_send(s, &req.base, e);
    grpc_stream_close_send(s);
    while (r >= 0) {
        Content__ListContentResponse *m;

        r = grpc_stream_recv(s, &content__list_content_response__descriptor, a, &m, e);
        if (r <= 0)
            break;
        for (size_t i = 0; i < m->n_info; i++)
            *vec_add_in(a, &out->list) =
                (struct ctd_blob){.digest = m->info[i]->digest, .size = m->info[i]->size};
    }
    grpc_stream_free(s);
    return r;
}

int ctd_content_list(struct ctd *c, struct arena *a, struct ctd_blob **out, size_t *out_n,
                     struct err *e)
{
    Content__ListStatusesRequest req = CONTENT__LIST_STATUSES_REQUEST__INIT;
    Content__ListStatusesResponse *r;
    struct blobs b = {0};

    TRY(list_blobs(c, a, &b, e));
    TRY(ctd_call(c, CONTENT "ListStatuses", &req.base, NULL,
                 &content__list_statuses_response__descriptor, a, &r, e));
    for (size_t i = 0; i < r->n_statuses; i++)
        *vec_add_in(a, &b.list) =
            (struct ctd_blob){.ref = r->statuses[i]->ref, .size = r->statuses[i]->offset};
    *out = b.list.v;
    *out_n = b.list.n;
    return 0;
}

int ctd_content_abort(struct ctd *c, const char *ref, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Content__AbortRequest req = CONTENT__ABORT_REQUEST__INIT;
    Pb__Empty *r;

    req.ref = (char *)ref;
    return ctd_call(c, CONTENT "Abort", &req.base, NULL, &pb__empty__descriptor, a, &r, e);
}

int ctd_content_delete(struct ctd *c, const char *digest, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Content__DeleteContentRequest req = CONTENT__DELETE_CONTENT_REQUEST__INIT;
    Pb__Empty *r;

    req.digest = (char *)digest;
    return ctd_call(c, CONTENT "Delete", &req.base, NULL, &pb__empty__descriptor, a, &r, e);
}
