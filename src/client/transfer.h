/**
 * Images in and out of containerd's transfer service: pull, push, import and export with progress.
 * UNIMPLEMENTED on a containerd that has no transfer service (before 2.0).
 */
#ifndef HULL_CLIENT_TRANSFER_H
#define HULL_CLIENT_TRANSFER_H

#include "base/json.h"
#include "client/ctd.h"

/* One state of one part of a transfer, as the service reports it. */
struct transfer_progress {
    const char *event;  /* "waiting", "downloading", "complete", "already exists", "extracting",
                           "saved" ... */
    const char *name;   /* the part: layer-sha256:..., manifest-sha256:..., an image name, ... */
    const char *digest; /* of the descriptor, or NULL */
    const char *media_type;
    int64_t progress, total;
};

/** Called in the calling thread for each report; -1 gives the transfer up (e filled by the
 * callback). */
typedef int transfer_progress_fn(void *arg, const struct transfer_progress *p, struct err *e);

/* Fills n > 0 bytes at most cap of the archive at p; 0 at its end; -1 with e. */
typedef ssize_t transfer_read_fn(void *arg, void *p, size_t cap, struct err *e);
typedef int transfer_write_fn(void *arg, const void *p, size_t n, struct err *e);

struct transfer_auth {
    const char *username, *password; /* NULL: none */
    const char *identity_token;      /* refresh token; NULL: none */
    const char *registry_token;      /* bearer token; NULL: none */
};

struct transfer_pull {
    const char *reference;                    /* full, with tag or digest */
    const char *store_as;                     /* image name to write; NULL: reference */
    const char *os, *arch, *variant;          /* platform; NULL: the daemon's own */
    const struct transfer_auth *auth;         /* NULL: anonymous */
    const char *host_dir;                     /* directory of hosts.toml files; NULL: none */
    const struct registry_settings *settings; /* types/registry_job.h; NULL: the defaults */
    const char *snapshotter;                  /* unpacked into this one; NULL: not unpacked */
    int cancel_fd;                            /* readable means: give up; -1: none */
    transfer_progress_fn *progress;
    void *arg;
};

int ctd_pull(struct ctd *c, const struct transfer_pull *p, struct err *e);
int ctd_push(struct ctd *c, const struct transfer_pull *p, struct err *e);

struct oci_platform; /* types/oci_descriptor.h */

struct transfer_import {
    transfer_read_fn *read;         /* the archive */
    transfer_progress_fn *progress; /* "saved" reports the name of each image; may be NULL */
    void *arg;
    const char *snapshotter;
    const char *prefix;                  /* unnamed images are stored as prefix@digest */
    const struct oci_platform *platform; /* only this one; NULL: all */
    int cancel_fd;
};
int ctd_import(struct ctd *c, const struct transfer_import *p, struct err *e);

struct transfer_export {
    const struct strv *names;            /* full references */
    const struct oci_platform *platform; /* only this one; NULL: all that is there */
    transfer_write_fn *write;
    void *arg;
    int cancel_fd;
};
int ctd_export(struct ctd *c, const struct transfer_export *p, struct err *e);

#endif
