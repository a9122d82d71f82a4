/**
 * config.json of the OCI runtime specification 1.2 (config.md, config-linux.md): what hull-runc
 * reads and what the daemon writes. Windows, Solaris, VM and z/OS parts are left out (unknown keys
 * are skipped). Also the state that `state` prints and hooks get on stdin (runtime.md, "State").
 *
 * Numbers that may be absent are pointers (opt_*); flags such as noNewPrivileges are plain, absent
 * is false.
 */
#ifndef HULL_TYPES_OCI_RUNTIME_H
#define HULL_TYPES_OCI_RUNTIME_H

#include "base/json.h"

/* The version of the specification that we implement and put into what we write. */
#define OCI_RUNTIME_VERSION "1.2.0"

#define OCI_CONSOLE_SIZE(T, F)     \
    F(T, u64, height, "height", 0) \
    F(T, u64, width, "width", 0)
JSON_TYPE(oci_console_size, OCI_CONSOLE_SIZE)

#define OCI_USER(T, F)                            \
    F(T, u64, uid, "uid", 0)                      \
    F(T, u64, gid, "gid", 0)                      \
    F(T, opt_u64, umask, "umask", JSON_OMITEMPTY) \
    F(T, i64v, additional_gids, "additionalGids", JSON_OMITEMPTY)
JSON_TYPE(oci_user, OCI_USER)

/* Names as "CAP_CHOWN". */
#define OCI_CAPABILITIES(T, F)                             \
    F(T, strv, bounding, "bounding", JSON_OMITEMPTY)       \
    F(T, strv, effective, "effective", JSON_OMITEMPTY)     \
    F(T, strv, inheritable, "inheritable", JSON_OMITEMPTY) \
    F(T, strv, permitted, "permitted", JSON_OMITEMPTY)     \
    F(T, strv, ambient, "ambient", JSON_OMITEMPTY)
JSON_TYPE(oci_capabilities, OCI_CAPABILITIES)

#define OCI_RLIMIT(T, F)       \
    F(T, str, type, "type", 0) \
    F(T, u64, hard, "hard", 0) \
    F(T, u64, soft, "soft", 0)
JSON_TYPE(oci_rlimit, OCI_RLIMIT)

#define OCI_SCHEDULER(T, F)                         \
    F(T, str, policy, "policy", 0)                  \
    F(T, i64, nice, "nice", JSON_OMITEMPTY)         \
    F(T, i64, priority, "priority", JSON_OMITEMPTY) \
    F(T, strv, flags, "flags", JSON_OMITEMPTY)      \
    F(T, u64, runtime, "runtime", JSON_OMITEMPTY)   \
    F(T, u64, deadline, "deadline", JSON_OMITEMPTY) \
    F(T, u64, period, "period", JSON_OMITEMPTY)
JSON_TYPE(oci_scheduler, OCI_SCHEDULER)

#define OCI_IO_PRIORITY(T, F)    \
    F(T, str, class, "class", 0) \
    F(T, i64, priority, "priority", 0)
JSON_TYPE(oci_io_priority, OCI_IO_PRIORITY)

/* Lists of CPUs as "0-3,7", for exec'd processes: before and after they enter the cgroup. */
#define OCI_CPU_AFFINITY(T, F)                    \
    F(T, str, initial, "initial", JSON_OMITEMPTY) \
    F(T, str, final, "final", JSON_OMITEMPTY)
JSON_TYPE(oci_cpu_affinity, OCI_CPU_AFFINITY)

#define OCI_PROCESS(T, F)                                                     \
    F(T, bool, terminal, "terminal", JSON_OMITEMPTY)                          \
    F(T, obj, console_size, "consoleSize", JSON_OMITEMPTY, oci_console_size)  \
    F(T, val, user, "user", 0, oci_user)                                      \
    F(T, strv, args, "args", JSON_OMITEMPTY)                                  \
    F(T, strv, env, "env", JSON_OMITEMPTY)                                    \
    F(T, str, cwd, "cwd", 0)                                                  \
    F(T, obj, capabilities, "capabilities", JSON_OMITEMPTY, oci_capabilities) \
    F(T, list, rlimits, "rlimits", JSON_OMITEMPTY, oci_rlimit)                \
    F(T, bool, no_new_privileges, "noNewPrivileges", JSON_OMITEMPTY)          \
    F(T, str, apparmor_profile, "apparmorProfile", JSON_OMITEMPTY)            \
    F(T, opt_i64, oom_score_adj, "oomScoreAdj", JSON_OMITEMPTY)               \
    F(T, obj, scheduler, "scheduler", JSON_OMITEMPTY, oci_scheduler)          \
    F(T, str, selinux_label, "selinuxLabel", JSON_OMITEMPTY)                  \
    F(T, obj, io_priority, "ioPriority", JSON_OMITEMPTY, oci_io_priority)     \
    F(T, obj, exec_cpu_affinity, "execCPUAffinity", JSON_OMITEMPTY, oci_cpu_affinity)
