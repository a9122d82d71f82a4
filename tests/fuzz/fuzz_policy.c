/* Signature policies: what parses has an entry for every image, and never accepts one that must be
 * signed and is not. */
#include <assert.h>

#include "trust/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"busybox:1",
                                        "localhost:5000/team/app:1@sha256:"
                                        "1111111111111111111111111111111111111111111111111111111111"
                                        "111111",
                                        "a.b.example.com/x"};
    struct arena *a = arena_new();
    struct trust_policy p;
    struct err e = {0};
    if (trust_policy_parse((const char *)data, size, a, &p, &e) == 0) {
        p.path = "policy";
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            struct ref name;
            assert(ref_parse(names[i], &name, &e) == 0);
            const struct trust_entry *t = trust_policy_find(&p, &name);
            const struct trust_subject s = {.name = &name, .digest = "", .none = "none"};
            bool accepted = trust_check(&p, t, &s, NULL, &e) == 0, free_for_all = true;
            vec_each(q, &t->requirements)
                free_for_all = free_for_all && q->kind == TRUST_ACCEPT;
            assert(accepted == free_for_all);
        }
    } else {
        assert(e.kind != ERR_NONE && e.msg[0] != 0);
    }
    arena_free(a);
    return 0;
}
