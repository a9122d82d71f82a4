/** What create makes of a request: merged with the image, checked, and with every default filled
 * in. */
#ifndef HULL_ENGINE_CONFIG_H
#define HULL_ENGINE_CONFIG_H

#include "engine/engine.h"
#include "engine/record.h"

/** Take from the image what the user did not say. Everything goes into the arena. */
void config_merge(struct container_config *user, const struct container_config *image,
                  struct arena *a);

/** The command: entrypoint and arguments. INVALID "no command specified". */
int config_args(const struct container_config *c, struct arena *a, struct strv *out, struct err *e);

/** Fill in what inspect shows when nothing was given. cgroup2: the host's version. */
void host_config_defaults(struct host_config *h, const struct engine_opts *o, bool cgroup2,
                          struct arena *a);

/**
 * Check a configuration that has its defaults; warnings (in the arena) are for the answer.
 * Errors: INVALID in Docker's words.
 */
int config_check(const struct container_config *c, const struct host_config *h, struct arena *a,
                 struct strv *warnings, struct err *e);

/** What a container with a user namespace of its own may not have. Errors: INVALID in Docker's
 * words. */
int config_check_userns(const struct host_config *h, struct err *e);

/** Resources and policy, for update too. */
int resources_check(const struct resources *r, struct err *e);
int restart_policy_check(const struct restart_policy *p, bool auto_remove, struct err *e);

/**
 * The mounts of a request: Binds, Mounts, Config.Volumes.
 *
 * api  Mounts of type bind need an existing source, Binds make it.
 * Errors: INVALID in Docker's words (syntax, duplicates).
 */
int mounts_resolve(const struct container_config *c, const struct host_config *h, struct arena *a,
                   struct container_record *out, struct err *e);

#endif
