/* Images: in and out of the store, and what is in it. */
#include "engine/images.h"

#include "api/route.h"
#include "engine/image_commit.h"
#include "types/oci_image.h"

/* A stream that wrote nothing still owes an answer. */
static int end_stream(struct req *rq)
{
    return rq->streaming ? 0 : req_status(rq, 200);
}

HANDLER(get_images)
{
    auto_buf struct buf b = REQ_DOC;
    struct image_list_opts o = {
        .all = req_flag(rq, "all"),
        .digests = req_flag(rq, "digests"),
        .shared_size = rq->version >= 42 && req_flag(rq, "shared-size"),
        .filters = req_query(rq, "filters"),
        .api = rq->version,
    };
    TRY(image_list(rq->engine, &o, &b, e));
    return req_reply(rq, 200, &b);
}

static const char *platform(const struct req *rq)
{
    return rq->version >= 32 ? req_query(rq, "platform") : NULL;
}

static int import(struct req *rq, const char *from, const struct sink *sink, struct err *e)
{
    struct strv changes = req_query_all(rq, "changes");
    struct import_opts o = {
        .repo = req_query(rq, "repo"),
        .tag = req_query(rq, "tag"),
        .message = req_query(rq, "message"),
        .platform = platform(rq),
        .changes = &changes,
        .cancel_fd = req_cancel_fd(rq),
    };
    if (from[0] == '\0')
        return err_set(e, ERR_INVALID, "either fromImage or fromSrc is needed");
    if (strcmp(from, "-") != 0)
        return err_set(e, ERR_UNIMPLEMENTED,
                       "importing from a URL is not supported: send the archive in the request");
    return image_import(rq->engine, &o, &(struct source_stream){req_body_read, rq}, sink, e);
}

HANDLER(post_image_create)
{
    const char *image = req_query(rq, "fromImage"), *src = req_query(rq, "fromSrc");
    struct sink sink = req_sink_now(rq, "application/json");
    struct pull_opts o = {
        .from_image = image,
        .tag = req_query(rq, "tag"),
        .platform = platform(rq),
        .auth = http_req_head(rq->http, "X-Registry-Auth"),
        .api = rq->version,
        .cancel_fd = req_cancel_fd(rq),
    };
    if (image != NULL && image[0] != '\0')
        TRY(image_pull(rq->engine, &o, &sink, e));
    else
        TRY(import(rq, src == NULL ? "" : src, &sink, e));
    return end_stream(rq);
}

/* Platforms that a query names, each as JSON; none for clients that are older than that. */
static int platforms_of(const struct req *rq, const char *key, int since, struct oci_platform **out,
                        size_t *out_n, struct err *e)
{
    struct strv all = rq->version >= since ? req_query_all(rq, key) : (struct strv){0};
    *out = arena_alloc_array(rq->arena, all.n + 1, sizeof(**out));
    *out_n = 0;
    vec_each(text, &all) {
        struct oci_platform *p = &(*out)[*out_n];
        if (**text == '\0')
            continue;
        if (json_parse(&oci_platform_json, p, *text, strlen(*text), rq->arena, e) < 0)
            return err_wrap(e, "failed to parse platform");
        if (p->os == NULL || p->os[0] == '\0' || p->architecture == NULL ||
            p->architecture[0] == '\0')
            return err_set(e, ERR_INVALID, "both OS and Architecture must be provided");
        TRY(oci_platform_parse(oci_platform_format(p, rq->arena), rq->arena, p, e));
        (*out_n)++;
    }
    return 0;
}

/* One of them; NULL: none is named. */
static int platform_of(const struct req *rq, int since, const struct oci_platform **out,
                       struct err *e)
{
    struct oci_platform *v;
    size_t n;
    TRY(platforms_of(rq, "platform", since, &v, &n, e));
    if (n > 1)
        return err_set(e, ERR_INVALID, "multiple platform parameters not supported");
    *out = n == 1 ? v : NULL;
    return 0;
}

