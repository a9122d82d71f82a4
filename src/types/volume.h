/** Volumes in the Engine API. Source: Engine API 1.51, Volume, VolumeCreateOptions,
 * VolumeListResponse. */
#ifndef HULL_TYPES_VOLUME_H
#define HULL_TYPES_VOLUME_H

#include "base/json.h"

/* ref_count and size are -1 when they were not computed */
#define VOLUME_USAGE(T, F)              \
    F(T, i64, ref_count, "RefCount", 0) \
    F(T, i64, size, "Size", 0)
JSON_TYPE(volume_usage, VOLUME_USAGE)

#define VOLUME_INSPECT(T, F)               \
    F(T, time, created_ns, "CreatedAt", 0) \
    F(T, str, driver, "Driver", 0)         \
    F(T, map, labels, "Labels", 0)         \
    F(T, str, mountpoint, "Mountpoint", 0) \
    F(T, str, name, "Name", 0)             \
    F(T, map, options, "Options", 0)       \
    F(T, str, scope, "Scope", 0)           \
    F(T, obj, usage, "UsageData", JSON_OMITEMPTY, volume_usage)
JSON_TYPE(volume_inspect, VOLUME_INSPECT)

/* POST /volumes/create */
#define VOLUME_CREATE(T, F)                 \
    F(T, str, name, "Name", 0)              \
    F(T, str, driver, "Driver", 0)          \
    F(T, map, driver_opts, "DriverOpts", 0) \
    F(T, map, labels, "Labels", 0)          \
    F(T, raw, cluster_spec, "ClusterVolumeSpec", JSON_OMITEMPTY)
JSON_TYPE(volume_create, VOLUME_CREATE)

#define VOLUME_LIST(T, F)                                      \
    F(T, list, volumes, "Volumes", JSON_EMPTY, volume_inspect) \
    F(T, strv, warnings, "Warnings", 0)
JSON_TYPE(volume_list, VOLUME_LIST)

#define VOLUMES_PRUNED(T, F)                 \
    F(T, strv, deleted, "VolumesDeleted", 0) \
    F(T, u64, space_reclaimed, "SpaceReclaimed", 0)
JSON_TYPE(volumes_pruned, VOLUMES_PRUNED)

#endif
