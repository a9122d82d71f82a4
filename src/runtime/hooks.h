/**
 * Hooks: programs of config.json that run at fixed points, with the container's state on stdin.
 */
#ifndef HULL_RUNTIME_HOOKS_H
#define HULL_RUNTIME_HOOKS_H

#include "runtime/record.h"

struct hook_list { /* the type of each list in struct oci_hooks */
    const struct oci_hook *v;
    size_t n;
    char **envp; /* for a hook that names none; NULL: empty */
};
#define HOOK_LIST(list) ((struct hook_list){(list)->v, (list)->n, NULL})

/**
 * Run hooks one after the other; the first that fails ends it. kind: "prestart" ... for the error:
 * "error running prestart hook #0: exit status 1, stdout: ..., stderr: ...".
 *
 * dir  working directory, or NULL for ours.
 */
int hooks_run(const char *kind, struct hook_list hooks, const struct record *r, const char *status,
              pid_t pid, const char *dir, struct err *e);

#endif
