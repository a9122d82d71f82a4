/**
 * Which system calls a container may make: Docker's default profile as a table, and profiles that
 * users give
 * (`--security-opt seccomp=...`), both brought into the form of the OCI spec for a given set of
 * capabilities.
 */
#ifndef HULL_ENGINE_SECCOMP_H
#define HULL_ENGINE_SECCOMP_H

#include "types/oci_runtime.h"

/** The default profile. caps: the capabilities ("CAP_SYS_ADMIN") that the container will have. */
void seccomp_default(const struct strv *caps, struct arena *a, struct oci_seccomp *out);

/**
 * A profile in Docker's JSON: the OCI form with archMap, and syscalls with includes and excludes
 * (caps, arches, minKernel). Errors: INVALID "Decoding seccomp profile failed: ...".
 */
int seccomp_from_json(const char *json, const struct strv *caps, struct arena *a,
                      struct oci_seccomp *out, struct err *e);

#endif
