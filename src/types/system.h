/**
 * The engine itself in the Engine API: version, info, events, disk usage, credentials, the error
 * body. Source: Engine API 1.51, SystemVersion, SystemInfo, EventMessage, SystemDataUsageResponse,
 * AuthConfig.
 */
#ifndef HULL_TYPES_SYSTEM_H
#define HULL_TYPES_SYSTEM_H

#include "base/json.h"
#include "types/container.h"
#include "types/image.h"
#include "types/volume.h"

#define ERROR_BODY(T, F) F(T, str, message, "message", 0)
JSON_TYPE(error_body, ERROR_BODY)

#define VERSION_PLATFORM(T, F) F(T, str, name, "Name", 0)
JSON_TYPE(version_platform, VERSION_PLATFORM)

#define VERSION_COMPONENT(T, F)      \
    F(T, str, name, "Name", 0)       \
    F(T, str, version, "Version", 0) \
    F(T, map, details, "Details", JSON_OMITEMPTY)
JSON_TYPE(version_component, VERSION_COMPONENT)

#define SYSTEM_VERSION(T, F)                                                \
    F(T, val, platform, "Platform", 0, version_platform)                    \
    F(T, list, components, "Components", JSON_OMITEMPTY, version_component) \
    F(T, str, version, "Version", 0)                                        \
    F(T, str, api_version, "ApiVersion", 0)                                 \
    F(T, str, min_api_version, "MinAPIVersion", 0)                          \
    F(T, str, git_commit, "GitCommit", 0)                                   \
    F(T, str, go_version, "GoVersion", 0)                                   \
    F(T, str, os, "Os", 0)                                                  \
    F(T, str, arch, "Arch", 0)                                              \
    F(T, str, kernel_version, "KernelVersion", JSON_OMITEMPTY)              \
    F(T, bool, experimental, "Experimental", JSON_OMITEMPTY)                \
    F(T, str, build_time, "BuildTime", JSON_OMITEMPTY)
JSON_TYPE(system_version, SYSTEM_VERSION)

#define INFO_PLUGINS(T, F)                        \
    F(T, strv, volume, "Volume", JSON_EMPTY)      \
    F(T, strv, network, "Network", JSON_EMPTY)    \
    F(T, strv, authorization, "Authorization", 0) \
    F(T, strv, log, "Log", JSON_EMPTY)
JSON_TYPE(info_plugins, INFO_PLUGINS)

#define INFO_INDEX(T, F)                       \
    F(T, str, name, "Name", 0)                 \
    F(T, strv, mirrors, "Mirrors", JSON_EMPTY) \
    F(T, bool, secure, "Secure", 0)            \
    F(T, bool, official, "Official", 0)
JSON_TYPE(info_index, INFO_INDEX)

#define INFO_REGISTRY(T, F)                                         \
    F(T, strv, insecure_cidrs, "InsecureRegistryCIDRs", JSON_EMPTY) \
    F(T, mapobj, indexes, "IndexConfigs", JSON_EMPTY, info_index)   \
    F(T, strv, mirrors, "Mirrors", 0)
JSON_TYPE(info_registry, INFO_REGISTRY)

#define INFO_RUNTIME(T, F)                          \
    F(T, str, path, "path", JSON_OMITEMPTY)         \
    F(T, strv, args, "runtimeArgs", JSON_OMITEMPTY) \
    F(T, map, status, "status", JSON_OMITEMPTY)
JSON_TYPE(info_runtime, INFO_RUNTIME)

#define INFO_SWARM(T, F)                                 \
    F(T, str, node_id, "NodeID", 0)                      \
    F(T, str, node_addr, "NodeAddr", 0)                  \
    F(T, str, local_node_state, "LocalNodeState", 0)     \
    F(T, bool, control_available, "ControlAvailable", 0) \
    F(T, str, error, "Error", 0)                         \
    F(T, raw, remote_managers, "RemoteManagers", 0)
JSON_TYPE(info_swarm, INFO_SWARM)

#define INFO_COMMIT(T, F) F(T, str, id, "ID", 0)
JSON_TYPE(info_commit, INFO_COMMIT)

#define INFO_ADDRESS_POOL(T, F) \
    F(T, str, base, "Base", 0)  \
    F(T, i64, size, "Size", 0)