HANDLER(post_image_load)
{
    struct sink sink = req_sink_now(rq, "application/json");
    struct load_opts o = {.quiet = req_flag_or(rq, "quiet", true), .cancel_fd = req_cancel_fd(rq)};
    TRY(platform_of(rq, 48, &o.platform, e));
    TRY(image_load(rq->engine, &o, &(struct source_stream){req_body_read, rq}, &sink, e));
    return end_stream(rq);
}

static int save(struct req *rq, const struct strv *names, struct err *e)
{
    struct sink sink = req_sink(rq, "application/x-tar");
    const struct oci_platform *p;
    TRY(platform_of(rq, 48, &p, e));
    return image_save(rq->engine, names, p, &sink, req_cancel_fd(rq), e);
}

HANDLER(get_image_save)
{
    struct strv names = {0};
    vec_push_in(rq->arena, &names, arena_strdup(rq->arena, rq->vars[0]));
    return save(rq, &names, e);
}

HANDLER(get_images_save)
{
    struct strv names = req_query_all(rq, "names");
    return save(rq, &names, e);
}

HANDLER(get_image)
{
    auto_buf struct buf b = REQ_DOC;
    const struct oci_platform *p;
    TRY(platform_of(rq, 49, &p, e));
    if (p != NULL && req_flag(rq, "manifests"))
        return err_set(e, ERR_INVALID,
                       "conflicting options: manifests and platform options cannot both be set");
    TRY(image_inspect(rq->engine, rq->vars[0], p, rq->version, &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(get_image_history)
{
    auto_buf struct buf b = REQ_DOC;
    const struct oci_platform *p;
    TRY(platform_of(rq, 48, &p, e));
    TRY(image_history(rq->engine, rq->vars[0], p, &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(post_image_tag)
{
    const char *repo = req_query(rq, "repo"), *tag = req_query(rq, "tag");
    TRY(image_tag(rq->engine, rq->vars[0], repo == NULL ? "" : repo, tag, e));
    return req_status(rq, 201);
}

HANDLER(delete_image)
{
    auto_buf struct buf b = REQ_DOC;
    struct image_remove_opts o = {.force = req_flag(rq, "force")}; /* images have no parents here */
    struct oci_platform *platforms;
    TRY(platforms_of(rq, "platforms", 50, &platforms, &o.n_platforms, e));
    o.platforms = platforms;
    TRY(image_remove(rq->engine, rq->vars[0], &o, &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(post_images_prune)
{
    auto_buf struct buf b = REQ_DOC;
    TRY(image_prune(rq->engine, req_query(rq, "filters"), &b, e));
    return req_reply(rq, 200, &b);
}

/* "null" (and a newline) is what clients send that have no configuration. */
static bool is_config(const char *body, size_t n)
{
    return n < 4 || n > 5 || memcmp(body, "null", 4) != 0;
}

HANDLER(post_commit)
{
    auto_container struct container *c = NULL;
    auto_buf struct buf b = REQ_DOC;
    struct strv changes = req_query_all(rq, "changes");
    const char *name = req_query(rq, "container");
    struct commit_opts o = {
        .repo = req_query(rq, "repo"),
        .tag = req_query(rq, "tag"),
        .comment = req_query(rq, "comment"),
        .author = req_query(rq, "author"),
        .changes = &changes,
        .pause = req_flag_or(rq, "pause", true),
        .cancel_fd = req_cancel_fd(rq),
    };
    TRY(req_json_body(rq, true, &o.body, &o.body_len, e));
    if (!is_config(o.body, o.body_len))
        o.body_len = 0;
    TRY(container_find(rq->engine, name == NULL ? "" : name, &c, e));
    TRY(container_commit(c, &o, &b, e));
    return req_reply(rq, 201, &b);
}

HANDLER(post_image_push)
{
    struct sink sink = req_sink_now(rq, "application/json");
    const struct push_opts o = {
        .name = rq->vars[0],
        .tag = req_query(rq, "tag"),
        .platform = rq->version >= 46 ? req_query(rq, "platform") : NULL,
        .auth = http_req_head(rq->http, "X-Registry-Auth"),
        .cancel_fd = req_cancel_fd(rq),
    };
    TRY(image_push(rq->engine, &o, &sink, e));
    return end_stream(rq);
}
