/* Field masks: see mask.h. */
#include "store/mask.h"

bool mask_has(const struct strv *mask, const char *field)
{
    return mask == NULL || mask->n == 0 || strv_has(mask, field);
}

/* A path "field.KEY": KEY, or NULL. */
static const char *key_of(const char *path, const char *field)
{
    size_t n = strlen(field);
    return strncmp(path, field, n) == 0 && path[n] == '.' ? path + n + 1 : NULL;
}

static void set_or_drop(struct strmap *m, struct arena *a, const char *key, const char *val)
{
    if (val != NULL && val[0] != 0) {
        strmap_set(m, a, key, val);
        return;
    }
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->v[i].key, key) == 0) {
            vec_remove(m, i);
            return;
        }
    }
}

void mask_map(const struct strv *mask, const char *field, const struct strmap *given,
              struct strmap *io, struct arena *a)
{
    struct strmap next = {0};
    bool whole = mask_has(mask, field);
    const struct strmap *from = whole ? given : io;
    for (size_t i = 0; i < from->n; i++)
        strmap_set(&next, a, from->v[i].key, from->v[i].val);
    for (size_t i = 0; mask != NULL && !whole && i < mask->n; i++) {
        const char *key = key_of(mask->v[i], field);
        if (key != NULL)
            set_or_drop(&next, a, key, strmap_get(given, key));
    }
    *io = next;
}

static bool path_known(const char *path, const char *const *fields)
{
    for (; *fields != NULL; fields++) {
        size_t n = strlen(*fields);
        bool is_map = (*fields)[n - 1] == '.';
        if (strcmp(path, *fields) == 0)
            return !is_map;
        if (is_map && strncmp(path, *fields, n - 1) == 0 &&
            (path[n - 1] == '.' || path[n - 1] == 0))
            return true;
    }
    return false;
}

int mask_check(const struct strv *mask, const char *const *fields, const char *what, struct err *e)
{
    for (size_t i = 0; mask != NULL && i < mask->n; i++)
        if (!path_known(mask->v[i], fields))
            return err_set(e, ERR_INVALID, "cannot update \"%.200s\" field on %s: invalid argument",
                           mask->v[i], what);
    return 0;
}