JSON_TYPE(info_address_pool, INFO_ADDRESS_POOL)

#define INFO_FIREWALL(T, F)        \
    F(T, str, driver, "Driver", 0) \
    F(T, raw, info, "Info", JSON_OMITEMPTY)
JSON_TYPE(info_firewall, INFO_FIREWALL)

#define INFO_CONTAINERD_NAMESPACES(T, F)   \
    F(T, str, containers, "Containers", 0) \
    F(T, str, plugins, "Plugins", 0)
JSON_TYPE(info_containerd_namespaces, INFO_CONTAINERD_NAMESPACES)

#define INFO_CONTAINERD(T, F)                     \
    F(T, str, address, "Address", JSON_OMITEMPTY) \
    F(T, val, namespaces, "Namespaces", 0, info_containerd_namespaces)
JSON_TYPE(info_containerd, INFO_CONTAINERD)

/* driver_status is a list of pairs of strings */
#define SYSTEM_INFO(T, F)                                                                       \
    F(T, str, id, "ID", 0)                                                                      \
    F(T, i64, containers, "Containers", 0)                                                      \
    F(T, i64, containers_running, "ContainersRunning", 0)                                       \
    F(T, i64, containers_paused, "ContainersPaused", 0)                                         \
    F(T, i64, containers_stopped, "ContainersStopped", 0)                                       \
    F(T, i64, images, "Images", 0)                                                              \
    F(T, str, driver, "Driver", 0)                                                              \
    F(T, raw, driver_status, "DriverStatus", 0)                                                 \
    F(T, val, plugins, "Plugins", 0, info_plugins)                                              \
    F(T, bool, memory_limit, "MemoryLimit", 0)                                                  \
    F(T, bool, swap_limit, "SwapLimit", 0)                                                      \
    F(T, bool, cpu_cfs_period, "CpuCfsPeriod", 0)                                               \
    F(T, bool, cpu_cfs_quota, "CpuCfsQuota", 0)                                                 \
    F(T, bool, cpu_shares, "CPUShares", 0)                                                      \
    F(T, bool, cpu_set, "CPUSet", 0)                                                            \
    F(T, bool, pids_limit, "PidsLimit", 0)                                                      \
    F(T, bool, ipv4_forwarding, "IPv4Forwarding", 0)                                            \
    F(T, bool, debug, "Debug", 0)                                                               \
    F(T, i64, n_fd, "NFd", 0)                                                                   \
    F(T, bool, oom_kill_disable, "OomKillDisable", 0)                                           \
    F(T, i64, n_goroutines, "NGoroutines", 0)                                                   \
    F(T, time, system_time_ns, "SystemTime", 0)                                                 \
    F(T, str, logging_driver, "LoggingDriver", 0)                                               \
    F(T, str, cgroup_driver, "CgroupDriver", 0)                                                 \
    F(T, str, cgroup_version, "CgroupVersion", JSON_OMITEMPTY)                                  \
    F(T, i64, n_events_listener, "NEventsListener", 0)                                          \
    F(T, str, kernel_version, "KernelVersion", 0)                                               \
    F(T, str, operating_system, "OperatingSystem", 0)                                           \
    F(T, str, os_version, "OSVersion", 0)                                                       \
    F(T, str, os_type, "OSType", 0)                                                             \
    F(T, str, architecture, "Architecture", 0)                                                  \
    F(T, str, index_server_address, "IndexServerAddress", 0)                                    \
    F(T, obj, registry, "RegistryConfig", 0, info_registry)                                     \
    F(T, i64, n_cpu, "NCPU", 0)                                                                 \
    F(T, i64, mem_total, "MemTotal", 0)                                                         \
    F(T, raw, generic_resources, "GenericResources", 0)                                         \
    F(T, str, docker_root_dir, "DockerRootDir", 0)                                              \
    F(T, str, http_proxy, "HttpProxy", 0)                                                       \
    F(T, str, https_proxy, "HttpsProxy", 0)                                                     \
    F(T, str, no_proxy, "NoProxy", 0)                                                           \
    F(T, str, name, "Name", 0)                                                                  \
    F(T, strv, labels, "Labels", JSON_EMPTY)                                                    \
    F(T, bool, experimental_build, "ExperimentalBuild", 0)                                      \
    F(T, str, server_version, "ServerVersion", 0)                                               \
    F(T, mapobj, runtimes, "Runtimes", JSON_EMPTY, info_runtime)                                \
    F(T, str, default_runtime, "DefaultRuntime", 0)                                             \
    F(T, val, swarm, "Swarm", 0, info_swarm)                                                    \
    F(T, bool, live_restore, "LiveRestoreEnabled", 0)                                           \
    F(T, str, isolation, "Isolation", 0)                                                        \
    F(T, str, init_binary, "InitBinary", 0)                                                     \
    F(T, val, containerd_commit, "ContainerdCommit", 0, info_commit)                            \
    F(T, val, runc_commit, "RuncCommit", 0, info_commit)                                        \
    F(T, val, init_commit, "InitCommit", 0, info_commit)                                        \
    F(T, strv, security_options, "SecurityOptions", JSON_EMPTY)                                 \
    F(T, list, default_address_pools, "DefaultAddressPools", JSON_OMITEMPTY, info_address_pool) \
    F(T, obj, firewall, "FirewallBackend", JSON_OMITEMPTY, info_firewall)                       \
    F(T, strv, cdi_spec_dirs, "CDISpecDirs", JSON_EMPTY)                                        \
    F(T, obj, containerd, "Containerd", JSON_OMITEMPTY, info_containerd)                        \
    F(T, strv, warnings, "Warnings", 0)
