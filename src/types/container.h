/**
 * Containers in the Engine API: what create takes, what inspect, list and the small replies say.
 * Source: Engine API 1.51, ContainerConfig, HostConfig, ContainerInspectResponse, ContainerSummary
 * and below.
 */
#ifndef HULL_TYPES_CONTAINER_H
#define HULL_TYPES_CONTAINER_H

#include "base/json.h"
#include "types/endpoint.h"
#include "types/oci_descriptor.h"

#define HEALTH_CONFIG(T, F)                                       \
    F(T, strv, test, "Test", JSON_OMITEMPTY)                      \
    F(T, dur, interval_ns, "Interval", JSON_OMITEMPTY)            \
    F(T, dur, timeout_ns, "Timeout", JSON_OMITEMPTY)              \
    F(T, dur, start_period_ns, "StartPeriod", JSON_OMITEMPTY)     \
    F(T, dur, start_interval_ns, "StartInterval", JSON_OMITEMPTY) \
    F(T, i64, retries, "Retries", JSON_OMITEMPTY)
JSON_TYPE(health_config, HEALTH_CONFIG)

/* ports are "80/tcp"; volumes are paths inside the container */
#define CONTAINER_CONFIG(T, F)                                           \
    F(T, str, hostname, "Hostname", 0)                                   \
    F(T, str, domainname, "Domainname", 0)                               \
    F(T, str, user, "User", 0)                                           \
    F(T, bool, attach_stdin, "AttachStdin", 0)                           \
    F(T, bool, attach_stdout, "AttachStdout", 0)                         \
    F(T, bool, attach_stderr, "AttachStderr", 0)                         \
    F(T, set, exposed_ports, "ExposedPorts", JSON_OMITEMPTY)             \
    F(T, bool, tty, "Tty", 0)                                            \
    F(T, bool, open_stdin, "OpenStdin", 0)                               \
    F(T, bool, stdin_once, "StdinOnce", 0)                               \
    F(T, strv, env, "Env", 0)                                            \
    F(T, strv, cmd, "Cmd", JSON_ONE_OR_MANY)                             \
    F(T, obj, healthcheck, "Healthcheck", JSON_OMITEMPTY, health_config) \
    F(T, bool, args_escaped, "ArgsEscaped", JSON_OMITEMPTY)              \
    F(T, str, image, "Image", 0)                                         \
    F(T, set, volumes, "Volumes", 0)                                     \
    F(T, str, working_dir, "WorkingDir", 0)                              \
    F(T, strv, entrypoint, "Entrypoint", JSON_ONE_OR_MANY)               \
    F(T, bool, network_disabled, "NetworkDisabled", JSON_OMITEMPTY)      \
    F(T, str, mac_address, "MacAddress", JSON_OMITEMPTY)                 \
    F(T, strv, on_build, "OnBuild", 0)                                   \
    F(T, map, labels, "Labels", JSON_EMPTY)                              \
    F(T, str, stop_signal, "StopSignal", JSON_OMITEMPTY)                 \
    F(T, opt_i64, stop_timeout_s, "StopTimeout", JSON_OMITEMPTY)         \
    F(T, strv, shell, "Shell", JSON_OMITEMPTY | JSON_ONE_OR_MANY)
JSON_TYPE(container_config, CONTAINER_CONFIG)

#define LOG_CONFIG(T, F)       \
    F(T, str, type, "Type", 0) \
    F(T, map, config, "Config", JSON_EMPTY)
JSON_TYPE(log_config, LOG_CONFIG)

#define RESTART_POLICY(T, F)   \
    F(T, str, name, "Name", 0) \
    F(T, i64, max_retries, "MaximumRetryCount", 0)
JSON_TYPE(restart_policy, RESTART_POLICY)

#define PORT_BINDING(T, F)          \
    F(T, str, host_ip, "HostIp", 0) \
    F(T, str, host_port, "HostPort", 0)
JSON_TYPE(port_binding, PORT_BINDING)

