/* config.json: parsed, checked, and planned for both kinds of cgroups; nothing is done. */
#include <stddef.h>
#include <stdint.h>

#include "runtime/devices.h"
#include "runtime/limits.h"
#include "runtime/seccomp.h"
#include "runtime/spec.h"
#include "sys/mounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seccomp_program program;
    auto_arena struct arena *a = arena_new();
    struct err e = {0};
    struct oci_spec s;
    struct limits l;
    struct device_policy p;
    struct mount_options o;
    if (spec_parse((const char *)data, size, a, &s, &e) < 0 || spec_check(&s, &e) < 0)
        return 0;
    (void)limits_plan(s.linux_->resources, CGROUP_V2, a, &l, &e);
    (void)limits_plan(s.linux_->resources, CGROUP_HYBRID, a, &l, &e);
    (void)devices_policy(&s, a, &p, &e);
    vec_each(m, &s.mounts)
        (void)mount_options_parse(&m->options, a, &o, &e);
    if (s.linux_->seccomp != NULL && seccomp_check(s.linux_->seccomp, &e) == 0)
        (void)seccomp_build(s.linux_->seccomp, &program, &e);
    return 0;
}
