/** The documents of a container as the database keeps them. */
#ifndef HULL_ENGINE_RECORD_H
#define HULL_ENGINE_RECORD_H

#include "net/state.h"
#include "sys/userns.h"
#include "types/container.h"

/* One mount of a container, resolved at create. type: bind, volume, tmpfs. name: the volume's.
 * source: of a bind. mode: as the user wrote it ("", "ro", "z"). anonymous: the volume goes with
 * the container. */
#define MOUNT_RECORD(T, F)                                    \
    F(T, str, type, "Type", 0)                                \
    F(T, str, name, "Name", JSON_OMITEMPTY)                   \
    F(T, str, source, "Source", JSON_OMITEMPTY)               \
    F(T, str, target, "Destination", 0)                       \
    F(T, str, driver, "Driver", JSON_OMITEMPTY)               \
    F(T, str, mode, "Mode", JSON_OMITEMPTY)                   \
    F(T, bool, rw, "RW", 0)                                   \
    F(T, str, propagation, "Propagation", JSON_OMITEMPTY)     \
    F(T, str, subpath, "Subpath", JSON_OMITEMPTY)             \
    F(T, str, options, "Options", JSON_OMITEMPTY)             \
    F(T, bool, non_recursive, "NonRecursive", JSON_OMITEMPTY) \
    F(T, bool, no_copy, "NoCopy", JSON_OMITEMPTY)             \
    F(T, bool, anonymous, "Anonymous", JSON_OMITEMPTY)        \
    F(T, bool, create_source, "CreateSource", JSON_OMITEMPTY)
JSON_TYPE(mount_record, MOUNT_RECORD)

/* The mappings of a container's user namespace (sys/userns.h). */
#define USERNS_RECORD(T, F)     \
    F(T, str, uid, "UidMap", 0) \
    F(T, str, gid, "GidMap", 0)
JSON_TYPE(userns_record, USERNS_RECORD)

/* What a container is. config.image is the reference as typed; image_id the digest of its target;
 * chain_id the snapshot that its own lies on; args the command with entrypoint, merged with the
 * image; userns NULL: it has the host's user namespace. What it writes has the ids of its mapping,
 * so that is kept for its life, whatever the daemon is told later. */
#define CONTAINER_RECORD(T, F)                                                 \
    F(T, str, id, "Id", 0)                                                     \
    F(T, str, name, "Name", 0)                                                 \
    F(T, time, created_ns, "Created", 0)                                       \
    F(T, str, image_id, "ImageID", 0)                                          \
    F(T, str, image_name, "ImageName", 0)                                      \
    F(T, str, chain_id, "ChainID", 0)                                          \
    F(T, str, snapshotter, "Snapshotter", 0)                                   \
    F(T, strv, args, "Args", JSON_EMPTY)                                       \
    F(T, str, log_path, "LogPath", 0)                                          \
    F(T, obj, image_manifest, "ImageManifest", JSON_OMITEMPTY, oci_descriptor) \
    F(T, obj, userns, "Userns", JSON_OMITEMPTY, userns_record)                 \
    F(T, list, mounts, "Mounts", JSON_EMPTY, mount_record)                     \
    F(T, val, config, "Config", 0, container_config)                           \
    F(T, val, host, "HostConfig", 0, host_config)                              \
    F(T, val, networking, "Networking", 0, networking_config)
JSON_TYPE(container_record, CONTAINER_RECORD)

/* How it goes. paused and restarting imply running, as in Docker. started: it has been started at
 * least once. ending: it has ended as exit_code and finished_ns say and is being collected (in the
 * database only). stopped_by_user: policy does not restart it until the next start by hand. */
#define CONTAINER_RUN(T, F)                                      \
    F(T, bool, running, "Running", 0)                            \
    F(T, bool, paused, "Paused", JSON_OMITEMPTY)                 \
    F(T, bool, restarting, "Restarting", JSON_OMITEMPTY)         \
    F(T, bool, removing, "Removing", JSON_OMITEMPTY)             \
    F(T, bool, dead, "Dead", JSON_OMITEMPTY)                     \
    F(T, bool, oom_killed, "OOMKilled", JSON_OMITEMPTY)          \
    F(T, bool, started, "Started", JSON_OMITEMPTY)               \
    F(T, bool, ending, "Ending", JSON_OMITEMPTY)                 \
    F(T, bool, stopped_by_user, "StoppedByUser", JSON_OMITEMPTY) \
    F(T, i64, pid, "Pid", JSON_OMITEMPTY)                        \
    F(T, i64, exit_code, "ExitCode", 0)                          \
    F(T, str, error, "Error", JSON_OMITEMPTY)                    \
    F(T, time, started_ns, "StartedAt", 0)                       \
    F(T, time, finished_ns, "FinishedAt", 0)                     \
    F(T, i64, restart_count, "RestartCount", JSON_OMITEMPTY)     \
    F(T, obj, sandbox, "Sandbox", JSON_OMITEMPTY, net_sandbox)
JSON_TYPE(container_run, CONTAINER_RUN)

/** The mappings of a container; none for the host's user namespace. */
static inline struct userns_maps record_maps(const struct container_record *rec)
{
    return rec->userns != NULL ? (struct userns_maps){rec->userns->uid, rec->userns->gid}
                               : (struct userns_maps){NULL, NULL};
}

#endif
