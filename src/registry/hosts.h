/**
 * The hosts that serve a registry's images: itself and its mirrors, each with its TLS files, in the
 * order they are to be asked. Private to the room.
 *
 * Source: containerd's hosts.toml and, in a directory without one, Docker's certs.d (*.crt, and
 * *.cert with *.key).
 */
#ifndef HULL_REGISTRY_HOSTS_H
#define HULL_REGISTRY_HOSTS_H

#include "base/err.h"
#include "base/vec.h"
#include "registry/registry.h"

enum { HOST_PULL = 1 << 0, HOST_RESOLVE = 1 << 1, HOST_PUSH = 1 << 2, HOST_ALL = 7 };

struct registry_host {
    const char *base; /* "https://mirror.example:5000/v2", without a slash at its end */
    const char *name; /* "mirror.example:5000": whom credentials are for */
    unsigned can;
    bool origin;                      /* the registry itself, no mirror */
    bool insecure;                    /* certificates are not checked */
    bool tls_maybe;                   /* the next host is this one without TLS */
    int connect_ms;                   /* 0: as the options say */
    const char *ca;                   /* PEM text beside the system's; NULL */
    const char *cert_file, *key_file; /* NULL */
    struct strv headers;              /* "Name: value" */
};

struct registry_hosts {
    struct registry_host *v;
    size_t n, cap;
};

/** The hosts for a registry ("docker.io", "localhost:5000"), all in the arena. Errors: INVALID, of
 * a file that cannot be read. */
int registry_hosts_find(const char *domain, const struct registry_opts *o, struct arena *a,
                        struct registry_hosts *out, struct err *e);

#endif
