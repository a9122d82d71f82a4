/**
 * Bundles: the directory that a container's shim works in,
 * STATE/io.containerd.runtime.v2.task/NS/ID. What lies there is what a restarted daemon knows.
 *
 * Source: containerd core/runtime/v2 (bundle.go); the names are shared with containerd, so that
 * either daemon adopts the other's shims.
 */
#ifndef HULL_CONTAINERD_BUNDLE_H
#define HULL_CONTAINERD_BUNDLE_H

#include "base/arena.h"
#include "base/err.h"
#include "containerd/ctd.h"

#define TASK_DIR "io.containerd.runtime.v2.task"

/** Path of a bundle, in the arena. */
const char *bundle_path(const struct ctd *d, const char *ns, const char *id, struct arena *a);

/**
 * Make the bundle: config.json (the spec's n bytes), rootfs, work, the FIFO `log`. EXISTS when
 * there is one; nothing stays of a failed attempt.
 */
int bundle_create(const struct ctd *d, const char *ns, const char *id, const void *spec, size_t n,
                  struct err *e);

/** Write a small file of the bundle (mode 0600). */
int bundle_write(const char *bundle, const char *name, const char *text, struct err *e);
/** Read one; NULL when it is not there. In the arena. */
const char *bundle_read(const char *bundle, const char *name, struct arena *a);

/** Unmount its rootfs and remove it and its work directory. What is not there is fine. */
int bundle_remove(const struct ctd *d, const char *ns, const char *id, struct err *e);

#endif
