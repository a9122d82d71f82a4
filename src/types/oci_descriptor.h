/** OCI descriptors and platforms. Source: OCI image-spec 1.1, descriptor.md and image-index.md. */
#ifndef HULL_TYPES_OCI_DESCRIPTOR_H
#define HULL_TYPES_OCI_DESCRIPTOR_H

#include "base/json.h"

#define OCI_PLATFORM(T, F)                                 \
    F(T, str, architecture, "architecture", 0)             \
    F(T, str, os, "os", 0)                                 \
    F(T, str, os_version, "os.version", JSON_OMITEMPTY)    \
    F(T, strv, os_features, "os.features", JSON_OMITEMPTY) \
    F(T, str, variant, "variant", JSON_OMITEMPTY)
JSON_TYPE(oci_platform, OCI_PLATFORM)

/* digest: "sha256:" and 64 hex digits */
#define OCI_DESCRIPTOR(T, F)                                      \
    F(T, str, media_type, "mediaType", 0)                         \
    F(T, str, digest, "digest", 0)                                \
    F(T, i64, size, "size", 0)                                    \
    F(T, strv, urls, "urls", JSON_OMITEMPTY)                      \
    F(T, map, annotations, "annotations", JSON_OMITEMPTY)         \
    F(T, obj, platform, "platform", JSON_OMITEMPTY, oci_platform) \
    F(T, str, artifact_type, "artifactType", JSON_OMITEMPTY)
JSON_TYPE(oci_descriptor, OCI_DESCRIPTOR)

#endif
