/**
 * The signature policy at work: asked before a pull and before a container is made.
 *
 * What a pull has verified is kept beside the image (table signatures), so that the policy can be
 * asked again without the registry: as it is then, with the keys it has then. An image that came in
 * another way (load, import, commit, tag) has the signatures of its digest, if any.
 */
#ifndef HULL_ENGINE_IMAGE_TRUST_H
#define HULL_ENGINE_IMAGE_TRUST_H

#include "engine/image.h"
#include "trust/policy.h"
#include "types/signature.h"

struct transfer_auth; /* client/transfer.h */

/** The policy can be read (a start with one that cannot is none). */
int image_trust_start(struct engine *g, struct err *e);

/* What may be pulled. */
struct trust_grant {
    const char *digest; /* this and nothing else; NULL: what the name stands for */
    struct image_signatures verified;
};

struct trust_question {
    const struct ref *ref; /* with tag or digest */
    const char *platform;  /* as in the request; NULL: this machine */
    const struct transfer_auth *auth;
    int cancel_fd;
};

/** Before a pull. out in the arena. Errors: FORBIDDEN in full sentences; the registry's. */
int image_trust_pull(struct engine *g, const struct trust_question *q, struct arena *a,
                     struct trust_grant *out, struct err *e);

/** After it: keep what was verified. */
int image_trust_keep(struct engine *g, const struct trust_grant *grant, struct err *e);

/**
 * Before a container is made of an image.
 *
 * typed  what the user called it; by_id: that is an id, so any of the image's names may vouch for
 * it.
 *
 * Errors: FORBIDDEN.
 */
int image_trust_run(struct engine *g, const char *typed, bool by_id, const struct image *i,
                    struct err *e);

/** The image with this digest is gone. */
void image_trust_forget(struct engine *g, const char *digest);

/** Images may have gone without us: forget those that are not there. */
void image_trust_sweep(struct engine *g);

#endif
