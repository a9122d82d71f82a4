/**
 * The signature policy: what must be true of an image before it may be pulled or run, by its name.
 *
 * The file has the syntax of containers-policy.json(5), of which we do what is about images of
 * registries and about sigstore's signatures by public key. It is read strictly: a key that is not
 * known makes the file invalid, and a requirement that is known but not done here refuses.
 *
 * Source: containers-policy.json(5).
 */
#ifndef HULL_TRUST_POLICY_H
#define HULL_TRUST_POLICY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "types/reference.h"

enum {
    TRUST_POLICY_MAX = 1 << 20,     /* bytes of the file */
    TRUST_REQUIREMENTS_MAX = 32,    /* of an entry */
    TRUST_KEYS_MAX = 32,            /* of a requirement */
    TRUST_KEY_BYTES_MAX = 64 << 10, /* of a key as PEM */
};

enum trust_kind { TRUST_ACCEPT, TRUST_REJECT, TRUST_SIGNED, TRUST_NOT_DONE };

/* How the name that a signature was made for is compared with the image's. */
enum trust_identity {
    TRUST_ID_REPO_DIGEST_OR_EXACT, /* the default: the same tag; of name@digest, the repository */
    TRUST_ID_EXACT,
    TRUST_ID_REPOSITORY,
    TRUST_ID_EXACT_REFERENCE,  /* value: the name */
    TRUST_ID_EXACT_REPOSITORY, /* value: the repository */
    TRUST_ID_REMAP,            /* prefix becomes value, then as the default */
};

/* One public key: of a file that is read when it is needed, or of the policy itself. */
struct trust_key {
    const char *path; /* NULL: pem is given */
    const char *pem;
};

struct trust_requirement {
    enum trust_kind kind;
    const char *type;     /* as the file says it: "sigstoreSigned" */
    const char *not_done; /* TRUST_NOT_DONE: what we do not know, "fulcio"; NULL: all of it */
    VEC(struct trust_key) keys;
    enum trust_identity identity;
    const char *identity_type, *value, *prefix; /* of signedIdentity */
};

struct trust_entry {
    const char *scope; /* "localhost:5000/app"; "" is of all registries */
    const char *label; /* for messages: docker "localhost:5000/app"; default */
    VEC(struct trust_requirement) requirements;
};

struct trust_policy {
    const char *path;            /* of the file */
    struct trust_entry fallback; /* "default" */
    VEC(struct trust_entry) entries;
};

/** Read a policy; everything in the arena. Errors: INTERNAL, naming the file. */
int trust_policy_read(const char *path, struct arena *a, struct trust_policy *out, struct err *e);

/** The same from n bytes of text. Errors: INVALID, naming the place. */
int trust_policy_parse(const char *text, size_t n, struct arena *a, struct trust_policy *out,
                       struct err *e);

/**
 * The entry for an image: the most specific of its full name, its repository, what that begins
 * with, its registry, "*.domain", "", and the default. name NULL (an image without one): the
 * default. Borrowed from the policy.
 */
const struct trust_entry *trust_policy_find(const struct trust_policy *p, const struct ref *name);

#endif
