/**
 * The OCI spec of a container: what Docker's defaults, the configuration and the machine come to. A
 * function of its inputs but for what exists in /dev and /sys, so that it can be tested against
 * golden documents.
 */
#ifndef HULL_ENGINE_SPEC_H
#define HULL_ENGINE_SPEC_H

#include "engine/engine.h"
#include "engine/record.h"
#include "types/oci_runtime.h"

struct spec_inputs {
    const struct container_record *rec;
    const struct engine_opts *o;
    struct oci_user user;
    const char *hostname;      /* "": the host's own (host UTS namespace) */
    const char *userns;        /* namespace to join, with the record's mappings; NULL: the host's */
    const char *netns;         /* namespace to join; "": the host's */
    const char *pidns, *ipcns; /* of another container to join; NULL: by mode */
    const char *shm;           /* host directory for /dev/shm; NULL: a tmpfs of its own */
    const char *resolv_conf, *hosts, *hostname_file; /* files to bind; NULL: none */
    const struct oci_mount *mounts;                  /* the container's own, resolved */
    size_t n_mounts;
    const char *init; /* host path of the init program for --init; NULL: none */
    bool cgroup2;     /* the host has a pure version 2 */
};

/** Build it, in the arena. Errors: INVALID with Docker's texts (capabilities, devices, security
 * options). */
int spec_build(const struct spec_inputs *in, struct arena *a, struct oci_spec *out, struct err *e);

/** The resources alone, for update too. */
int spec_resources(const struct resources *r, struct arena *a, struct oci_resources *out,
                   struct err *e);

/** PATH, HOSTNAME and TERM, then the configuration's. */
struct strv spec_env(const struct container_config *c, const char *hostname, bool tty,
                     struct arena *a);

/** What the security options say. */
struct security_opts {
    bool no_new_privileges, writable_cgroups;
    const char *seccomp;  /* NULL: default; "unconfined"; else a profile's JSON */
    const char *apparmor; /* NULL: default */
};

/** Read --security-opt. INVALID `invalid --security-opt 1: "x"`. */
int security_opts_parse(const struct strv *opts, struct security_opts *out, struct err *e);

/** Mounts of the defaults and the container's own, in the order in which they are made. */
void spec_mounts(const struct spec_inputs *in, const struct security_opts *sec, struct arena *a,
                 struct oci_spec *out);

/** Device nodes and their rules. */
int spec_devices(const struct spec_inputs *in, struct arena *a, struct oci_linux *l, struct err *e);

/** The process of a container (exec_user false) with everything but its arguments. */
int spec_process(const struct spec_inputs *in, const struct security_opts *sec, struct arena *a,
                 struct oci_process *out, struct err *e);

/** Seccomp for these options and capabilities, or NULL for none. */
int spec_seccomp(const struct spec_inputs *in, const struct security_opts *sec,
                 const struct strv *caps, struct arena *a, struct oci_seccomp **out, struct err *e);

#endif
