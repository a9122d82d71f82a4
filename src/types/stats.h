/** Resource statistics of a container. Source: Engine API 1.51, ContainerStatsResponse. */
#ifndef HULL_TYPES_STATS_H
#define HULL_TYPES_STATS_H

#include "base/json.h"

#define STATS_CPU_USAGE(T, F)                             \
    F(T, u64, total_ns, "total_usage", 0)                 \
    F(T, i64v, percpu_ns, "percpu_usage", JSON_OMITEMPTY) \
    F(T, u64, kernel_ns, "usage_in_kernelmode", 0)        \
    F(T, u64, user_ns, "usage_in_usermode", 0)
JSON_TYPE(stats_cpu_usage, STATS_CPU_USAGE)

#define STATS_THROTTLING(T, F)                           \
    F(T, u64, periods, "periods", 0)                     \
    F(T, u64, throttled_periods, "throttled_periods", 0) \
    F(T, u64, throttled_ns, "throttled_time", 0)
JSON_TYPE(stats_throttling, STATS_THROTTLING)

#define STATS_CPU(T, F)                                      \
    F(T, val, usage, "cpu_usage", 0, stats_cpu_usage)        \
    F(T, u64, system_ns, "system_cpu_usage", JSON_OMITEMPTY) \
    F(T, u64, online_cpus, "online_cpus", JSON_OMITEMPTY)    \
    F(T, val, throttling, "throttling_data", 0, stats_throttling)
JSON_TYPE(stats_cpu, STATS_CPU)

#define STATS_MEMORY(T, F)                            \
    F(T, u64, usage, "usage", JSON_OMITEMPTY)         \
    F(T, u64, max_usage, "max_usage", JSON_OMITEMPTY) \
    F(T, mapu64, stats, "stats", JSON_OMITEMPTY)      \
    F(T, u64, failcnt, "failcnt", JSON_OMITEMPTY)     \
    F(T, u64, limit, "limit", JSON_OMITEMPTY)
JSON_TYPE(stats_memory, STATS_MEMORY)

#define STATS_PIDS(T, F)                          \
    F(T, u64, current, "current", JSON_OMITEMPTY) \
    F(T, u64, limit, "limit", JSON_OMITEMPTY)
JSON_TYPE(stats_pids, STATS_PIDS)

#define STATS_BLKIO_ENTRY(T, F)  \
    F(T, u64, major, "major", 0) \
    F(T, u64, minor, "minor", 0) \
    F(T, str, op, "op", 0)       \
    F(T, u64, value, "value", 0)
JSON_TYPE(stats_blkio_entry, STATS_BLKIO_ENTRY)

#define STATS_BLKIO(T, F)                                                         \
    F(T, list, service_bytes, "io_service_bytes_recursive", 0, stats_blkio_entry) \
    F(T, list, serviced, "io_serviced_recursive", 0, stats_blkio_entry)           \
    F(T, list, queued, "io_queue_recursive", 0, stats_blkio_entry)                \
    F(T, list, service_time, "io_service_time_recursive", 0, stats_blkio_entry)   \
    F(T, list, wait_time, "io_wait_time_recursive", 0, stats_blkio_entry)         \
    F(T, list, merged, "io_merged_recursive", 0, stats_blkio_entry)               \
    F(T, list, time, "io_time_recursive", 0, stats_blkio_entry)                   \
    F(T, list, sectors, "sectors_recursive", 0, stats_blkio_entry)
JSON_TYPE(stats_blkio, STATS_BLKIO)

#define STATS_NETWORK(T, F)                \
    F(T, u64, rx_bytes, "rx_bytes", 0)     \
    F(T, u64, rx_packets, "rx_packets", 0) \
    F(T, u64, rx_errors, "rx_errors", 0)   \
    F(T, u64, rx_dropped, "rx_dropped", 0) \
    F(T, u64, tx_bytes, "tx_bytes", 0)     \
    F(T, u64, tx_packets, "tx_packets", 0) \
    F(T, u64, tx_errors, "tx_errors", 0)   \
    F(T, u64, tx_dropped, "tx_dropped", 0)
JSON_TYPE(stats_network, STATS_NETWORK)

#define STATS_STORAGE(T, F) \
    F(T, u64, read_count_normalized, "read_count_normalized", JSON_OMITEMPTY)
JSON_TYPE(stats_storage, STATS_STORAGE)

/* GET /containers/{id}/stats; networks is keyed by the interface's name inside */
#define CONTAINER_STATS(T, F)                             \
    F(T, str, name, "name", 0)                            \
    F(T, str, id, "id", 0)                                \
    F(T, time, read_ns, "read", 0)                        \
    F(T, time, preread_ns, "preread", 0)                  \
    F(T, val, pids, "pids_stats", 0, stats_pids)          \
    F(T, val, blkio, "blkio_stats", 0, stats_blkio)       \
    F(T, u64, num_procs, "num_procs", 0)                  \
    F(T, val, storage, "storage_stats", 0, stats_storage) \
    F(T, val, cpu, "cpu_stats", 0, stats_cpu)             \
    F(T, val, precpu, "precpu_stats", 0, stats_cpu)       \
    F(T, val, memory, "memory_stats", 0, stats_memory)    \
    F(T, mapobj, networks, "networks", JSON_OMITEMPTY, stats_network)
JSON_TYPE(container_stats, CONTAINER_STATS)

#endif
