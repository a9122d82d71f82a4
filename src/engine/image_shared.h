/** Which bytes of images are shared between them: blobs and unpacked layers, counted once each. */
#ifndef HULL_ENGINE_IMAGE_SHARED_H
#define HULL_ENGINE_IMAGE_SHARED_H

#include "engine/image.h"

struct image_shared;

struct image_shared *image_shared_new(struct engine *g);
void image_shared_free(struct image_shared *s);
#define auto_image_shared CLEANUP(image_shared_free_ptr)
static inline void image_shared_free_ptr(struct image_shared **s)
{
    image_shared_free(*s);
}

/** Count in the parts of an image; each image once. */
void image_shared_add(struct image_shared *s, const struct image *i);

/** Bytes of the image that another one of those counted has too. */
int64_t image_shared_bytes(const struct image_shared *s, const struct image *i);

#endif