#define MOUNT_BIND_OPTIONS(T, F)                                                \
    F(T, str, propagation, "Propagation", JSON_OMITEMPTY)                       \
    F(T, bool, non_recursive, "NonRecursive", JSON_OMITEMPTY)                   \
    F(T, bool, create_mountpoint, "CreateMountpoint", JSON_OMITEMPTY)           \
    F(T, bool, read_only_non_recursive, "ReadOnlyNonRecursive", JSON_OMITEMPTY) \
    F(T, bool, read_only_force_recursive, "ReadOnlyForceRecursive", JSON_OMITEMPTY)
JSON_TYPE(mount_bind_options, MOUNT_BIND_OPTIONS)

#define MOUNT_DRIVER(T, F)                  \
    F(T, str, name, "Name", JSON_OMITEMPTY) \
    F(T, map, options, "Options", JSON_OMITEMPTY)
JSON_TYPE(mount_driver, MOUNT_DRIVER)

#define MOUNT_VOLUME_OPTIONS(T, F)                \
    F(T, bool, no_copy, "NoCopy", JSON_OMITEMPTY) \
    F(T, map, labels, "Labels", JSON_OMITEMPTY)   \
    F(T, str, subpath, "Subpath", JSON_OMITEMPTY) \
    F(T, obj, driver, "DriverConfig", JSON_OMITEMPTY, mount_driver)
JSON_TYPE(mount_volume_options, MOUNT_VOLUME_OPTIONS)

#define MOUNT_IMAGE_OPTIONS(T, F) F(T, str, subpath, "Subpath", JSON_OMITEMPTY)
JSON_TYPE(mount_image_options, MOUNT_IMAGE_OPTIONS)

#define MOUNT_TMPFS_OPTIONS(T, F)                      \
    F(T, i64, size_bytes, "SizeBytes", JSON_OMITEMPTY) \
    F(T, i64, mode, "Mode", JSON_OMITEMPTY)            \
    F(T, raw, options, "Options", JSON_OMITEMPTY)
JSON_TYPE(mount_tmpfs_options, MOUNT_TMPFS_OPTIONS)

/* type: bind, volume, tmpfs, image */
#define MOUNT_SPEC(T, F)                                                     \
    F(T, str, type, "Type", JSON_OMITEMPTY)                                  \
    F(T, str, source, "Source", JSON_OMITEMPTY)                              \
    F(T, str, target, "Target", JSON_OMITEMPTY)                              \
    F(T, bool, read_only, "ReadOnly", JSON_OMITEMPTY)                        \
    F(T, str, consistency, "Consistency", JSON_OMITEMPTY)                    \
    F(T, obj, bind, "BindOptions", JSON_OMITEMPTY, mount_bind_options)       \
    F(T, obj, volume, "VolumeOptions", JSON_OMITEMPTY, mount_volume_options) \
    F(T, obj, image, "ImageOptions", JSON_OMITEMPTY, mount_image_options)    \
    F(T, obj, tmpfs, "TmpfsOptions", JSON_OMITEMPTY, mount_tmpfs_options)
JSON_TYPE(mount_spec, MOUNT_SPEC)

#define WEIGHT_DEVICE(T, F)    \
    F(T, str, path, "Path", 0) \
    F(T, u64, weight, "Weight", 0)
JSON_TYPE(weight_device, WEIGHT_DEVICE)

#define THROTTLE_DEVICE(T, F)  \
    F(T, str, path, "Path", 0) \
    F(T, u64, rate, "Rate", 0)
JSON_TYPE(throttle_device, THROTTLE_DEVICE)

#define DEVICE_MAPPING(T, F)                           \
    F(T, str, path_on_host, "PathOnHost", 0)           \
    F(T, str, path_in_container, "PathInContainer", 0) \
    F(T, str, permissions, "CgroupPermissions", 0)
JSON_TYPE(device_mapping, DEVICE_MAPPING)

#define DEVICE_REQUEST(T, F)                   \
    F(T, str, driver, "Driver", 0)             \
    F(T, i64, count, "Count", 0)               \
    F(T, strv, device_ids, "DeviceIDs", 0)     \
    F(T, raw, capabilities, "Capabilities", 0) \
    F(T, map, options, "Options", 0)
JSON_TYPE(device_request, DEVICE_REQUEST)

#define ULIMIT(T, F)           \
    F(T, str, name, "Name", 0) \
    F(T, i64, hard, "Hard", 0) \
    F(T, i64, soft, "Soft", 0)
JSON_TYPE(ulimit, ULIMIT)

