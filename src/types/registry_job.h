/**
 * The jobs of hull-registry: single questions to a registry, and their answers. The job travels as
 * JSON in a memfd (sys/job.h).
 *
 *   op       asks                                       answer (registry_answer)
 *   login    whether the credentials are good           token
 *   inspect  what the reference stands for              descriptor, platforms
 *   tags     the tags of the reference's repository     tags
 *   search   an index for images                        results
 *   signatures  what the reference stands for, and who  descriptor, manifest, signatures
 *            has signed that
 */
#ifndef HULL_TYPES_REGISTRY_JOB_H
#define HULL_TYPES_REGISTRY_JOB_H

#include "types/oci_descriptor.h"
#include "types/signature.h"

/* How registries are talked to, in transfers and in questions. 0 and absent: the default. */
#define REGISTRY_SETTINGS(T, F)                                    \
    F(T, i64, downloads, "maxConcurrentDownloads", JSON_OMITEMPTY) \
    F(T, i64, uploads, "maxConcurrentUploads", JSON_OMITEMPTY)     \
    F(T, i64, attempts, "maxDownloadAttempts", JSON_OMITEMPTY)     \
    F(T, str, http_proxy, "httpProxy", JSON_OMITEMPTY)             \
    F(T, str, https_proxy, "httpsProxy", JSON_OMITEMPTY)           \
    F(T, str, no_proxy, "noProxy", JSON_OMITEMPTY)
JSON_TYPE(registry_settings, REGISTRY_SETTINGS)

/** The URL of a proxy as all may see it: user and password as "xxxxx:xxxxx". NULL for NULL. */
const char *registry_proxy_shown(const char *url, struct arena *a);

/* Metadata of a transfer that carries them from hulld to hull-containerd, as JSON. */
#define REGISTRY_SETTINGS_KEY "hull-registry-settings"

/* reference: complete; for login the registry's domain alone. host_dir: see registry/registry.h. */
#define REGISTRY_JOB(T, F)                                           \
    F(T, str, op, "op", 0)                                           \
    F(T, str, reference, "reference", JSON_OMITEMPTY)                \
    F(T, str, host_dir, "hostDir", JSON_OMITEMPTY)                   \
    F(T, str, username, "username", JSON_OMITEMPTY)                  \
    F(T, str, password, "password", JSON_OMITEMPTY)                  \
    F(T, str, identity_token, "identityToken", JSON_OMITEMPTY)       \
    F(T, str, registry_token, "registryToken", JSON_OMITEMPTY)       \
    F(T, str, term, "term", JSON_OMITEMPTY) /* search: the words */  \
    F(T, i64, limit, "limit", JSON_OMITEMPTY)                        \
    F(T, str, platform, "platform", JSON_OMITEMPTY) /* signatures */ \
    F(T, obj, settings, "settings", JSON_OMITEMPTY, registry_settings)
JSON_TYPE(registry_job, REGISTRY_JOB)

/* One item of GET /images/search, and of an index's own answer. */
#define SEARCH_RESULT(T, F)                     \
    F(T, i64, star_count, "star_count", 0)      \
    F(T, bool, is_official, "is_official", 0)   \
    F(T, str, name, "name", 0)                  \
    F(T, bool, is_automated, "is_automated", 0) \
    F(T, str, description, "description", 0)
JSON_TYPE(search_result, SEARCH_RESULT)

#define REGISTRY_ANSWER(T, F)                                           \
    F(T, str, token, "token", JSON_OMITEMPTY)                           \
    F(T, obj, descriptor, "descriptor", JSON_OMITEMPTY, oci_descriptor) \
    F(T, list, platforms, "platforms", JSON_OMITEMPTY, oci_platform)    \
    F(T, strv, tags, "tags", JSON_OMITEMPTY)                            \
    F(T, list, results, "results", JSON_OMITEMPTY, search_result)       \
    F(T, str, manifest, "manifest", JSON_OMITEMPTY)                     \
    F(T, list, signatures, "signatures", JSON_OMITEMPTY, image_signature)
JSON_TYPE(registry_answer, REGISTRY_ANSWER)

#endif
