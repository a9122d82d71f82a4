/** Images as the user sees them, over containerd's image store. */
#ifndef HULL_ENGINE_IMAGES_H
#define HULL_ENGINE_IMAGES_H

#include "engine/engine.h"

/* POST /images/create?fromImage=; without tag and digest all tags. Progress goes to sink as JSON
 * lines ending in \r\n. When nothing was written yet an error is for the status; afterwards it has
 * been written into the stream and 0 is returned. */
struct pull_opts {
    const char *from_image, *tag, *platform; /* as in the query; NULL or "" */
    const char *auth;                        /* X-Registry-Auth as it came; NULL */
    int api;
    int cancel_fd;
};
int image_pull(struct engine *g, const struct pull_opts *o, const struct sink *sink, struct err *e);

/** POST /images/{name}/push. As image_pull; unknown tags are told in the stream, too. */
struct push_opts {
    const char *name, *tag; /* tag NULL or "": that of the name, else all tags */
    const char *platform;   /* JSON, as in the query; NULL or "" */
    const char *auth;       /* X-Registry-Auth as it came; NULL */
    int cancel_fd;
};
int image_push(struct engine *g, const struct push_opts *o, const struct sink *sink, struct err *e);

/* The body of a load or an import: > 0 bytes at p, 0 at its end, -1 with e. */
struct source_stream {
    ssize_t (*read)(void *arg, void *p, size_t cap, struct err *e);
    void *arg;
};

struct oci_platform; /* types/oci_descriptor.h; NULL below: what suits this machine, or is there */

/** POST /images/load. */
struct load_opts {
    bool quiet;
    const struct oci_platform *platform; /* only this one of each image */
    int cancel_fd;
};
int image_load(struct engine *g, const struct load_opts *o, const struct source_stream *body,
               const struct sink *sink, struct err *e);

/** POST /images/create?fromSrc=-. */
struct import_opts {
    const char *repo, *tag, *message, *platform;
    const struct strv *changes;
    int cancel_fd;
};
int image_import(struct engine *g, const struct import_opts *o, const struct source_stream *body,
                 const struct sink *sink, struct err *e);

/** GET /images/get: names as in the query. NOT_FOUND before the first byte. */
int image_save(struct engine *g, const struct strv *names, const struct oci_platform *platform,
               const struct sink *sink, int cancel_fd, struct err *e);

struct image_list_opts {
    bool all, digests, shared_size;
    bool containers;     /* count them whatever the API version */
    const char *filters; /* the query's JSON, or NULL */
    int api;
};
int image_list(struct engine *g, const struct image_list_opts *o, struct buf *out, struct err *e);

/** NOT_FOUND "No such image: x:latest", or that it is not for this platform. */
int image_inspect(struct engine *g, const char *name, const struct oci_platform *platform, int api,
                  struct buf *out, struct err *e);
int image_history(struct engine *g, const char *name, const struct oci_platform *platform,
                  struct buf *out, struct err *e);
int image_tag(struct engine *g, const char *name, const char *repo, const char *tag, struct err *e);
/** Appends [{"Untagged":...},{"Deleted":...}]. CONFLICT with Docker's texts. */
struct image_remove_opts {
    bool force;
    const struct oci_platform *platforms; /* the content of these alone goes, the name stays */
    size_t n_platforms;
};
int image_remove(struct engine *g, const char *name, const struct image_remove_opts *o,
                 struct buf *out, struct err *e);
int image_prune(struct engine *g, const char *filters, struct buf *out, struct err *e);

#endif
