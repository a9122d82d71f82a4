/**
 * Images in the Engine API: list, inspect, history, removal, and the progress lines of pull, load
 * and import. Source: Engine API 1.51, ImageSummary, ImageInspect, ImageHistoryResponseItem,
 * ImageDeleteResponseItem.
 */
#ifndef HULL_TYPES_IMAGE_H
#define HULL_TYPES_IMAGE_H

#include "base/json.h"
#include "types/container.h"
#include "types/oci_descriptor.h"

/* one item of GET /images/json; created_s is unix seconds; shared_size and containers are -1 when
 * not counted */
#define IMAGE_SUMMARY(T, F)                                             \
    F(T, i64, containers, "Containers", 0)                              \
    F(T, i64, created_s, "Created", 0)                                  \
    F(T, str, id, "Id", 0)                                              \
    F(T, map, labels, "Labels", 0)                                      \
    F(T, str, parent_id, "ParentId", 0)                                 \
    F(T, obj, descriptor, "Descriptor", JSON_OMITEMPTY, oci_descriptor) \
    F(T, strv, repo_digests, "RepoDigests", JSON_EMPTY)                 \
    F(T, strv, repo_tags, "RepoTags", JSON_EMPTY)                       \
    F(T, i64, shared_size, "SharedSize", 0)                             \
    F(T, i64, size, "Size", 0)
JSON_TYPE(image_summary, IMAGE_SUMMARY)

#define IMAGE_ROOTFS(T, F)                  \
    F(T, str, type, "Type", JSON_OMITEMPTY) \
    F(T, strv, layers, "Layers", JSON_OMITEMPTY)
JSON_TYPE(image_rootfs, IMAGE_ROOTFS)

#define IMAGE_METADATA(T, F) F(T, time, last_tag_ns, "LastTagTime", 0)
JSON_TYPE(image_metadata, IMAGE_METADATA)

/* GET /images/{name}/json; created is RFC 3339 text, "" when the image does not say */
#define IMAGE_INSPECT(T, F)                                 \
    F(T, str, id, "Id", 0)                                  \
    F(T, strv, repo_tags, "RepoTags", JSON_EMPTY)           \
    F(T, strv, repo_digests, "RepoDigests", JSON_EMPTY)     \
    F(T, str, parent, "Parent", 0)                          \
    F(T, str, comment, "Comment", 0)                        \
    F(T, str, created, "Created", JSON_OMITEMPTY)           \
    F(T, str, docker_version, "DockerVersion", 0)           \
    F(T, str, author, "Author", 0)                          \
    F(T, obj, config, "Config", 0, container_config)        \
    F(T, str, architecture, "Architecture", 0)              \
    F(T, str, variant, "Variant", JSON_OMITEMPTY)           \
    F(T, str, os, "Os", 0)                                  \
    F(T, str, os_version, "OsVersion", JSON_OMITEMPTY)      \
    F(T, i64, size, "Size", 0)                              \
    F(T, val, graph_driver, "GraphDriver", 0, graph_driver) \
    F(T, val, rootfs, "RootFS", 0, image_rootfs)            \
    F(T, val, metadata, "Metadata", 0, image_metadata)      \
    F(T, obj, descriptor, "Descriptor", JSON_OMITEMPTY, oci_descriptor)
JSON_TYPE(image_inspect, IMAGE_INSPECT)

/* one item of GET /images/{name}/history */
#define IMAGE_HISTORY(T, F)               \
    F(T, str, comment, "Comment", 0)      \
    F(T, i64, created_s, "Created", 0)    \
    F(T, str, created_by, "CreatedBy", 0) \
    F(T, str, id, "Id", 0)                \
    F(T, i64, size, "Size", 0)            \
    F(T, strv, tags, "Tags", 0)
JSON_TYPE(image_history, IMAGE_HISTORY)

/* one item of DELETE /images/{name}: exactly one of the two is set */
#define IMAGE_DELETED(T, F)                       \
    F(T, str, deleted, "Deleted", JSON_OMITEMPTY) \
    F(T, str, untagged, "Untagged", JSON_OMITEMPTY)
JSON_TYPE(image_deleted, IMAGE_DELETED)

#define IMAGES_PRUNED(T, F)                                \
    F(T, list, deleted, "ImagesDeleted", 0, image_deleted) \
    F(T, u64, space_reclaimed, "SpaceReclaimed", 0)
JSON_TYPE(images_pruned, IMAGES_PRUNED)

#define PROGRESS_DETAIL(T, F)                             \
    F(T, i64, current, "current", JSON_OMITEMPTY)         \
    F(T, i64, total, "total", JSON_OMITEMPTY)             \
    F(T, i64, start, "start", JSON_OMITEMPTY)             \
    F(T, bool, hide_counts, "hidecounts", JSON_OMITEMPTY) \
    F(T, str, units, "units", JSON_OMITEMPTY)
JSON_TYPE(progress_detail, PROGRESS_DETAIL)

#define PROGRESS_ERROR(T, F)                \
    F(T, i64, code, "code", JSON_OMITEMPTY) \
    F(T, str, message, "message", JSON_OMITEMPTY)
JSON_TYPE(progress_error, PROGRESS_ERROR)

/* one line of a progress stream; detail is there ({}) for updates and absent for plain status lines
 */
#define PROGRESS_LINE(T, F)                                                \
    F(T, str, stream, "stream", JSON_OMITEMPTY)                            \
    F(T, str, status, "status", JSON_OMITEMPTY)                            \
    F(T, obj, detail, "progressDetail", JSON_OMITEMPTY, progress_detail)   \
    F(T, str, progress, "progress", JSON_OMITEMPTY)                        \
    F(T, str, id, "id", JSON_OMITEMPTY)                                    \
    F(T, obj, error_detail, "errorDetail", JSON_OMITEMPTY, progress_error) \
    F(T, str, error, "error", JSON_OMITEMPTY)                              \
    F(T, raw, aux, "aux", JSON_OMITEMPTY)
JSON_TYPE(progress_line, PROGRESS_LINE)

/* aux of a push: what the reference stands for now */
#define PUSHED(T, F)               \
    F(T, str, tag, "Tag", 0)       \
    F(T, str, digest, "Digest", 0) \
    F(T, i64, size, "Size", 0)
JSON_TYPE(pushed, PUSHED)

/* aux of a push of an index that is not all here */
#define PUSHED_INSTEAD(T, F)                               \
    F(T, bool, instead, "manifestPushedInsteadOfIndex", 0) \
    F(T, val, index, "originalIndex", 0, oci_descriptor)   \
    F(T, val, manifest, "selectedManifest", 0, oci_descriptor)
JSON_TYPE(pushed_instead, PUSHED_INSTEAD)

#endif
