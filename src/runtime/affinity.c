/* On which CPUs a process may run: see affinity.h. */
#include "runtime/affinity.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "runtime/bitlist.h"

#define WORD_BITS (8 * sizeof(unsigned long))

int affinity_parse(const char *list, struct affinity *out, struct err *e)
{
    memset(out, 0, sizeof(*out));
    if (bitlist_parse(list, out->mask, AFFINITY_CPUS, e) < 0)
        return err_wrap(e, "invalid CPU list \"%s\"", list);
    for (size_t i = 0; i < ARRAY_LEN(out->mask); i++)
        out->set |= out->mask[i] != 0;
    return 0;
}

int affinity_apply(const struct affinity *a, struct err *e)
{
    unsigned long all[ARRAY_LEN(a->mask)];
    if (!a->set)
        memset(all, 0xff, sizeof(all));
    if (syscall(SYS_sched_setaffinity, 0, sizeof(a->mask), a->set ? a->mask : all) == 0 || !a->set)
        return 0; /* a seccomp filter above us may refuse: then we stay where the caller was */
    return err_sys(e, "set the CPU affinity");
}

const char *affinity_text(const struct affinity *a, struct arena *arena)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(AFFINITY_CPUS / 4 + 3);
    buf_adds(&text, "0x");
    for (size_t i = ARRAY_LEN(a->mask); i-- > 0;)
        if (text.n > 2)
            buf_printf(&text, "%0*lx", (int)WORD_BITS / 4, a->mask[i]);
        else if (a->mask[i] != 0 || i == 0)
            buf_printf(&text, "%lx", a->mask[i]);
    return arena_strdup(arena, buf_cstr(&text));
}
