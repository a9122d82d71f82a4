/**
 * The numbers of a container's cgroup as `runc events` tells them; units are nanoseconds and bytes.
 * Source: the JSON that runc 1.5.1 prints, v1 and v2.
 */
#ifndef HULL_RUNTIME_STATS_H
#define HULL_RUNTIME_STATS_H

#include "base/json.h"
#include "sys/cgroup.h"

#define STATS_CPU_USAGE(T, F)                                  \
    F(T, u64, total, "total", JSON_OMITEMPTY)                  \
    F(T, i64v, percpu, "percpu", JSON_OMITEMPTY)               \
    F(T, i64v, percpu_kernel, "percpu_kernel", JSON_OMITEMPTY) \
    F(T, i64v, percpu_user, "percpu_user", JSON_OMITEMPTY)     \
    F(T, u64, kernel, "kernel", 0)                             \
    F(T, u64, user, "user", 0)
JSON_TYPE(stats_cpu_usage, STATS_CPU_USAGE)

#define STATS_THROTTLING(T, F)                                       \
    F(T, u64, periods, "periods", JSON_OMITEMPTY)                    \
    F(T, u64, throttled_periods, "throttledPeriods", JSON_OMITEMPTY) \
    F(T, u64, throttled_time, "throttledTime", JSON_OMITEMPTY)
JSON_TYPE(stats_throttling, STATS_THROTTLING)

#define STATS_PRESSURE_LINE(T, F)  \
    F(T, f64, avg10, "avg10", 0)   \
    F(T, f64, avg60, "avg60", 0)   \
    F(T, f64, avg300, "avg300", 0) \
    F(T, u64, total, "total", 0)
JSON_TYPE(stats_pressure_line, STATS_PRESSURE_LINE)

/* Time lost waiting; NULL where the kernel does not count it. */
#define STATS_PRESSURE(T, F)                                     \
    F(T, obj, some, "some", JSON_OMITEMPTY, stats_pressure_line) \
    F(T, obj, full, "full", JSON_OMITEMPTY, stats_pressure_line)
JSON_TYPE(stats_pressure, STATS_PRESSURE)

#define STATS_CPU(T, F)                                                   \
    F(T, obj, usage, "usage", JSON_OMITEMPTY, stats_cpu_usage)            \
    F(T, obj, throttling, "throttling", JSON_OMITEMPTY, stats_throttling) \
    F(T, obj, psi, "psi", JSON_OMITEMPTY, stats_pressure)
JSON_TYPE(stats_cpu, STATS_CPU)

#define STATS_CPUSET(T, F)                                 \
    F(T, i64v, cpus, "cpus", JSON_OMITEMPTY)               \
    F(T, u64, cpu_exclusive, "cpu_exclusive", 0)           \
    F(T, i64v, mems, "mems", JSON_OMITEMPTY)               \
    F(T, u64, mem_hardwall, "mem_hardwall", 0)             \
    F(T, u64, mem_exclusive, "mem_exclusive", 0)           \
    F(T, u64, memory_migrate, "memory_migrate", 0)         \
    F(T, u64, memory_spread_page, "memory_spread_page", 0) \
    F(T, u64, memory_spread_slab, "memory_spread_slab", 0) \
    F(T, u64, memory_pressure, "memory_pressure", 0)       \
    F(T, u64, sched_load_balance, "sched_load_balance", 0) \
    F(T, i64, sched_relax_domain_level, "sched_relax_domain_level", 0)
JSON_TYPE(stats_cpuset, STATS_CPUSET)

#define STATS_MEMORY_ENTRY(T, F)              \
    F(T, u64, limit, "limit", 0)              \
    F(T, u64, usage, "usage", JSON_OMITEMPTY) \
    F(T, u64, max, "max", JSON_OMITEMPTY)     \
    F(T, u64, failcnt, "failcnt", 0)
JSON_TYPE(stats_memory_entry, STATS_MEMORY_ENTRY)

