/**
 * Whether the signatures of an image satisfy an entry of the policy.
 *
 * A signature is cosign's: over a "simple signing" document that names the image and its digest.
 * Nothing of a payload is looked at before the key has vouched for it.
 *
 * Source: cosign's signature specification.
 */
#ifndef HULL_TRUST_VERIFY_H
#define HULL_TRUST_VERIFY_H

#include "trust/policy.h"
#include "types/signature.h"

/* What is asked about. */
struct trust_subject {
    const struct ref *name;             /* as the user asked for it; NULL: by nothing but its id */
    const char *digest;                 /* what the name stands for: an index, or a manifest */
    const char *manifest;               /* of an index, the manifest that is used; NULL or equal */
    const struct image_signature *sigs; /* whatever was found, by anybody */
    size_t n_sigs;
    const char *none; /* what is said when nothing was found: "it has no signature" */
};

/** True when the entry can only be decided with signatures. */
bool trust_wants_signatures(const struct trust_entry *t);

/**
 * All requirements of the entry are satisfied.
 *
 * used  n_sigs of them; set to true for each signature that satisfied one. May be NULL.
 *
 * Errors: FORBIDDEN, with the image, the entry and what was missing; INTERNAL, a key cannot be
 * read.
 */
int trust_check(const struct trust_policy *p, const struct trust_entry *t,
                const struct trust_subject *s, bool *used, struct err *e);

#endif
