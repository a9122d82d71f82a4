/* References: what parses is printed in a form that parses to the same again. */
#include <assert.h>

#include "types/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ref r, again;
    struct err e = {0};
    char full[REF_TEXT_MAX], short_text[REF_TEXT_MAX], *text = malloc(size + 1);
    assert(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    if (ref_parse(text, &r, &e) == 0) {
        ref_format(&r, full);
        assert(ref_parse_full(full, &again, &e) == 0 && memcmp(&r, &again, sizeof(r)) == 0);
        ref_familiar(&r, short_text);
        assert(ref_parse(short_text, &again, &e) == 0);
        assert(strcmp(r.domain, again.domain) == 0 && strcmp(r.path, again.path) == 0);
    } else {
        assert(e.kind == ERR_INVALID && e.msg[0] != 0);
    }
    free(text);
    return 0;
}
