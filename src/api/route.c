/* Matching paths against patterns, and the version in front of them. */
#include "api/route.h"

#include <limits.h>

/* The end of a variable that starts at p: one part, or (many) everything before the tail. */
static const char *var_end(const char *p, bool many, const char *tail)
{
    if (!many)
        return p + strcspn(p, "/");
    size_t n = strlen(p), t = strlen(tail);
    return n >= t && strcmp(p + n - t, tail) == 0 ? p + n - t : NULL;
}

/* The pattern's literal parts are compared, its variables cut out. */
static bool match(const char *pattern, const char *path, struct arena *a, const char **vars)
{
    size_t n = 0;
    while (*pattern != '\0') {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        const char *close = strchr(pattern, '}');
        const char *end = var_end(path, close[-1] == '*', close + 1);
        if (end == NULL || end == path || n == REQ_VARS_MAX)
            return false;
        vars[n++] = arena_strndup(a, path, (size_t)(end - path));
        path = end;
        pattern = close + 1;
    }
    return *path == '\0';
}

const struct route *route_find(const char *method, const char *path, struct arena *a,
                               const char *out_vars[static REQ_VARS_MAX])
{
    for (size_t i = 0; i < api_n_routes; i++)
        if (strcmp(api_routes[i].method, method) == 0 &&
            match(api_routes[i].pattern, path, a, out_vars))
            return &api_routes[i];
    return NULL;
}

const char *route_version(const char *path, int *out_minor)
{
    *out_minor = -1;
    if (strncmp(path, "/v", 2) != 0)
        return path;
    size_t n = strspn(path + 2, "0123456789.");
    if (n == 0 || path[2 + n] != '/')
        return path;
    struct str minor = {path + 2, n}, major = str_cut(&minor, '.');
    uint64_t ma, mi = 0;
    bool known =
        str_to_u64(major, 0, INT_MAX, &ma) && (minor.n == 0 || str_to_u64(minor, 0, INT_MAX, &mi));
    *out_minor = !known || ma > 1 ? INT_MAX : ma < 1 ? 0 : (int)mi;
    return path + 2 + n;
}