JSON_TYPE(oci_process, OCI_PROCESS)

#define OCI_ROOT(T, F)         \
    F(T, str, path, "path", 0) \
    F(T, bool, readonly, "readonly", JSON_OMITEMPTY)
JSON_TYPE(oci_root, OCI_ROOT)

#define OCI_ID_MAPPING(T, F)                  \
    F(T, u64, container_id, "containerID", 0) \
    F(T, u64, host_id, "hostID", 0)           \
    F(T, u64, size, "size", 0)
JSON_TYPE(oci_id_mapping, OCI_ID_MAPPING)

#define OCI_MOUNT(T, F)                                                     \
    F(T, str, destination, "destination", 0)                                \
    F(T, str, type, "type", JSON_OMITEMPTY)                                 \
    F(T, str, source, "source", JSON_OMITEMPTY)                             \
    F(T, strv, options, "options", JSON_OMITEMPTY)                          \
    F(T, list, uid_mappings, "uidMappings", JSON_OMITEMPTY, oci_id_mapping) \
    F(T, list, gid_mappings, "gidMappings", JSON_OMITEMPTY, oci_id_mapping)
JSON_TYPE(oci_mount, OCI_MOUNT)

/* timeout in seconds; NULL or 0 waits for ever. */
#define OCI_HOOK(T, F)                       \
    F(T, str, path, "path", 0)               \
    F(T, strv, args, "args", JSON_OMITEMPTY) \
    F(T, strv, env, "env", JSON_OMITEMPTY)   \
    F(T, opt_i64, timeout, "timeout", JSON_OMITEMPTY)
JSON_TYPE(oci_hook, OCI_HOOK)

#define OCI_HOOKS(T, F)                                                       \
    F(T, list, prestart, "prestart", JSON_OMITEMPTY, oci_hook)                \
    F(T, list, create_runtime, "createRuntime", JSON_OMITEMPTY, oci_hook)     \
    F(T, list, create_container, "createContainer", JSON_OMITEMPTY, oci_hook) \
    F(T, list, start_container, "startContainer", JSON_OMITEMPTY, oci_hook)   \
    F(T, list, poststart, "poststart", JSON_OMITEMPTY, oci_hook)              \
    F(T, list, poststop, "poststop", JSON_OMITEMPTY, oci_hook)
JSON_TYPE(oci_hooks, OCI_HOOKS)

/* type: pid network mount ipc uts user cgroup time; path "" makes a new one. */
#define OCI_NAMESPACE(T, F)    \
    F(T, str, type, "type", 0) \
    F(T, str, path, "path", JSON_OMITEMPTY)
JSON_TYPE(oci_namespace, OCI_NAMESPACE)

#define OCI_TIME_OFFSET(T, F)               \
    F(T, i64, secs, "secs", JSON_OMITEMPTY) \
    F(T, u64, nanosecs, "nanosecs", JSON_OMITEMPTY)
JSON_TYPE(oci_time_offset, OCI_TIME_OFFSET)

/* type: c u b p. file_mode holds permission bits only. */
#define OCI_DEVICE(T, F)                                 \
    F(T, str, path, "path", 0)                           \
    F(T, str, type, "type", 0)                           \
    F(T, i64, major, "major", 0)                         \
    F(T, i64, minor, "minor", 0)                         \
    F(T, opt_u64, file_mode, "fileMode", JSON_OMITEMPTY) \
    F(T, opt_u64, uid, "uid", JSON_OMITEMPTY)            \
    F(T, opt_u64, gid, "gid", JSON_OMITEMPTY)
JSON_TYPE(oci_device, OCI_DEVICE)

#define OCI_DEVICE_RULE(T, F)                     \
    F(T, bool, allow, "allow", 0)                 \
    F(T, str, type, "type", JSON_OMITEMPTY)       \
    F(T, opt_i64, major, "major", JSON_OMITEMPTY) \
    F(T, opt_i64, minor, "minor", JSON_OMITEMPTY) \
    F(T, str, access, "access", JSON_OMITEMPTY)
