/**
 * Registries as the user sees them: credentials, settings of daemon.json, and questions that
 * hull-registry asks.
 */
#ifndef HULL_ENGINE_REGISTRY_H
#define HULL_ENGINE_REGISTRY_H

#include "engine/engine.h"
#include "types/registry_job.h"
#include "types/system.h"

struct transfer_auth; /* client/transfer.h */

#define REGISTRY_CERTS_DIR "/etc/docker/certs.d"

/** X-Registry-Auth as it came; NULL when it holds no credentials. What cannot be read counts as
 * nothing, as in Docker. */
const struct transfer_auth *registry_auth_read(const char *header, struct arena *a);

/**
 * The directory of hosts files that says how to reach a registry ("docker.io", "host:5000"): what
 * the administrator has put into certs.d, or what daemon.json makes of it. NULL in *out: nothing is
 * said.
 */
int registry_host_dir(struct engine *g, const char *domain, struct arena *a, const char **out,
                      struct err *e);

/** Ask. job: op and its own members; credentials and host_dir are filled in. Errors: the
 * registry's. */
int registry_ask(struct engine *g, struct registry_job *job, const char *domain,
                 const struct transfer_auth *auth, int cancel_fd, struct arena *a,
                 struct registry_answer *out, struct err *e);

/** POST /auth: UNAUTHORIZED for wrong credentials, INTERNAL for a registry that cannot be reached.
 */
int engine_login(struct engine *g, const struct auth_config *c, int cancel_fd, struct buf *out,
                 struct err *e);

/** GET /distribution/{name}/json. auth: X-Registry-Auth as it came. */
int engine_distribution(struct engine *g, const char *name, const char *auth, int cancel_fd,
                        struct buf *out, struct err *e);

/** GET /images/search. */
struct search_opts {
    const char *term, *filters; /* as in the query */
    int limit;                  /* 0: 25 */
    const char *auth;           /* X-Registry-Auth as it came */
    int cancel_fd;
};
int engine_search(struct engine *g, const struct search_opts *o, struct buf *out, struct err *e);

#endif
