/* resolv.conf of a host: whatever it holds, what a container gets is made of known lines. */
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "net/resolv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = BUF_MAX(4 * RESOLV_TEXT_MAX);
    struct resolv_opts o = {.ipv6 = size > 0 && (data[0] & 1),
                            .internal = size > 0 && (data[0] & 2)};
    struct str text;

    if (size > RESOLV_TEXT_MAX)
        return 0;
    resolv_write((const char *)data, size, &o, &out);
    text = str_of(buf_cstr(&out));
    while (text.n > 0) {
        struct str line = str_cut(&text, '\n');
        if (!str_starts(line, "nameserver ") && !str_starts(line, "search ") &&
            !str_starts(line, "options "))
            __builtin_trap();
    }
    buf_done(&out);
    return 0;
}
