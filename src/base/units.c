/* Words for values: see units.h. */
#include "base/units.h"

#include <stdlib.h>
#include <string.h>

static bool parse(const char *s, unsigned base, int64_t *out)
{
    static const char units[] = "bkmgtp";
    char *end;
    if (*s < '0' || *s > '9')
        return false;
    double v = strtod(s, &end);
    while (*end == ' ')
        end++;
    if (*end != '\0') {
        const char *unit = strchr(units, *end | 32);
        if (unit == NULL)
            return false;
        for (const char *u = units; u < unit; u++)
            v *= base;
        end++;
        if (unit != units && (*end | 32) == 'i')
            end++;
        if (unit != units && (*end | 32) == 'b')
            end++;
    }
    if (*end != '\0' || v > 9e18)
        return false;
    *out = (int64_t)v;
    return true;
}

bool bytes_parse(const char *s, int64_t *out)
{
    return parse(s, 1024, out);
}

bool bytes_parse_decimal(const char *s, int64_t *out)
{
    return parse(s, 1000, out);
}

bool bool_parse(const char *s, bool *out)
{
    static const char *const words[] = {"true",  "1", "t", "T", "TRUE",  "True",
                                        "false", "0", "f", "F", "FALSE", "False"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(s, words[i]) == 0) {
            *out = i < 6;
            return true;
        }
    return false;
}
