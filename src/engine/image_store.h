/** What the files about images share: names, who uses what, sizes. */
#ifndef HULL_ENGINE_IMAGE_STORE_H
#define HULL_ENGINE_IMAGE_STORE_H

#include "engine/core.h"
#include "engine/image.h"

/* Images that lost their last name keep this one, which nobody sees. */
#define DANGLING_PREFIX "moby-dangling@"

bool image_name_is_dangling(const char *name);

/** The names that users see of the image with this digest, in familiar form, in the arena. */
int image_names(struct engine *g, const char *digest, struct arena *a, struct strv *out_tags,
                struct strv *out_digests, struct err *e);

/** Names in v of this digest, as above, from a list that was read already. */
void image_names_of(const struct ctd_image *v, size_t n, const char *digest, struct arena *a,
                    struct strv *out_tags, struct strv *out_digests);

/** A stored name as people write it; as it is when it is no reference. In the arena. */
const char *image_familiar(const char *stored, struct arena *a);

/**
 * The name that a new image gets, full, in the arena; NULL when repo is empty.
 *
 * digest_refused  what is said (INVALID) when repo carries a digest.
 */
int image_target_name(const char *repo, const char *tag, const char *digest_refused,
                      struct arena *a, const char **out_full, struct err *e);

/** Before a name moves to another image: the one it points to now keeps a dangling name. */
int image_keep_dangling(struct engine *g, const char *name, struct err *e);

/** Afterwards: take that name away again where the image has another one (or nothing changed). */
void image_drop_dangling(struct engine *g, const char *digest);

/** Bytes of the layers as they are unpacked. */
int64_t image_unpacked_size(struct engine *g, const struct image *i);

/** Bytes on disk of all blobs and unpacked layers, each once. */
int64_t images_disk_size(struct engine *g);

/** Containers of an image. */
struct image_use {
    int running, stopped;
    char running_id[CONTAINER_ID_LEN + 1], stopped_id[CONTAINER_ID_LEN + 1];
};
struct image_use image_used_by(struct engine *g, const char *digest);

/** Raise an image event with the image's name. */
void image_event(struct engine *g, const char *action, const char *id, const char *name);

#endif
