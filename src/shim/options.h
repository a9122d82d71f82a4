/**
 * How a container's runtime is to be called: read from Tasks/Create, kept in the bundle for
 * `delete` and for others that look there (files "runtime" and "options.json").
 */
#ifndef HULL_SHIM_OPTIONS_H
#define HULL_SHIM_OPTIONS_H

#include "shim/container.h"

/** Fill c->oci from the request's options (NULL: defaults) and write the bundle's files. INVALID.
 */
int options_apply(struct container *c, const Pb__Any *options, struct err *e);

/** Fill o (binary, root, flags; in the arena) from the bundle's files. NOT_FOUND when there are
 * none. */
int options_load(const char *bundle, const char *ns, const char *id, struct arena *a, struct oci *o,
                 struct err *e);

/** Read from config.json what the shim itself wants to know. */
int options_read_spec(struct container *c, struct err *e);

/** What a checkpoint of c is to do, in the arena. INVALID. */
int options_images(const struct container *c, const Shim__CheckpointTaskRequest *rq,
                   struct arena *a, struct oci_images *out, struct err *e);

/** The same for a container that begins as a checkpoint of another. */
struct oci_images options_restored(const struct container *c, const Shim__CreateTaskRequest *rq);

/** The group of a bundle: value of the grouping annotation in BUNDLE/config.json, else NULL. */
int options_group(const char *bundle, struct arena *a, const char **out, struct err *e);

#endif
