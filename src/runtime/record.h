/**
 * The state directory of a container: <root>/<id>/ (0711) with state.json (ours), a copy of
 * config.json for exec and hooks, and exec.fifo while the container is created but not started.
 */
#ifndef HULL_RUNTIME_RECORD_H
#define HULL_RUNTIME_RECORD_H

#include "runtime/runtime.h"
#include "sys/cgroup.h"

#define RECORD_VERSION 1

#define RECORD_DIR(T, F)                     \
    F(T, str, controllers, "controllers", 0) \
    F(T, str, path, "path", 0)               \
    F(T, str, mount, "mount", 0)
JSON_TYPE(record_dir, RECORD_DIR)

/* What later commands need to know without reading config.json. resources: as the last update left
 * them; until then config.json has them. stdio: what it was connected to, as /proc names
 * it. */
#define RECORD(T, F)                                       \
    F(T, i64, version, "version", 0)                       \
    F(T, str, id, "id", 0)                                 \
    F(T, i64, pid, "pid", 0)                               \
    F(T, u64, start_time, "startTime", 0)                  \
    F(T, time, created, "created", 0)                      \
    F(T, str, bundle, "bundle", 0)                         \
    F(T, str, rootfs, "rootfs", 0)                         \
    F(T, map, annotations, "annotations", JSON_OMITEMPTY)  \
    F(T, i64, cgroup_mode, "cgroupMode", 0)                \
    F(T, list, cgroup, "cgroup", 0, record_dir)            \
    F(T, u64, namespaces, "namespaces", 0)                 \
    F(T, bool, own_pid_ns, "ownPidNamespace", 0)           \
    F(T, bool, no_new_keyring, "noNewKeyring", 0)          \
    F(T, strv, stdio, "stdio", JSON_OMITEMPTY)             \
    F(T, bool, poststart, "poststart", 0)                  \
    F(T, bool, poststop, "poststop", 0)                    \
    F(T, str, unit, "unit", JSON_OMITEMPTY)                \
    F(T, str, unit_manager, "unitManager", JSON_OMITEMPTY) \
    F(T, str, rdt_group, "rdtGroup", JSON_OMITEMPTY)       \
    F(T, str, rdt_monitor, "rdtMonitor", JSON_OMITEMPTY)   \
    F(T, bool, rdt_made, "rdtMade", JSON_OMITEMPTY)        \
    F(T, obj, resources, "resources", JSON_OMITEMPTY, oci_resources)
JSON_TYPE(record, RECORD)

/** INVALID "invalid container ID format". */
int record_check_id(const char *id, struct err *e);

/** Make root and root/id. EXISTS "container with given ID already exists". Returns a descriptor of
 * root/id. */
int record_make(const char *root, const char *id, struct err *e);

/** Open root/id. NOT_FOUND "container does not exist". */
int record_open(const char *root, const char *id, struct err *e);

/** Remove root/id. */
int record_remove(const char *root, const char *id, struct err *e);

/** Read state.json of an open directory. NOT_FOUND. */
int record_load(int dir_fd, struct arena *a, struct record *out, struct err *e);

/** Write state.json whole (temporary, rename). */
int record_save(int dir_fd, const struct record *r, struct err *e);

/** The container's status now. */
enum hullrun_status record_status(int dir_fd, const struct record *r);

/** The record's cgroup as sys/cgroup has it; borrows from r. */
void record_cgroup(const struct record *r, struct arena *a, struct cgroup *out);

/** State letter and start time (clock ticks) of a process; false when there is none. */
bool record_proc_stat(pid_t pid, char *out_state, uint64_t *out_start);

/** The specification's state of the container; borrows from r. */
struct oci_state record_oci_state(const struct record *r, const char *status, pid_t pid);

/** The state document that hooks get, as JSON. */
void record_hook_state(const struct record *r, const char *status, pid_t pid, struct buf *out);

/** What stdio of a process is connected to ("pipe:[123]"), read from descriptors fd[0] to fd[2] of
 * the process named by proc, "self" or a number; -1 is the null device. */
void record_descriptors(const char *proc, const int fd[static 3], struct arena *a,
                        struct strv *out);

/** Write pid to an absolute path: temporary beside it, rename. */
int record_pid_file(const char *path, pid_t pid, struct err *e);

#endif