JSON_TYPE(oci_device_rule, OCI_DEVICE_RULE)

#define OCI_MEMORY(T, F)                                                   \
    F(T, opt_i64, limit, "limit", JSON_OMITEMPTY)                          \
    F(T, opt_i64, reservation, "reservation", JSON_OMITEMPTY)              \
    F(T, opt_i64, swap, "swap", JSON_OMITEMPTY)                            \
    F(T, opt_i64, kernel, "kernel", JSON_OMITEMPTY)                        \
    F(T, opt_i64, kernel_tcp, "kernelTCP", JSON_OMITEMPTY)                 \
    F(T, opt_i64, swappiness, "swappiness", JSON_OMITEMPTY)                \
    F(T, opt_bool, disable_oom_killer, "disableOOMKiller", JSON_OMITEMPTY) \
    F(T, opt_bool, use_hierarchy, "useHierarchy", JSON_OMITEMPTY)          \
    F(T, opt_bool, check_before_update, "checkBeforeUpdate", JSON_OMITEMPTY)
JSON_TYPE(oci_memory, OCI_MEMORY)

/* cpus and mems are lists as "0-3,7"; times in microseconds; quota counts memory+swap style -1 as
 * "no limit". */
#define OCI_CPU(T, F)                                                  \
    F(T, opt_u64, shares, "shares", JSON_OMITEMPTY)                    \
    F(T, opt_i64, quota, "quota", JSON_OMITEMPTY)                      \
    F(T, opt_u64, burst, "burst", JSON_OMITEMPTY)                      \
    F(T, opt_u64, period, "period", JSON_OMITEMPTY)                    \
    F(T, opt_i64, realtime_runtime, "realtimeRuntime", JSON_OMITEMPTY) \
    F(T, opt_u64, realtime_period, "realtimePeriod", JSON_OMITEMPTY)   \
    F(T, str, cpus, "cpus", JSON_OMITEMPTY)                            \
    F(T, str, mems, "mems", JSON_OMITEMPTY)                            \
    F(T, opt_i64, idle, "idle", JSON_OMITEMPTY)
JSON_TYPE(oci_cpu, OCI_CPU)

#define OCI_PIDS(T, F) F(T, opt_i64, limit, "limit", 0)
JSON_TYPE(oci_pids, OCI_PIDS)

#define OCI_WEIGHT_DEVICE(T, F)                     \
    F(T, i64, major, "major", 0)                    \
    F(T, i64, minor, "minor", 0)                    \
    F(T, opt_u64, weight, "weight", JSON_OMITEMPTY) \
    F(T, opt_u64, leaf_weight, "leafWeight", JSON_OMITEMPTY)
JSON_TYPE(oci_weight_device, OCI_WEIGHT_DEVICE)

#define OCI_THROTTLE_DEVICE(T, F) \
    F(T, i64, major, "major", 0)  \
    F(T, i64, minor, "minor", 0)  \
    F(T, u64, rate, "rate", 0)
JSON_TYPE(oci_throttle_device, OCI_THROTTLE_DEVICE)

#define OCI_BLOCK_IO(T, F)                                                               \
    F(T, opt_u64, weight, "weight", JSON_OMITEMPTY)                                      \
    F(T, opt_u64, leaf_weight, "leafWeight", JSON_OMITEMPTY)                             \
    F(T, list, weight_device, "weightDevice", JSON_OMITEMPTY, oci_weight_device)         \
    F(T, list, read_bps, "throttleReadBpsDevice", JSON_OMITEMPTY, oci_throttle_device)   \
    F(T, list, write_bps, "throttleWriteBpsDevice", JSON_OMITEMPTY, oci_throttle_device) \
    F(T, list, read_iops, "throttleReadIOPSDevice", JSON_OMITEMPTY, oci_throttle_device) \
    F(T, list, write_iops, "throttleWriteIOPSDevice", JSON_OMITEMPTY, oci_throttle_device)
JSON_TYPE(oci_block_io, OCI_BLOCK_IO)

#define OCI_HUGEPAGE_LIMIT(T, F)        \
    F(T, str, page_size, "pageSize", 0) \
    F(T, u64, limit, "limit", 0)
JSON_TYPE(oci_hugepage_limit, OCI_HUGEPAGE_LIMIT)

