/**
 * What the parts of hullrun_create share: the plan (plan.c), what is made from it (create.c), and
 * the talk with the process that builds its file system meanwhile (converse.c). A restore takes the
 * same steps around criu (restore.c). Private to them.
 */
#ifndef HULL_RUNTIME_CREATE_H
#define HULL_RUNTIME_CREATE_H

#include "runtime/devices.h"
#include "runtime/idmap.h"
#include "runtime/init.h"
#include "runtime/limits.h"
#include "runtime/rdt.h"
#include "runtime/unit.h"
#include "sys/ns.h"

struct create {
    const struct hullrun_create_opts *o;
    struct arena *a;
    struct oci_spec spec;
    struct buf config;
    struct record record;
    struct cgroup_host host;
    struct cgroup cgroup;
    struct limits limits;
    struct device_policy devices;
    struct unit unit;
    struct rdt rdt;
    struct unit_properties properties;
    struct seccomp_program *filter;
    int dir_fd, fifo, console[2], join_fd[NS_KINDS];
    struct launch launch;
    struct init init;
    struct child child;
    struct idmap_cache idmaps;
    bool rootless;         /* we are an ordinary user */
    uint64_t rootfs_mount; /* the mount that rootfs lies on */
    bool made_dir, made_cgroup, hooks_ran;
};

/** Load and check everything that can be known before anything is made: spec, root file system,
 * record, cgroup, limits. Whatever is refused here leaves nothing. */
int create_plan(struct create *c, struct err *e);

void create_init(struct create *c, const struct hullrun_create_opts *o);
void create_done(struct create *c);

/** Take back what was made, and nothing else. */
void create_undo(struct create *c);

/** The state directory, with a copy of config.json. */
int create_make_state(struct create *c, struct err *e);
const char *create_state_path(const struct create *c);

/** Its notify/ and the mount of it, when the caller wants to know when the program is ready. */
int create_make_notify(struct create *c, struct err *e);

/** The cgroup, but for a unit of systemd: that wants to see a process first. */
int create_make_cgroup(struct create *c, struct err *e);
int create_join_unit(struct create *c, pid_t pid, struct err *e);

/** Enforce the list of devices on the cgroup. */
int create_restrict_devices(struct create *c, struct err *e);

/** prestart and createRuntime. */
int create_run_hooks(struct create *c, pid_t pid, struct err *e);

/** Answer the process's questions until it is ready (create) or has become the user's program
 * (run). Errors are its own, or ours in answering. */
int create_converse(struct create *c, struct err *e);

#endif
