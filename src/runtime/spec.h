/**
 * config.json as the runtime uses it: loaded, checked once, and asked by name.
 */
#ifndef HULL_RUNTIME_SPEC_H
#define HULL_RUNTIME_SPEC_H

#include "base/err.h"
#include "types/oci_runtime.h"

#define SPEC_BYTES_MAX (16 << 20)

/** Read config.json of bundle (or the file config) as it is. NOT_FOUND "JSON specification file
 * config.json not found". */
int spec_read(const char *bundle, const char *config, struct buf *out, struct err *e);

/** Parse it. Afterwards linux_ and hooks are never NULL (but may be empty). INVALID. */
int spec_parse(const char *text, size_t n, struct arena *a, struct oci_spec *out, struct err *e);

/** Everything that can be refused before anything is made, in runc's words. */
int spec_check(const struct oci_spec *s, struct err *e);
int spec_check_process(const struct oci_process *p, struct err *e);

/** The entry of a namespace type, or NULL when the container shares the caller's. */
const struct oci_namespace *spec_ns(const struct oci_spec *s, const char *type);

/** The CLONE_NEW* flags of namespaces to make, and of those to join by path. */
uint64_t spec_new_flags(const struct oci_spec *s);
uint64_t spec_join_flags(const struct oci_spec *s);

/** Whether a file system is built: always in a mount namespace of our own, in the host's when
 * there is something to mount. */
bool spec_has_mounts(const struct oci_spec *s);

/** The host id that a container id maps to; -1 when it is not mapped. Without mappings the same. */
int64_t spec_host_uid(const struct oci_spec *s, uint64_t id);
int64_t spec_host_gid(const struct oci_spec *s, uint64_t id);

/** The file of a sysctl below /proc/sys: "net.ipv4.ip_forward" and "net/ipv4/ip_forward" are the
 * same. INVALID for names that would lead elsewhere. */
#define SPEC_SYSCTL_MAX 256
int spec_sysctl_path(const char *name, char out[static SPEC_SYSCTL_MAX], struct err *e);

/** Whether the host has SELinux; to be asked where /sys is the host's. */
bool spec_selinux_on(void);

/** RLIMIT_NOFILE ... by name, or -1. */
int spec_rlimit(const char *name);

#endif
