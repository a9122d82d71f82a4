/* Field tables of statistics: see stats.h. */
#include "types/stats.h"

JSON_DESC(stats_cpu_usage, STATS_CPU_USAGE)
JSON_DESC(stats_throttling, STATS_THROTTLING)
JSON_DESC(stats_cpu, STATS_CPU)
JSON_DESC(stats_memory, STATS_MEMORY)
JSON_DESC(stats_pids, STATS_PIDS)
JSON_DESC(stats_blkio_entry, STATS_BLKIO_ENTRY)
JSON_DESC(stats_blkio, STATS_BLKIO)
JSON_DESC(stats_network, STATS_NETWORK)
JSON_DESC(stats_storage, STATS_STORAGE)
JSON_DESC(container_stats, CONTAINER_STATS)
