/** The Task service that containerd calls, versions 2 and 3. */
#ifndef HULL_SHIM_TASK_H
#define HULL_SHIM_TASK_H

#include "rpc/ttrpc.h"

/** The methods; their server's ctx is the struct shim. */
extern const struct ttrpc_method task_methods[];
extern const size_t n_task_methods;

#endif
