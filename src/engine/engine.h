/**
 * The engine: what hulld knows and does, apart from HTTP. It owns the containers as the user sees
 * them (configuration, names, policy, state), and calls containerd for tasks, images and snapshots,
 * src/net for networks and src/volume for volumes.
 *
 * Conventions of this room's functions:
 *  - `cancel_fd` becomes readable when the client that waits for the answer has gone
 * (http_req_gone_fd); the call then ends with CANCELLED (where Docker cancels). -1: nobody to
 * watch.
 *  - `api` is the minor number of the request's API version, 24 ... 51 (v1.51 -> 51); documents
 * differ a little with it.
 *  - Answers that are one JSON document are appended to a struct buf, without a newline at the end.
 *  - Streams go to a sink, which returns -1 (and fills e) once the client is gone.
 *  - Errors carry Docker's texts; kinds are what the API answers with.
 */
#ifndef HULL_ENGINE_ENGINE_H
#define HULL_ENGINE_ENGINE_H

#include "base/json.h"
#include "sys/userns.h"

struct engine;
struct ctd;
struct registry_settings;

/* A runtime that containers may ask for by name ("hull", "runc"). */
struct engine_runtime {
    const char *name; /* as in HostConfig.Runtime */
    const char *type; /* containerd's runtime name: io.containerd.hull.v2, io.containerd.runc.v2 */
    const char *binary; /* runtime program given to the shim; NULL: the shim's own default */
};

/* Everything borrowed for the life of the engine. NULL, 0: the default in brackets. */
struct engine_opts {
    const char *data_root; /* [/var/lib/hull] */
    const char
        *exec_root; /* [/run/hull] sockets, netns, FIFOs: kept short, sun_path holds 108 bytes */
    const char *containerd;    /* address of the socket; required */
    const char *containerd_ns; /* [moby] */
    const char *snapshotter;   /* [overlayfs] */
    const char *helper_dir;    /* where hull-unpack and its like are; required */
    const struct engine_runtime *runtimes;
    size_t n_runtimes;             /* besides hull and runc */
    const char *default_runtime;   /* [hull] */
    const char *cgroup_parent;     /* [/docker] */
    const char *log_driver;        /* [json-file] */
    const struct strmap *log_opts; /* defaults of that driver */
    int64_t shm_bytes;             /* [64 MiB] */
    int stop_timeout_s;            /* [10]; set has_stop_timeout for 0 */
    bool has_stop_timeout;
    bool no_new_privileges;
    struct userns_maps userns;   /* [none] of new containers, unless they ask for the host's */
    const char *seccomp_profile; /* JSON text of another default profile; [built in] */
    const struct strv *dns, *dns_search, *dns_opts;
    const char
        *bridge; /* name of the default bridge; "none": no default network [docker0 or hull0] */
    const char *bip, *fixed_cidr;
    const char *const *address_pools; /* "base=10.0.0.0/8,size=24" ...; NULL-terminated */
    const char *host_ip;              /* [0.0.0.0] for published ports without an address */
    int mtu;
    const char *nft_table; /* name of our nft table [hull] */
    bool no_icc, no_ip_masq, no_ip_forward, no_firewall, ignore_foreign_firewall;
    const struct strv *insecure_registries;   /* besides loopback */
    const struct strv *registry_mirrors;      /* URLs, for docker.io */
    const struct registry_settings *registry; /* limits and proxies (types/registry_job.h) */
    const char *signature_policy; /* path of the policy file; [none: any image may be run] */
    const struct strv *labels;    /* of the daemon */
    const char *version;          /* [HULL_VERSION] */
};

/**
 * Open the state and read it; nothing is started and containerd is not called yet.
 * Errors: a database of a newer format, one that another hulld uses (CONFLICT), directories.
 */
int engine_open(const struct engine_opts *o, struct engine **out, struct err *e);

/**
 * Adopt what runs and start serving: subscribe to containerd's events, then compare the present
 * tasks with the records. Exits that happened meanwhile are collected with their status; running
 * containers are left alone; restart policies are applied; leftovers of --rm are removed. Returns
 * when the truth is known; restarts go on in the background.
 */
int engine_start(struct engine *g, struct err *e);

/** Stop serving; running containers are left alone. Frees. NULL is fine. */
void engine_close(struct engine *g);

struct ctd *engine_ctd(struct engine *g);
const struct engine_opts *engine_options(const struct engine *g);

/* A stream of bytes to a client. */
struct sink {
    int (*write)(void *arg, const void *p, size_t n, struct err *e);
    void *arg;
};

/* Numbers for `info`. */
struct engine_counts {
    int containers, running, paused, stopped;
};
struct engine_counts engine_count(struct engine *g);

/** `GET /info` and `GET /version` as JSON documents. */
int engine_info(struct engine *g, int api, struct buf *out, struct err *e);
int engine_version(struct engine *g, int api, struct buf *out, struct err *e);

/** `GET /system/df`. types: a set of "container", "image", "volume", "build-cache"; empty: all. */
int engine_df(struct engine *g, int api, const struct strv *types, bool verbose, struct buf *out,
              struct err *e);

#endif
