/**
 * The documents of an image: index, manifest and configuration, in OCI's and in Docker's media
 * types (schema 2; the JSON is the same). Limits: see OCI_*_MAX; who fetches them checks before
 * parsing.
 *
 * Source: OCI image-spec 1.1; Docker image manifest version 2, schema 2.
 */
#ifndef HULL_TYPES_OCI_IMAGE_H
#define HULL_TYPES_OCI_IMAGE_H

#include "types/oci_descriptor.h"

#define OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_LAYER "application/vnd.oci.image.layer.v1.tar"
#define OCI_LAYER_GZIP OCI_LAYER "+gzip"
#define OCI_LAYER_ZSTD OCI_LAYER "+zstd"
#define OCI_LAYER_FOREIGN "application/vnd.oci.image.layer.nondistributable.v1.tar"
#define DOCKER_INDEX "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar"
#define DOCKER_LAYER_GZIP DOCKER_LAYER ".gzip"
#define DOCKER_FOREIGN_LAYER_GZIP "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
#define DOCKER_SCHEMA1 "application/vnd.docker.distribution.manifest.v1+prettyjws"

enum {
    OCI_MANIFEST_MAX = 4 << 20, /* bytes of an index or a manifest */
    OCI_CONFIG_MAX = 8 << 20,   /* bytes of a configuration */
    OCI_LAYERS_MAX = 512,       /* layers of an image */
};

#define OCI_INDEX_DOC(T, F)                                        \
    F(T, i64, schema_version, "schemaVersion", 0)                  \
    F(T, str, media_type, "mediaType", JSON_OMITEMPTY)             \
    F(T, list, manifests, "manifests", JSON_EMPTY, oci_descriptor) \
    F(T, map, annotations, "annotations", JSON_OMITEMPTY)
JSON_TYPE(oci_index, OCI_INDEX_DOC)

#define OCI_MANIFEST_DOC(T, F)                               \
    F(T, i64, schema_version, "schemaVersion", 0)            \
    F(T, str, media_type, "mediaType", JSON_OMITEMPTY)       \
    F(T, val, config, "config", 0, oci_descriptor)           \
    F(T, list, layers, "layers", JSON_EMPTY, oci_descriptor) \
    F(T, map, annotations, "annotations", JSON_OMITEMPTY)
JSON_TYPE(oci_manifest, OCI_MANIFEST_DOC)

#define OCI_HISTORY(T, F)                               \
    F(T, str, created, "created", JSON_OMITEMPTY)       \
    F(T, str, created_by, "created_by", JSON_OMITEMPTY) \
    F(T, str, author, "author", JSON_OMITEMPTY)         \
    F(T, str, comment, "comment", JSON_OMITEMPTY)       \
    F(T, bool, empty_layer, "empty_layer", JSON_OMITEMPTY)
JSON_TYPE(oci_history, OCI_HISTORY)

#define OCI_ROOTFS(T, F)       \
    F(T, str, type, "type", 0) \
    F(T, strv, diff_ids, "diff_ids", JSON_EMPTY)
JSON_TYPE(oci_rootfs, OCI_ROOTFS)

/* `config` is the container configuration as JSON text: the engine reads it with its own type. */
#define OCI_IMAGE_CONFIG(T, F)                             \
    F(T, str, created, "created", JSON_OMITEMPTY)          \
    F(T, str, author, "author", JSON_OMITEMPTY)            \
    F(T, str, architecture, "architecture", 0)             \
    F(T, str, variant, "variant", JSON_OMITEMPTY)          \
    F(T, str, os, "os", 0)                                 \
    F(T, str, os_version, "os.version", JSON_OMITEMPTY)    \
    F(T, strv, os_features, "os.features", JSON_OMITEMPTY) \
    F(T, raw, config, "config", JSON_OMITEMPTY)            \
    F(T, str, comment, "comment", JSON_OMITEMPTY)          \
    F(T, val, rootfs, "rootfs", 0, oci_rootfs)             \
    F(T, list, history, "history", JSON_OMITEMPTY, oci_history)
JSON_TYPE(oci_image_config, OCI_IMAGE_CONFIG)

/** What a media type stands for. Kinds with a parameter part (";charset=…") are recognised too. */
bool oci_is_index(const char *media_type);
bool oci_is_manifest(const char *media_type);
bool oci_is_config(const char *media_type);
bool oci_is_layer(const char *media_type);
/** A layer whose bytes are elsewhere than in the registry ("foreign", "nondistributable"). */
bool oci_is_foreign_layer(const char *media_type);

/**
 * "linux/amd64", "linux/arm64/v8", "amd64", "linux" into its parts, aliases normalised (x86_64 is
 * amd64, aarch64 is arm64, armhf is arm/v7). Empty text is this machine. Strings live in the arena.
 * Errors: INVALID ("\"x/y/z/w\": unsupported platform specifier …").
 */
int oci_platform_parse(const char *text, struct arena *a, struct oci_platform *out, struct err *e);

/** This machine's architecture in Go's words; "" when it is not known. */
const char *oci_host_architecture(struct arena *a);

/** "linux/amd64" or "linux/arm64/v8". The text lives in the arena. */
char *oci_platform_format(const struct oci_platform *p, struct arena *a);

/**
 * How well an offer suits what is wanted: 0 is not at all, higher is better. A machine of arm/v8
 * runs v7, v6 and v5 as well, amd64/v3 runs v2 and v1, never the other way round.
 */
int oci_platform_score(const struct oci_platform *wanted, const struct oci_platform *offer);

/** The manifest of an index that suits `wanted` best (the first of equals), or NULL. Entries for
 * attestations ("unknown/unknown") never match. */
const struct oci_descriptor *oci_index_pick(const struct oci_index *index,
                                            const struct oci_platform *wanted);

#endif
