/** The parts of a start: what a container's process needs around it before it can run. */
#ifndef HULL_ENGINE_LAUNCH_H
#define HULL_ENGINE_LAUNCH_H

#include "engine/core.h"
#include "types/oci_runtime.h"

/* What a start works on; lives as long as the call. */
struct launch {
    struct engine *g;
    struct container *c;
    struct arena *a;
    const struct container_record *rec;
    struct ctd_mounts rootfs;
    struct ctd_runtime runtime;
    struct net_sandbox sandbox; /* key "" in host mode */
    bool has_sandbox;           /* ours to close */
    const char *netns;          /* to join; "": the host's */
    const char *userns;         /* to join; NULL: the host's */
    uid_t root_uid;             /* who root of the container is here */
    gid_t root_gid;
    VEC(struct oci_mount) mounts;
    struct oci_user user;
    const char *resolv_conf, *hosts, *hostname_file, *hostname;
    const char *pidns, *ipcns, *shm;
    const char *init;
    const char *stdin_, *stdout_, *stderr_; /* for Tasks.Create */
    const char *spec;                       /* JSON */
    bool cgroup2;
};

/** Who its root is on the host. */
int launch_root(struct launch *l, struct err *e);

/** Join the user namespace of a running container, one of whose namespaces is joined: what belongs
 * to another user namespace could not be used. CONFLICT when their mappings differ. */
int launch_share_userns(struct launch *l, const struct view *other, struct err *e);

/** The network: a sandbox of its own, the host's, or another container's. */
int launch_network(struct launch *l, struct err *e);

/** resolv.conf, hosts and hostname, written into the container's folder. */
int launch_files(struct launch *l, struct err *e);

/** Binds and volumes as OCI mounts; sources that may be missing are made, volumes mounted. */
int launch_mounts(struct launch *l, struct err *e);

/** The user, from the image's files. */
int launch_user(struct launch *l, struct err *e);

/** Namespaces of other containers that are joined. */
int launch_namespaces(struct launch *l, struct err *e);

/** Log and streams: what Tasks.Create is told, and the logger for shims that are not ours. */
int launch_stdio(struct launch *l, struct err *e);

/** The spec as JSON. */
int launch_spec(struct launch *l, struct err *e);

/** The network's address of a sandbox for events: raise connect or disconnect for each of its
 * networks. */
void launch_network_events(struct container *c, const struct net_sandbox *s, const char *action);

#endif