/* The part of HostConfig that POST /containers/{id}/update can change as well. */
#define RESOURCES(T, F)                                                             \
    F(T, i64, cpu_shares, "CpuShares", 0)                                           \
    F(T, i64, memory_bytes, "Memory", 0)                                            \
    F(T, i64, nano_cpus, "NanoCpus", 0)                                             \
    F(T, str, cgroup_parent, "CgroupParent", 0)                                     \
    F(T, u64, blkio_weight, "BlkioWeight", 0)                                       \
    F(T, list, blkio_weight_device, "BlkioWeightDevice", 0, weight_device)          \
    F(T, list, blkio_device_read_bps, "BlkioDeviceReadBps", 0, throttle_device)     \
    F(T, list, blkio_device_write_bps, "BlkioDeviceWriteBps", 0, throttle_device)   \
    F(T, list, blkio_device_read_iops, "BlkioDeviceReadIOps", 0, throttle_device)   \
    F(T, list, blkio_device_write_iops, "BlkioDeviceWriteIOps", 0, throttle_device) \
    F(T, i64, cpu_period_us, "CpuPeriod", 0)                                        \
    F(T, i64, cpu_quota_us, "CpuQuota", 0)                                          \
    F(T, i64, cpu_rt_period_us, "CpuRealtimePeriod", 0)                             \
    F(T, i64, cpu_rt_runtime_us, "CpuRealtimeRuntime", 0)                           \
    F(T, str, cpuset_cpus, "CpusetCpus", 0)                                         \
    F(T, str, cpuset_mems, "CpusetMems", 0)                                         \
    F(T, list, devices, "Devices", 0, device_mapping)                               \
    F(T, strv, device_cgroup_rules, "DeviceCgroupRules", 0)                         \
    F(T, list, device_requests, "DeviceRequests", 0, device_request)                \
    F(T, i64, memory_reservation, "MemoryReservation", 0)                           \
    F(T, i64, memory_swap, "MemorySwap", 0)                                         \
    F(T, opt_i64, memory_swappiness, "MemorySwappiness", 0)                         \
    F(T, opt_bool, oom_kill_disable, "OomKillDisable", 0)                           \
    F(T, opt_i64, pids_limit, "PidsLimit", 0)                                       \
    F(T, list, ulimits, "Ulimits", 0, ulimit)                                       \
    F(T, i64, cpu_count, "CpuCount", 0)                                             \
    F(T, i64, cpu_percent, "CpuPercent", 0)                                         \
    F(T, u64, io_maximum_iops, "IOMaximumIOps", 0)                                  \
    F(T, u64, io_maximum_bandwidth, "IOMaximumBandwidth", 0)
JSON_TYPE(resources, RESOURCES)

