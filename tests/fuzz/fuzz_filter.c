/* Filters: any text parses or is refused, and what parses can be matched. */
#include <assert.h>

#include "store/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *field(const void *obj, const char *const *path, size_t n)
{
    (void)obj;
    return n == 1 && strcmp(path[0], "name") == 0 ? "some/name" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct filters *f = NULL;
    struct err e = {0};
    char *text = malloc(size + 1);
    assert(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    if (filters_parse(&(struct strv){.v = &text, .n = 1}, &f, &e) == 0)
        (void)filters_match(f, field, NULL);
    else
        assert(e.kind == ERR_INVALID && e.msg[0] != 0);
    filters_free(f);
    free(text);
    return 0;
}