/* NULL entries are all zero, raw is memory.stat. */
#define STATS_MEMORY(T, F)                                                 \
    F(T, u64, cache, "cache", JSON_OMITEMPTY)                              \
    F(T, obj, usage, "usage", JSON_OMITEMPTY, stats_memory_entry)          \
    F(T, obj, swap, "swap", JSON_OMITEMPTY, stats_memory_entry)            \
    F(T, obj, kernel, "kernel", JSON_OMITEMPTY, stats_memory_entry)        \
    F(T, obj, kernel_tcp, "kernelTCP", JSON_OMITEMPTY, stats_memory_entry) \
    F(T, mapu64, raw, "raw", JSON_OMITEMPTY)                               \
    F(T, obj, psi, "psi", JSON_OMITEMPTY, stats_pressure)
JSON_TYPE(stats_memory, STATS_MEMORY)

#define STATS_PIDS(T, F)                          \
    F(T, u64, current, "current", JSON_OMITEMPTY) \
    F(T, u64, limit, "limit", JSON_OMITEMPTY)
JSON_TYPE(stats_pids, STATS_PIDS)

#define STATS_IO_ENTRY(T, F)                  \
    F(T, u64, major, "major", JSON_OMITEMPTY) \
    F(T, u64, minor, "minor", JSON_OMITEMPTY) \
    F(T, str, op, "op", JSON_OMITEMPTY)       \
    F(T, u64, value, "value", JSON_OMITEMPTY)
JSON_TYPE(stats_io_entry, STATS_IO_ENTRY)

#define STATS_IO(T, F)                                                                   \
    F(T, list, service_bytes, "ioServiceBytesRecursive", JSON_OMITEMPTY, stats_io_entry) \
    F(T, list, serviced, "ioServicedRecursive", JSON_OMITEMPTY, stats_io_entry)          \
    F(T, list, queued, "ioQueueRecursive", JSON_OMITEMPTY, stats_io_entry)               \
    F(T, list, service_time, "ioServiceTimeRecursive", JSON_OMITEMPTY, stats_io_entry)   \
    F(T, list, wait_time, "ioWaitTimeRecursive", JSON_OMITEMPTY, stats_io_entry)         \
    F(T, list, merged, "ioMergedRecursive", JSON_OMITEMPTY, stats_io_entry)              \
    F(T, list, time, "ioTimeRecursive", JSON_OMITEMPTY, stats_io_entry)                  \
    F(T, list, sectors, "sectorsRecursive", JSON_OMITEMPTY, stats_io_entry)              \
    F(T, obj, psi, "psi", JSON_OMITEMPTY, stats_pressure)
JSON_TYPE(stats_io, STATS_IO)

#define STATS_HUGE(T, F)                      \
    F(T, u64, usage, "usage", JSON_OMITEMPTY) \
    F(T, u64, max, "max", JSON_OMITEMPTY)     \
    F(T, u64, failcnt, "failcnt", 0)
JSON_TYPE(stats_huge, STATS_HUGE)

#define STATS(T, F)                                          \
    F(T, val, cpu, "cpu", 0, stats_cpu)                      \
    F(T, val, cpuset, "cpuset", 0, stats_cpuset)             \
    F(T, val, memory, "memory", 0, stats_memory)             \
    F(T, val, pids, "pids", 0, stats_pids)                   \
    F(T, val, blkio, "blkio", 0, stats_io)                   \
    F(T, mapobj, hugetlb, "hugetlb", JSON_EMPTY, stats_huge) \
    F(T, raw, intel_rdt, "intel_rdt", 0)                     \
    F(T, raw, network_interfaces, "network_interfaces", 0)
JSON_TYPE(stats, STATS)

/** Read them; everything in the arena. What the kernel does not count stays zero. */
void stats_read(const struct cgroup *cg, struct arena *a, struct stats *out);

#endif