#define HOST_CONFIG(T, F)                                                  \
    F(T, strv, binds, "Binds", 0)                                          \
    F(T, str, container_id_file, "ContainerIDFile", 0)                     \
    F(T, val, log, "LogConfig", 0, log_config)                             \
    F(T, str, network_mode, "NetworkMode", 0)                              \
    F(T, maplist, port_bindings, "PortBindings", JSON_EMPTY, port_binding) \
    F(T, val, restart, "RestartPolicy", 0, restart_policy)                 \
    F(T, bool, auto_remove, "AutoRemove", 0)                               \
    F(T, str, volume_driver, "VolumeDriver", 0)                            \
    F(T, strv, volumes_from, "VolumesFrom", 0)                             \
    F(T, i64v, console_size, "ConsoleSize", 0)                             \
    F(T, map, annotations, "Annotations", JSON_OMITEMPTY)                  \
    F(T, strv, cap_add, "CapAdd", 0)                                       \
    F(T, strv, cap_drop, "CapDrop", 0)                                     \
    F(T, str, cgroupns_mode, "CgroupnsMode", 0)                            \
    F(T, strv, dns, "Dns", JSON_EMPTY)                                     \
    F(T, strv, dns_options, "DnsOptions", JSON_EMPTY)                      \
    F(T, strv, dns_search, "DnsSearch", JSON_EMPTY)                        \
    F(T, strv, extra_hosts, "ExtraHosts", 0)                               \
    F(T, strv, group_add, "GroupAdd", 0)                                   \
    F(T, str, ipc_mode, "IpcMode", 0)                                      \
    F(T, str, cgroup, "Cgroup", 0)                                         \
    F(T, strv, links, "Links", 0)                                          \
    F(T, i64, oom_score_adj, "OomScoreAdj", 0)                             \
    F(T, str, pid_mode, "PidMode", 0)                                      \
    F(T, bool, privileged, "Privileged", 0)                                \
    F(T, bool, publish_all_ports, "PublishAllPorts", 0)                    \
    F(T, bool, readonly_rootfs, "ReadonlyRootfs", 0)                       \
    F(T, strv, security_opt, "SecurityOpt", 0)                             \
    F(T, map, storage_opt, "StorageOpt", JSON_OMITEMPTY)                   \
    F(T, map, tmpfs, "Tmpfs", JSON_OMITEMPTY)                              \
    F(T, str, uts_mode, "UTSMode", 0)                                      \
    F(T, str, userns_mode, "UsernsMode", 0)                                \
    F(T, i64, shm_size_bytes, "ShmSize", 0)                                \
    F(T, map, sysctls, "Sysctls", JSON_OMITEMPTY)                          \
    F(T, str, runtime, "Runtime", JSON_OMITEMPTY)                          \
    F(T, str, isolation, "Isolation", 0)                                   \
    F(T, emb, resources, "", 0, resources)                                 \
    F(T, list, mounts, "Mounts", JSON_OMITEMPTY, mount_spec)               \
    F(T, strv, masked_paths, "MaskedPaths", 0)                             \
    F(T, strv, readonly_paths, "ReadonlyPaths", 0)                         \
    F(T, opt_bool, init, "Init", JSON_OMITEMPTY)
JSON_TYPE(host_config, HOST_CONFIG)

#define NETWORKING_CONFIG(T, F) \
    F(T, mapobj, endpoints, "EndpointsConfig", JSON_EMPTY, endpoint_settings)
JSON_TYPE(networking_config, NETWORKING_CONFIG)

/* POST /containers/create: the fields of the configuration stand in the outer object */
#define CONTAINER_CREATE(T, F)                                 \
    F(T, emb, config, "", 0, container_config)                 \
    F(T, obj, host, "HostConfig", JSON_OMITEMPTY, host_config) \
    F(T, obj, networking, "NetworkingConfig", JSON_OMITEMPTY, networking_config)
JSON_TYPE(container_create, CONTAINER_CREATE)

#define CONTAINER_CREATED(T, F) \
    F(T, str, id, "Id", 0)      \
    F(T, strv, warnings, "Warnings", JSON_EMPTY)
JSON_TYPE(container_created, CONTAINER_CREATED)

/* POST /containers/{id}/update */
#define CONTAINER_UPDATE(T, F)             \
    F(T, emb, resources, "", 0, resources) \
    F(T, val, restart, "RestartPolicy", 0, restart_policy)
JSON_TYPE(container_update, CONTAINER_UPDATE)

#define CONTAINER_UPDATED(T, F) F(T, strv, warnings, "Warnings", 0)
JSON_TYPE(container_updated, CONTAINER_UPDATED)

#define HEALTH_RESULT(T, F)             \
    F(T, time, start_ns, "Start", 0)    \
    F(T, time, end_ns, "End", 0)        \
    F(T, i64, exit_code, "ExitCode", 0) \
    F(T, str, output, "Output", 0)
JSON_TYPE(health_result, HEALTH_RESULT)

#define HEALTH_STATE(T, F)                        \
    F(T, str, status, "Status", 0)                \
    F(T, i64, failing_streak, "FailingStreak", 0) \
    F(T, list, log, "Log", 0, health_result)
JSON_TYPE(health_state, HEALTH_STATE)

#define CONTAINER_STATE(T, F)                \
    F(T, str, status, "Status", 0)           \
    F(T, bool, running, "Running", 0)        \
    F(T, bool, paused, "Paused", 0)          \
    F(T, bool, restarting, "Restarting", 0)  \
    F(T, bool, oom_killed, "OOMKilled", 0)   \
    F(T, bool, dead, "Dead", 0)              \
    F(T, i64, pid, "Pid", 0)                 \
    F(T, i64, exit_code, "ExitCode", 0)      \
    F(T, str, error, "Error", 0)             \
    F(T, time, started_ns, "StartedAt", 0)   \
    F(T, time, finished_ns, "FinishedAt", 0) \
    F(T, obj, health, "Health", JSON_OMITEMPTY, health_state)
