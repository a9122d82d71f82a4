/**
 * Finding and greeting shims: which program a runtime's name stands for, and what its `start` says.
 *
 * Source: containerd's core/runtime/v2 README.
 */
#ifndef HULL_CONTAINERD_BOOTSTRAP_H
#define HULL_CONTAINERD_BOOTSTRAP_H

#include "base/arena.h"
#include "base/err.h"

/**
 * The program's name: "io.containerd.runc.v2" -> "containerd-shim-runc-v2". An absolute path stands
 * for itself. INVALID for other names without two parts.
 */
int runtime_program(const char *runtime, struct arena *a, const char **out, struct err *e);

/**
 * The program's path: absolute ones as they are; else searched in path (as PATH, NULL: none), then
 * in the NULL-terminated dirs. io.containerd.runc.v2 is served by our own shim where containerd's
 * is not installed. NOT_FOUND `runtime "x" binary not installed "y": file does not exist`.
 */
int runtime_find(const char *runtime, const char *path, const char *const *dirs, struct arena *a,
                 const char **out, struct err *e);

/* Where and how a shim serves. */
struct shim_endpoint {
    const char *address; /* path of a unix socket */
    int version;         /* of the Task service: 2 or 3 */
};

/**
 * What `start` printed, or what a bundle's file says: a plain address, containerd's JSON
 * {"version", "address", "protocol"}, or a packed BootstrapResult. Errors: INVALID, UNIMPLEMENTED
 * (gRPC, a version past 3).
 */
int bootstrap_parse(const char *p, size_t n, struct arena *a, struct shim_endpoint *out,
                    struct err *e);

/** As containerd writes bootstrap.json. In the arena. */
const char *bootstrap_json(const struct shim_endpoint *ep, struct arena *a);

#endif
