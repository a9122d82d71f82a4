/* An answer of criu: whatever comes, its texts are parts of it. */
#include <stddef.h>
#include <stdint.h>

#include "runtime/criu_rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct str s, const uint8_t *data, size_t size)
{
    const uint8_t *p = (const uint8_t *)s.p;
    return s.n == 0 || (p >= data && s.n <= size && p + s.n <= data + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct criu_answer a;
    struct err e = {0};
    if (criu_answer_read(data, size, &a, &e) < 0)
        return 0;
    if (!within(a.message, data, size) || !within(a.script, data, size) || a.version < 0)
        __builtin_trap();
    return 0;
}