JSON_TYPE(container_state, CONTAINER_STATE)

/* type: bind, volume, tmpfs, image */
#define MOUNT_POINT(T, F)                       \
    F(T, str, type, "Type", JSON_OMITEMPTY)     \
    F(T, str, name, "Name", JSON_OMITEMPTY)     \
    F(T, str, source, "Source", 0)              \
    F(T, str, destination, "Destination", 0)    \
    F(T, str, driver, "Driver", JSON_OMITEMPTY) \
    F(T, str, mode, "Mode", 0)                  \
    F(T, bool, rw, "RW", 0)                     \
    F(T, str, propagation, "Propagation", 0)
JSON_TYPE(mount_point, MOUNT_POINT)

/* The endpoint fields of the top level are those of the network named bridge (API < 1.52). */
#define NETWORK_SETTINGS(T, F)                                         \
    F(T, str, bridge, "Bridge", 0)                                     \
    F(T, str, sandbox_id, "SandboxID", 0)                              \
    F(T, str, sandbox_key, "SandboxKey", 0)                            \
    F(T, maplist, ports, "Ports", JSON_EMPTY, port_binding)            \
    F(T, bool, hairpin_mode, "HairpinMode", 0)                         \
    F(T, str, link_local_ipv6_address, "LinkLocalIPv6Address", 0)      \
    F(T, i64, link_local_ipv6_prefix_len, "LinkLocalIPv6PrefixLen", 0) \
    F(T, strv, secondary_ip_addresses, "SecondaryIPAddresses", 0)      \
    F(T, strv, secondary_ipv6_addresses, "SecondaryIPv6Addresses", 0)  \
    F(T, str, endpoint_id, "EndpointID", 0)                            \
    F(T, str, gateway, "Gateway", 0)                                   \
    F(T, str, global_ipv6_address, "GlobalIPv6Address", 0)             \
    F(T, i64, global_ipv6_prefix_len, "GlobalIPv6PrefixLen", 0)        \
    F(T, str, ip_address, "IPAddress", 0)                              \
    F(T, i64, ip_prefix_len, "IPPrefixLen", 0)                         \
    F(T, str, ipv6_gateway, "IPv6Gateway", 0)                          \
    F(T, str, mac_address, "MacAddress", 0)                            \
    F(T, mapobj, networks, "Networks", JSON_EMPTY, endpoint_settings)
JSON_TYPE(network_settings, NETWORK_SETTINGS)

#define GRAPH_DRIVER(T, F)     \
    F(T, map, data, "Data", 0) \
    F(T, str, name, "Name", 0)
JSON_TYPE(graph_driver, GRAPH_DRIVER)

/* GET /containers/{id}/json */
#define CONTAINER_INSPECT(T, F)                                \
    F(T, str, id, "Id", 0)                                     \
    F(T, time, created_ns, "Created", 0)                       \
    F(T, str, path, "Path", 0)                                 \
    F(T, strv, args, "Args", JSON_EMPTY)                       \
    F(T, obj, state, "State", 0, container_state)              \
    F(T, str, image, "Image", 0)                               \
    F(T, str, resolv_conf_path, "ResolvConfPath", 0)           \
    F(T, str, hostname_path, "HostnamePath", 0)                \
    F(T, str, hosts_path, "HostsPath", 0)                      \
    F(T, str, log_path, "LogPath", 0)                          \
    F(T, str, name, "Name", 0)                                 \
    F(T, i64, restart_count, "RestartCount", 0)                \
    F(T, str, driver, "Driver", 0)                             \
    F(T, str, platform, "Platform", 0)                         \
    F(T, str, mount_label, "MountLabel", 0)                    \
    F(T, str, process_label, "ProcessLabel", 0)                \
    F(T, str, apparmor_profile, "AppArmorProfile", 0)          \
    F(T, strv, exec_ids, "ExecIDs", 0)                         \
    F(T, obj, host_config, "HostConfig", 0, host_config)       \
    F(T, val, graph_driver, "GraphDriver", 0, graph_driver)    \
    F(T, opt_i64, size_rw, "SizeRw", JSON_OMITEMPTY)           \
    F(T, opt_i64, size_root_fs, "SizeRootFs", JSON_OMITEMPTY)  \
    F(T, list, mounts, "Mounts", JSON_EMPTY, mount_point)      \
    F(T, obj, config, "Config", 0, container_config)           \
    F(T, obj, network, "NetworkSettings", 0, network_settings) \
    F(T, obj, image_manifest, "ImageManifestDescriptor", JSON_OMITEMPTY, oci_descriptor)
