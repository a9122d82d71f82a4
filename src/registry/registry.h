/**
 * A registry client over libcurl: hosts and mirrors, challenge and token, basic auth, redirects,
 * resume, retries. For pulling it implements struct image_source, for pushing struct image_target;
 * the rest are single questions.
 *
 * Source: OCI distribution-spec 1.1; Docker's token authentication.
 */
#ifndef HULL_REGISTRY_REGISTRY_H
#define HULL_REGISTRY_REGISTRY_H

#include "base/vec.h"
#include "types/image_source.h"
#include "types/image_target.h"
#include "types/reference.h"
#include "types/registry_job.h"

struct registry_creds {
    const char *username, *password;
    const char *identity_token; /* a refresh token, instead of a password */
    const char *registry_token; /* a bearer token, sent as it is */
};

/* URLs of proxies; NULL: what the environment says. Loopback is always asked directly. */
struct registry_proxies {
    const char *http, *https; /* by the scheme of what is asked for */
    const char *none;         /* hosts that are asked directly: names, suffixes, networks */
};

struct registry_opts {
    struct registry_creds creds; /* for the reference's own registry only */
    /** Asked once a host that wants credentials, when creds is empty or for a mirror (which never
     * gets creds); strings stay valid until the source is closed. 0 with fields NULL: anonymous.
     * May be NULL. */
    int (*ask)(void *arg, const char *host, const char *challenge, struct registry_creds *out,
               struct err *e);
    void *ask_arg;
    bool plain_http;      /* http only */
    const char *host_dir; /* of hosts.toml or certificates, HOST_DIR/HOST; NULL: none */
    int stall_ms;         /* 0: 60,000 without a byte ends an attempt */
    int connect_ms;       /* 0: 30,000 */
    int attempts;         /* 0: 5 */
    int cancel_fd;        /* 0 or -1: none */
    struct registry_proxies proxies;
    /** Extra request headers "Name: value", NULL-terminated; may be NULL. */
    const char *const *headers;
};

/** In main, before any thread. */
void registry_global_init(void);

/**
 * A source for one reference (tag or digest; a tag "latest" is not added). Loopback registries
 * (127.0.0.0/8, ::1, localhost) fall back to plain HTTP by themselves.
 *
 * opts  borrowed until registry_source_close.
 *
 * Errors: INVALID (reference, files of host_dir). resolve's: NOT_FOUND `manifest for x:y not found:
 * manifest unknown: …` and `pull access denied for x, repository does not exist or may require
 * 'docker login'`, UNAUTHORIZED, UNAVAILABLE.
 */
int registry_source_open(const struct ref *ref, const struct registry_opts *opts,
                         struct image_source **out, struct err *e);
void registry_source_close(struct image_source *s);

static inline void registry_source_close_ptr(struct image_source **s)
{
    registry_source_close(*s);
}
#define auto_registry_source CLEANUP(registry_source_close_ptr)

/** A target for one reference. As registry_source_open. */
int registry_target_open(const struct ref *ref, const struct registry_opts *opts,
                         struct image_target **out, struct err *e);
void registry_target_close(struct image_target *t);

static inline void registry_target_close_ptr(struct image_target **t)
{
    registry_target_close(*t);
}
#define auto_registry_target CLEANUP(registry_target_close_ptr)

/**
 * Try the credentials of opts at a registry.
 *
 * out_token  an identity token to use instead of the password, in the arena; "" for none.
 *
 * Errors: UNAUTHORIZED `Get "https://x/v2/": unauthorized: incorrect username or password`,
 * UNAVAILABLE.
 */
int registry_login(const char *domain, const struct registry_opts *opts, struct arena *a,
                   const char **out_token, struct err *e);

/** All tags of ref's repository, in the arena. Errors: as resolve. */
int registry_tags(const struct ref *ref, const struct registry_opts *opts, struct arena *a,
                  struct strv *out, struct err *e);

/**
 * Search as Docker Hub's index does it.
 *
 * term   "words" for the Hub, "host/words" for a registry that has a search of version 1.
 * limit  1 to 100.
 * out    its results are added to, in the arena.
 *
 * Errors: NOT_FOUND when the registry has no search.
 */
int registry_search(const char *term, int limit, const struct registry_opts *opts, struct arena *a,
                    struct registry_answer *out, struct err *e);

/** What a reference stands for, and the platforms that it is for. Errors: as resolve. */
int registry_inspect(const struct ref *ref, const struct registry_opts *opts, struct arena *a,
                     struct registry_answer *out, struct err *e);

/**
 * What a reference stands for (descriptor), the manifest of it that platform gets ("" when it is no
 * index), and the signatures of both: cosign's, as they are found, not checked.
 *
 * platform  "linux/arm64"; NULL or "": this machine.
 *
 * Errors: as resolve; UNAVAILABLE also when only the signatures could not be had.
 */
int registry_signatures(const struct ref *ref, const char *platform,
                        const struct registry_opts *opts, struct arena *a,
                        struct registry_answer *out, struct err *e);

#endif