JSON_TYPE(system_info, SYSTEM_INFO)

#define EVENT_ACTOR(T, F)  \
    F(T, str, id, "ID", 0) \
    F(T, map, attributes, "Attributes", JSON_EMPTY)
JSON_TYPE(event_actor, EVENT_ACTOR)

/* status, id and from repeat action, actor and image for containers and images (API < 1.52) */
#define EVENT_MESSAGE(T, F)                     \
    F(T, str, status, "status", JSON_OMITEMPTY) \
    F(T, str, id, "id", JSON_OMITEMPTY)         \
    F(T, str, from, "from", JSON_OMITEMPTY)     \
    F(T, str, type, "Type", 0)                  \
    F(T, str, action, "Action", 0)              \
    F(T, val, actor, "Actor", 0, event_actor)   \
    F(T, str, scope, "scope", JSON_OMITEMPTY)   \
    F(T, i64, time_s, "time", JSON_OMITEMPTY)   \
    F(T, i64, time_ns, "timeNano", JSON_OMITEMPTY)
JSON_TYPE(event_message, EVENT_MESSAGE)

/* GET /system/df; build_cache is a list of records, metadata_size (ours alone) what is neither
 * image, container nor volume: databases, logs, folders */
#define DISK_USAGE(T, F)                                                \
    F(T, i64, layers_size, "LayersSize", 0)                             \
    F(T, list, images, "Images", JSON_EMPTY, image_summary)             \
    F(T, list, containers, "Containers", JSON_EMPTY, container_summary) \
    F(T, list, volumes, "Volumes", JSON_EMPTY, volume_inspect)          \
    F(T, raw, build_cache, "BuildCache", 0)                             \
    F(T, i64, metadata_size, "MetadataSize", JSON_OMITEMPTY)
JSON_TYPE(disk_usage, DISK_USAGE)

/* X-Registry-Auth (base64url of this) and POST /auth */
#define AUTH_CONFIG(T, F)                                      \
    F(T, str, username, "username", JSON_OMITEMPTY)            \
    F(T, str, password, "password", JSON_OMITEMPTY)            \
    F(T, str, auth, "auth", JSON_OMITEMPTY)                    \
    F(T, str, server_address, "serveraddress", JSON_OMITEMPTY) \
    F(T, str, identity_token, "identitytoken", JSON_OMITEMPTY) \
    F(T, str, registry_token, "registrytoken", JSON_OMITEMPTY)
JSON_TYPE(auth_config, AUTH_CONFIG)

/* the answer of POST /auth; token "" for none */
#define AUTH_REPLY(T, F)           \
    F(T, str, status, "Status", 0) \
    F(T, str, token, "IdentityToken", 0)
JSON_TYPE(auth_reply, AUTH_REPLY)

#endif