JSON_TYPE(container_inspect, CONTAINER_INSPECT)

#define PORT_SUMMARY(T, F)                               \
    F(T, str, ip, "IP", JSON_OMITEMPTY)                  \
    F(T, u64, private_port, "PrivatePort", 0)            \
    F(T, u64, public_port, "PublicPort", JSON_OMITEMPTY) \
    F(T, str, type, "Type", 0)
JSON_TYPE(port_summary, PORT_SUMMARY)

#define SUMMARY_HOST_CONFIG(T, F)                          \
    F(T, str, network_mode, "NetworkMode", JSON_OMITEMPTY) \
    F(T, map, annotations, "Annotations", JSON_OMITEMPTY)
JSON_TYPE(summary_host_config, SUMMARY_HOST_CONFIG)

#define SUMMARY_NETWORKS(T, F) F(T, mapobj, networks, "Networks", JSON_EMPTY, endpoint_settings)
JSON_TYPE(summary_networks, SUMMARY_NETWORKS)

/* one item of GET /containers/json; created_s is unix seconds */
#define CONTAINER_SUMMARY(T, F)                                                          \
    F(T, str, id, "Id", 0)                                                               \
    F(T, strv, names, "Names", JSON_EMPTY)                                               \
    F(T, str, image, "Image", 0)                                                         \
    F(T, str, image_id, "ImageID", 0)                                                    \
    F(T, obj, image_manifest, "ImageManifestDescriptor", JSON_OMITEMPTY, oci_descriptor) \
    F(T, str, command, "Command", 0)                                                     \
    F(T, i64, created_s, "Created", 0)                                                   \
    F(T, list, ports, "Ports", JSON_EMPTY, port_summary)                                 \
    F(T, i64, size_rw, "SizeRw", JSON_OMITEMPTY)                                         \
    F(T, i64, size_root_fs, "SizeRootFs", JSON_OMITEMPTY)                                \
    F(T, map, labels, "Labels", JSON_EMPTY)                                              \
    F(T, str, state, "State", 0)                                                         \
    F(T, str, status, "Status", 0)                                                       \
    F(T, val, host_config, "HostConfig", 0, summary_host_config)                         \
    F(T, obj, network, "NetworkSettings", 0, summary_networks)                           \
    F(T, list, mounts, "Mounts", JSON_EMPTY, mount_point)
JSON_TYPE(container_summary, CONTAINER_SUMMARY)

/* GET /containers/{id}/top; processes is a list of lists of strings */
#define CONTAINER_TOP(T, F)                  \
    F(T, strv, titles, "Titles", JSON_EMPTY) \
    F(T, raw, processes, "Processes", 0)
JSON_TYPE(container_top, CONTAINER_TOP)

#define WAIT_ERROR(T, F) F(T, str, message, "Message", JSON_OMITEMPTY)
JSON_TYPE(wait_error, WAIT_ERROR)

#define CONTAINER_WAITED(T, F)                            \
    F(T, obj, error, "Error", JSON_OMITEMPTY, wait_error) \
    F(T, i64, status_code, "StatusCode", 0)
JSON_TYPE(container_waited, CONTAINER_WAITED)

#define CONTAINERS_PRUNED(T, F)                 \
    F(T, strv, deleted, "ContainersDeleted", 0) \
    F(T, u64, space_reclaimed, "SpaceReclaimed", 0)
JSON_TYPE(containers_pruned, CONTAINERS_PRUNED)

#define PATH_CHANGE(T, F)      \
    F(T, str, path, "Path", 0) \
    F(T, i64, kind, "Kind", 0)
JSON_TYPE(path_change, PATH_CHANGE)

#endif
