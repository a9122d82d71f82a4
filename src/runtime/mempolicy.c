/* The NUMA memory policy: see mempolicy.h. */
#include "runtime/mempolicy.h"

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/bitlist.h"

#ifndef MPOL_WEIGHTED_INTERLEAVE /* Linux 6.9 */
#define MPOL_WEIGHTED_INTERLEAVE 6
#endif

enum nodes_wanted { NODES_ANY, NODES_NONE, NODES_SOME };

struct word {
    const char *name;
    int value;
    enum nodes_wanted wants; /* of modes */
};

static const struct word modes[] = {
    {"MPOL_BIND", MPOL_BIND, NODES_SOME},
    {"MPOL_DEFAULT", MPOL_DEFAULT, NODES_NONE},
    {"MPOL_INTERLEAVE", MPOL_INTERLEAVE, NODES_SOME},
    {"MPOL_LOCAL", MPOL_LOCAL, NODES_NONE},
    {"MPOL_PREFERRED", MPOL_PREFERRED, NODES_ANY},
    {"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY, NODES_SOME},
    {"MPOL_WEIGHTED_INTERLEAVE", MPOL_WEIGHTED_INTERLEAVE, NODES_SOME},
};

static const struct word flags[] = {
    {"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING, NODES_ANY},
    {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES, NODES_ANY},
    {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES, NODES_ANY},
};

static size_t words(const struct word *table, size_t n, const char **out, size_t max)
{
    for (size_t i = 0; i < n && i < max; i++)
        out[i] = table[i].name;
    return MIN(n, max);
}

size_t mempolicy_modes(const char **out, size_t max)
{
    return words(modes, ARRAY_LEN(modes), out, max);
}

size_t mempolicy_flags(const char **out, size_t max)
{
    return words(flags, ARRAY_LEN(flags), out, max);
}

static const struct word *find(const struct word *table, size_t n, const char *what,
                               const char *name, struct err *e)
{
    if (name == NULL)
        name = "";
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    (void)err_set(e, ERR_INVALID, "invalid memory policy %s \"%s\"", what, name);
    return NULL;
}

static int check_count(const struct mempolicy *p, enum nodes_wanted wants, struct err *e)
{
    int n = 0;
    for (size_t i = 0; i < ARRAY_LEN(p->nodes); i++)
        n += __builtin_popcountl(p->nodes[i]);
    if (wants == NODES_NONE && n > 0)
        return err_set(e, ERR_INVALID, "memory policy mode requires 0 nodes but got %d", n);
    if (wants == NODES_SOME && n == 0)
        return err_set(e, ERR_INVALID, "memory policy mode requires at least one node but got 0");
    return 0;
}

int mempolicy_parse(const struct oci_memory_policy *p, struct mempolicy *out, struct err *e)
{
    *out = (struct mempolicy){0};
    const struct word *mode = find(modes, ARRAY_LEN(modes), "mode", p->mode, e);
    if (mode == NULL)
        return -1;
    out->mode = mode->value;
    for (size_t i = 0; i < p->flags.n; i++) {
        const struct word *flag = find(flags, ARRAY_LEN(flags), "flag", p->flags.v[i], e);
        if (flag == NULL)
            return -1;
        out->mode |= flag->value;
    }
    if (bitlist_parse(p->nodes, out->nodes, MEMPOLICY_NODES_MAX, e) < 0)
        return err_wrap(e, "invalid memory policy nodes \"%s\"", p->nodes);
    return check_count(out, mode->wants, e);
}

int mempolicy_apply(const struct mempolicy *p, struct err *e)
{
    /* the kernel reads one bit less than it is told */
    if (syscall(SYS_set_mempolicy, p->mode, p->nodes, (unsigned long)MEMPOLICY_NODES_MAX + 1) < 0)
        return err_sys(e, "set_mempolicy");
    return 0;
}
