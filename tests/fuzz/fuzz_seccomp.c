/* A seccomp profile: parsed, checked, built; what was built must be a program the kernel can take.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "runtime/seccomp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seccomp_program program;
    auto_arena struct arena *a = arena_new();
    struct err e = {0};
    struct oci_seccomp s;
    if (json_parse(&oci_seccomp_json, &s, (const char *)data, size, a, &e) < 0 ||
        seccomp_check(&s, &e) < 0)
        return 0;
    if (seccomp_build(&s, &program, &e) < 0)
        return 0;
    if (program.n == 0 || program.n > SECCOMP_INSNS_MAX ||
        BPF_CLASS(program.code[program.n - 1].code) != BPF_RET)
        __builtin_trap();
    return 0;
}
