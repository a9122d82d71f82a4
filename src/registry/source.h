/** The small documents of a source. Private to the room. */
#ifndef HULL_REGISTRY_SOURCE_H
#define HULL_REGISTRY_SOURCE_H

#include "base/json.h"
#include "registry/session.h"

/** Add a blob or manifest to out and check its digest. Errors: the source's; TOO_LARGE;
 * PRECONDITION when the bytes are others. */
int source_read(struct image_source *src, const struct oci_descriptor *d, struct buf *out,
                struct err *e);

/** The same, as a document of at most max bytes. */
int source_read_document(struct image_source *src, const struct oci_descriptor *d, size_t max,
                         const struct json_desc *type, void *doc, struct arena *a, struct err *e);

#endif
