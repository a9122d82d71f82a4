/**
 * Image references: "busybox", "localhost:5000/team/app:1.2@sha256:…". One value holds all parts;
 * no heap, so it can be copied and kept.
 *
 * Source: distribution's reference grammar (domain, path, tag, digest) and Docker's familiar names.
 */
#ifndef HULL_TYPES_REFERENCE_H
#define HULL_TYPES_REFERENCE_H

#include "base/defs.h"
#include "base/err.h"
#include "base/str.h"

enum { REF_NAME_MAX = 255, REF_TAG_MAX = 128, DIGEST_TEXT_MAX = 160, REF_TEXT_MAX = 560 };

/* Parts that are absent are "". domain and path are never empty after a successful parse. */
struct ref {
    char domain[REF_NAME_MAX + 1]; /* "docker.io", "localhost:5000" */
    char path[REF_NAME_MAX + 1];   /* "library/busybox" */
    char tag[REF_TAG_MAX + 1];     /* "latest" */
    char digest[DIGEST_TEXT_MAX];  /* "sha256:…" */
};

/**
 * Read what a user types: "busybox" becomes docker.io/library/busybox. No tag is added; see
 * ref_default_tag.
 *
 * Errors: INVALID in Docker's words ("invalid reference format", "invalid reference format:
 * repository name (library/Foo) must be lowercase", …).
 */
int ref_parse(const char *text, struct ref *out, struct err *e);

/** As ref_parse, but text must already be complete ("docker.io/library/busybox:latest"), as
 * containerd's image names are: nothing is filled in. */
int ref_parse_full(const char *text, struct ref *out, struct err *e);

/** Add the tag "latest" when there is neither tag nor digest. */
void ref_default_tag(struct ref *r);

/** The complete text "docker.io/library/busybox:latest@sha256:…". */
void ref_format(const struct ref *r, char out[static REF_TEXT_MAX]);

/** What users see: "busybox:latest". */
void ref_familiar(const struct ref *r, char out[static REF_TEXT_MAX]);

/** The familiar name without tag and digest: "busybox", "localhost:5000/app". */
void ref_familiar_name(const struct ref *r, char out[static REF_TEXT_MAX]);

/** How many bytes of a familiar name are its host: 14 of "localhost:5000/x", 0 of "library/x" and
 * of "x". */
size_t ref_host_len(const char *text);

/** True for "localhost", 127.0.0.0/8 and ::1, with or without a port: a registry there may do
 * without TLS. */
bool ref_domain_is_loopback(const char *domain);

/** True for "algorithm:hex" of a known algorithm (sha256, sha384, sha512) with the right length. */
bool digest_valid(const char *text);

/** True for "sha256:" and 64 lower-case hex digits: the only kind that the store keeps. */
bool digest_is_sha256(const char *text);

/** The hex part of a digest ("" when there is no colon). Borrowed. */
const char *digest_hex(const char *digest);

#endif
