/** The parsers of stats.c, for its tests. */
#ifndef HULL_ENGINE_STATS_INT_H
#define HULL_ENGINE_STATS_INT_H

#include "base/str.h"
#include "types/stats.h"

/** CPU time of the whole machine from the text of /proc/stat, in ns. */
uint64_t stats_system_ns(const char *proc_stat);

/** One line of /proc/net/dev; false for the heads, lo and what is no line. */
bool stats_net_line(struct str line, struct arena *a, const char **out_name,
                    struct stats_network *out);

#endif
