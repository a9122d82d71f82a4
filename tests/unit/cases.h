/** Cases as data: lines "input => expected" with C escapes in the input; '#' begins a comment. */
#ifndef HULL_TESTS_UNIT_CASES_H
#define HULL_TESTS_UNIT_CASES_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"

/** Replace \r \n \t \0 \\ \" and \xHH in place; returns the length. */
static inline size_t unescape(char *s)
{
    static const char from[] = "rnt0\\\"", to[] = "\r\n\t\0\\\"";
    size_t n = 0;
    for (char *p = s; *p != '\0'; p++) {
        if (p[0] == '\\' && p[1] == 'x') {
            char hex[3] = {p[2], p[3], '\0'};
            s[n++] = (char)strtoul(hex, NULL, 16);
            p += 3;
        } else if (p[0] == '\\') {
            const char *at = strchr(from, *++p);
            s[n++] = at != NULL ? to[at - from] : *p;
        } else {
            s[n++] = *p;
        }
    }
    s[n] = '\0';
    return n;
}

/** Call fn for each case of tests/cases/<name>; returns how many there were. */
static inline int each_case(const char *name, void (*fn)(char *input, const char *want))
{
    auto_free char *path = mem_printf("%s/tests/cases/%s", getenv("HULL_SOURCE_DIR"), name);
    FILE *f = fopen(path, "re");
    char line[2048];
    int n = 0;
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        char *sep = strstr(line, " => ");
        if (line[0] == '#' || sep == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        *sep = '\0';
        fn(line, sep + 4);
        n++;
    }
    if (f != NULL)
        fclose(f);
    return n;
}

#endif