#define OCI_NET_PRIORITY(T, F) \
    F(T, str, name, "name", 0) \
    F(T, u64, priority, "priority", 0)
JSON_TYPE(oci_net_priority, OCI_NET_PRIORITY)

#define OCI_NETWORK(T, F)                              \
    F(T, opt_u64, class_id, "classID", JSON_OMITEMPTY) \
    F(T, list, priorities, "priorities", JSON_OMITEMPTY, oci_net_priority)
JSON_TYPE(oci_network, OCI_NETWORK)

#define OCI_RDMA(T, F)                                       \
    F(T, opt_u64, hca_handles, "hcaHandles", JSON_OMITEMPTY) \
    F(T, opt_u64, hca_objects, "hcaObjects", JSON_OMITEMPTY)
JSON_TYPE(oci_rdma, OCI_RDMA)

#define OCI_RESOURCES(T, F)                                                           \
    F(T, list, devices, "devices", JSON_OMITEMPTY, oci_device_rule)                   \
    F(T, obj, memory, "memory", JSON_OMITEMPTY, oci_memory)                           \
    F(T, obj, cpu, "cpu", JSON_OMITEMPTY, oci_cpu)                                    \
    F(T, obj, pids, "pids", JSON_OMITEMPTY, oci_pids)                                 \
    F(T, obj, block_io, "blockIO", JSON_OMITEMPTY, oci_block_io)                      \
    F(T, list, hugepage_limits, "hugepageLimits", JSON_OMITEMPTY, oci_hugepage_limit) \
    F(T, obj, network, "network", JSON_OMITEMPTY, oci_network)                        \
    F(T, mapobj, rdma, "rdma", JSON_OMITEMPTY, oci_rdma)                              \
    F(T, map, unified, "unified", JSON_OMITEMPTY)
JSON_TYPE(oci_resources, OCI_RESOURCES)

#define OCI_SECCOMP_ARG(T, F)                        \
    F(T, u64, index, "index", 0)                     \
    F(T, u64, value, "value", 0)                     \
    F(T, u64, value_two, "valueTwo", JSON_OMITEMPTY) \
    F(T, str, op, "op", 0)
JSON_TYPE(oci_seccomp_arg, OCI_SECCOMP_ARG)

#define OCI_SECCOMP_SYSCALL(T, F)                        \
    F(T, strv, names, "names", 0)                        \
    F(T, str, action, "action", 0)                       \
    F(T, opt_u64, errno_ret, "errnoRet", JSON_OMITEMPTY) \
    F(T, list, args, "args", JSON_OMITEMPTY, oci_seccomp_arg)
JSON_TYPE(oci_seccomp_syscall, OCI_SECCOMP_SYSCALL)

/* flags as JSON text: absent (NULL) and [] differ, see runtime/seccomp.c. */
#define OCI_SECCOMP(T, F)                                               \
    F(T, str, default_action, "defaultAction", 0)                       \
    F(T, opt_u64, default_errno_ret, "defaultErrnoRet", JSON_OMITEMPTY) \
    F(T, strv, architectures, "architectures", JSON_OMITEMPTY)          \
    F(T, raw, flags, "flags", JSON_OMITEMPTY)                           \
    F(T, str, listener_path, "listenerPath", JSON_OMITEMPTY)            \
    F(T, str, listener_metadata, "listenerMetadata", JSON_OMITEMPTY)    \
    F(T, list, syscalls, "syscalls", JSON_OMITEMPTY, oci_seccomp_syscall)
JSON_TYPE(oci_seccomp, OCI_SECCOMP)

#define OCI_MEMORY_POLICY(T, F)               \
    F(T, str, mode, "mode", 0)                \
    F(T, str, nodes, "nodes", JSON_OMITEMPTY) \
    F(T, strv, flags, "flags", JSON_OMITEMPTY)
JSON_TYPE(oci_memory_policy, OCI_MEMORY_POLICY)

/* A device of the host's network namespace is the key; name: what it is called inside, "" the same.
 */
#define OCI_NET_DEVICE(T, F) F(T, str, name, "name", JSON_OMITEMPTY)
JSON_TYPE(oci_net_device, OCI_NET_DEVICE)

#define OCI_PERSONALITY(T, F)      \
    F(T, str, domain, "domain", 0) \
    F(T, strv, flags, "flags", JSON_OMITEMPTY)
JSON_TYPE(oci_personality, OCI_PERSONALITY)

