/* Records of json-file logs: what is parsed lies inside the input, and its text is what a writer
 * would have got. */
#include <assert.h>

#include "stdio/jsonlog_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        struct jsonlog_record rec;
        /* copies of the exact size, so that reading behind them is seen */
        char *text = malloc(line.n + 1), *scratch = malloc(line.n + 1);
        assert(text != NULL && scratch != NULL);
        memcpy(text + 1, line.p, line.n);
        if (jsonlog_parse((struct str){text + 1, line.n}, scratch, &rec)) {
            assert(rec.line.n <= line.n && (rec.line.n == 0 || rec.line.p == scratch));
            assert(rec.stream == STDIO_OUT || rec.stream == STDIO_ERR);
            assert(rec.attrs.n == 0 ||
                   (rec.attrs.p > text && rec.attrs.p + rec.attrs.n <= text + 1 + line.n));
        }
        free(text);
        free(scratch);
    }
    return 0;
}
