/** The user a container's process runs as: "name", "uid", "user:group", looked up in the files of
 * the image. */
#ifndef HULL_ENGINE_USER_H
#define HULL_ENGINE_USER_H

#include "base/str.h"
#include "types/oci_runtime.h"

/**
 * Resolve a user.
 *
 * user     as in Config.User; "" is root.
 * passwd, group  contents of the image's files; empty when absent.
 * extra    --group-add: names or numbers.
 * out      uid, gid and additional groups in the arena. out_home: home directory or NULL.
 *
 * Errors: INVALID "unable to find user x: no matching entries in passwd file",
 * "unable to find group x: no matching entries in group file".
 */
int user_resolve(const char *user, struct str passwd, struct str group, const struct strv *extra,
                 struct arena *a, struct oci_user *out, const char **out_home, struct err *e);

#endif