#define OCI_INTEL_RDT(T, F)                              \
    F(T, str, clos_id, "closID", JSON_OMITEMPTY)         \
    F(T, strv, schemata, "schemata", JSON_OMITEMPTY)     \
    F(T, str, l3_cache, "l3CacheSchema", JSON_OMITEMPTY) \
    F(T, str, mem_bw, "memBwSchema", JSON_OMITEMPTY)     \
    F(T, bool, enable_monitoring, "enableMonitoring", JSON_OMITEMPTY)
JSON_TYPE(oci_intel_rdt, OCI_INTEL_RDT)

#define OCI_LINUX(T, F)                                                         \
    F(T, list, uid_mappings, "uidMappings", JSON_OMITEMPTY, oci_id_mapping)     \
    F(T, list, gid_mappings, "gidMappings", JSON_OMITEMPTY, oci_id_mapping)     \
    F(T, map, sysctl, "sysctl", JSON_OMITEMPTY)                                 \
    F(T, obj, resources, "resources", JSON_OMITEMPTY, oci_resources)            \
    F(T, str, cgroups_path, "cgroupsPath", JSON_OMITEMPTY)                      \
    F(T, list, namespaces, "namespaces", JSON_OMITEMPTY, oci_namespace)         \
    F(T, list, devices, "devices", JSON_OMITEMPTY, oci_device)                  \
    F(T, mapobj, net_devices, "netDevices", JSON_OMITEMPTY, oci_net_device)     \
    F(T, obj, seccomp, "seccomp", JSON_OMITEMPTY, oci_seccomp)                  \
    F(T, str, rootfs_propagation, "rootfsPropagation", JSON_OMITEMPTY)          \
    F(T, strv, masked_paths, "maskedPaths", JSON_OMITEMPTY)                     \
    F(T, strv, readonly_paths, "readonlyPaths", JSON_OMITEMPTY)                 \
    F(T, str, mount_label, "mountLabel", JSON_OMITEMPTY)                        \
    F(T, obj, intel_rdt, "intelRdt", JSON_OMITEMPTY, oci_intel_rdt)             \
    F(T, obj, memory_policy, "memoryPolicy", JSON_OMITEMPTY, oci_memory_policy) \
    F(T, obj, personality, "personality", JSON_OMITEMPTY, oci_personality)      \
    F(T, mapobj, time_offsets, "timeOffsets", JSON_OMITEMPTY, oci_time_offset)
JSON_TYPE(oci_linux, OCI_LINUX)

#define OCI_SPEC(T, F)                                         \
    F(T, str, oci_version, "ociVersion", 0)                    \
    F(T, obj, process, "process", JSON_OMITEMPTY, oci_process) \
    F(T, obj, root, "root", JSON_OMITEMPTY, oci_root)          \
    F(T, str, hostname, "hostname", JSON_OMITEMPTY)            \
    F(T, str, domainname, "domainname", JSON_OMITEMPTY)        \
    F(T, list, mounts, "mounts", JSON_OMITEMPTY, oci_mount)    \
    F(T, obj, hooks, "hooks", JSON_OMITEMPTY, oci_hooks)       \
    F(T, map, annotations, "annotations", JSON_OMITEMPTY)      \
    F(T, obj, linux_, "linux", JSON_OMITEMPTY, oci_linux)
JSON_TYPE(oci_spec, OCI_SPEC)

/* What hooks read on stdin (runtime.md, "State"); status: creating created running stopped. */
#define OCI_STATE(T, F)                     \
    F(T, str, oci_version, "ociVersion", 0) \
    F(T, str, id, "id", 0)                  \
    F(T, str, status, "status", 0)          \
    F(T, i64, pid, "pid", JSON_OMITEMPTY)   \
    F(T, str, bundle, "bundle", 0)          \
    F(T, map, annotations, "annotations", JSON_OMITEMPTY)
JSON_TYPE(oci_state, OCI_STATE)

/* What a seccomp agent gets, with the descriptors that fds names (config-linux.md, "The Container
 * Process State"). */
#define OCI_CONTAINER_PROCESS_STATE(T, F)           \
    F(T, str, oci_version, "ociVersion", 0)         \
    F(T, strv, fds, "fds", 0)                       \
    F(T, i64, pid, "pid", 0)                        \
    F(T, str, metadata, "metadata", JSON_OMITEMPTY) \
    F(T, val, state, "state", 0, oci_state)
JSON_TYPE(oci_container_process_state, OCI_CONTAINER_PROCESS_STATE)

#endif
