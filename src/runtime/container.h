/** A container that exists, as a command finds it: its record, its cgroup, its status now. */
#ifndef HULL_RUNTIME_CONTAINER_H
#define HULL_RUNTIME_CONTAINER_H

#include "runtime/record.h"
#include "runtime/unit.h"

struct container {
    struct arena *a;
    int dir_fd;
    struct record record;
    struct cgroup cgroup;
    enum hullrun_status status;
};

#define CONTAINER_NONE \
    {                  \
        .dir_fd = -1   \
    }

void container_done(struct container *c);
#define auto_container CLEANUP(container_done)

/** NOT_FOUND "container does not exist". dir_fd is open when only the record could not be read. */
int container_load(struct container *c, const char *root, const char *id, struct err *e);

/** Its unit of systemd; the name is NULL when it has none. */
struct unit container_unit(const struct container *c);

/** Its config.json, in the container's arena. */
int container_spec(struct container *c, struct oci_spec *out, struct err *e);

/** A pidfd of the first process, proven by its start time; -1 when it has ended. */
int container_pidfd(const struct container *c);

/** CONFLICT "container not running". */
int container_not_running(struct err *e);

#endif
