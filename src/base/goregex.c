/* Go's regular expressions: see goregex.h. */
#include "base/goregex.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { MAX_REPEATS = 2, MAX_REPEAT = 100 }; /* {n,m} in one expression, and their n and m */

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Go's syntax in POSIX' words. NULL, and regcomp's code for it, when there are none. */
static char *translate(const char *go, int *why)
{
    static const struct {
        char c;
        const char *outside, *inside;
    } classes[] = {{'d', "[0-9]", "0-9"},
                   {'D', "[^0-9]", NULL},
                   {'w', "[0-9A-Za-z_]", "0-9A-Za-z_"},
                   {'W', "[^0-9A-Za-z_]", NULL},
                   {'s', "[[:space:]]", "[:space:]"},
                   {'S', "[^[:space:]]", NULL},
                   {'b', "\\b", NULL},
                   {'z', "$", NULL},
                   {'A', "^", NULL}};
    struct buf b = BUF_MAX(32768);
    bool in_set = false, fine = true;
    int repeats = 0;
    for (const char *p = go; *p != 0 && fine; p++) {
        if (*p == '\\' && p[1] != 0) {
            p++;
            size_t i = 0;
            while (i < ARRAY_LEN(classes) && classes[i].c != *p)
                i++;
            if (i < ARRAY_LEN(classes)) {
                const char *to = in_set ? classes[i].inside : classes[i].outside;
                fine = to != NULL;
                buf_adds(&b, fine ? to : "");
            } else if (is_word_char(*p)) {
                fine = false; /* \pN, \Q, back-references */
            } else if (in_set) {
                buf_addc(&b, *p);
            } else {
                buf_printf(&b, "\\%c", *p);
            }
        } else if (!in_set && strncmp(p, "(?:", 3) == 0) {
            buf_addc(&b, '(');
            p += 2;
        } else if (!in_set && strncmp(p, "(?", 2) == 0) {
            fine = false;
        } else if (!in_set && strchr("*+?}", *p) != NULL && p[1] == '?') {
            buf_addc(&b, *p++); /* matching does not care about greed */
        } else if (!in_set && *p == '{' &&
                   (++repeats > MAX_REPEATS || strtoul(p + 1, NULL, 10) > MAX_REPEAT)) {
            fine = false; /* regcomp writes repetitions out: they multiply */
        } else if (!in_set && *p == ',' && repeats > 0 && strtoul(p + 1, NULL, 10) > MAX_REPEAT) {
            fine = false;
        } else {
            in_set = *p == '[' ? true : *p == ']' ? false : in_set;
            buf_addc(&b, *p);
        }
    }
    if (fine && !b.over && !in_set)
        return buf_take(&b);
    buf_done(&b);
    *why = in_set ? REG_EBRACK : REG_BADPAT;
    return NULL;
}

int go_regex_compile(const char *pattern, regex_t *out, struct err *e)
{
    static const struct {
        int code;
        const char *text;
    } words[] = {{REG_EPAREN, "missing closing )"},
                 {REG_EBRACK, "missing closing ]"},
                 {REG_BADRPT, "missing argument to repetition operator"},
                 {REG_EBRACE, "missing closing }"},
                 {REG_ERANGE, "invalid character class range"}};
    int code = 0;
    auto_free char *posix = translate(pattern, &code);
    if (posix != NULL)
        code = regcomp(out, posix, REG_EXTENDED | REG_NOSUB);
    size_t i = 0;
    if (code == 0)
        return 0;
    while (i < ARRAY_LEN(words) && words[i].code != code)
        i++;
    return err_set(e, ERR_INVALID, "error parsing regexp: %s: `%s`",
                   i < ARRAY_LEN(words) ? words[i].text : "invalid or unsupported syntax", pattern);
}
