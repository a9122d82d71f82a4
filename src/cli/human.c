/* Human-readable numbers, times and texts: see human.h. */
#include "cli/human.h"

#include <math.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "base/time.h"

const char *human_duration(struct arena *a, int64_t ns)
{
    int64_t s = ns / NS_PER_S;
    if (s < 1)
        return "Less than a second";
    if (s == 1)
        return "1 second";
    if (s < 60)
        return arena_printf(a, "%lld seconds", (long long)s);
    int64_t min = s / 60;
    if (min == 1)
        return "About a minute";
    if (min < 60)
        return arena_printf(a, "%lld minutes", (long long)min);
    int64_t h = (s + 1800) / 3600;
    if (h == 1)
        return "About an hour";
    static const struct {
        int64_t below, hours;
        const char *name;
    } units[] = {{48, 1, "hours"},
                 {24 * 14, 24, "days"},
                 {24 * 60, 24 * 7, "weeks"},
                 {24 * 365 * 2, 24 * 30, "months"},
                 {INT64_MAX, 24 * 365, "years"}};
    size_t i = 0;
    while (h >= units[i].below)
        i++;
    return arena_printf(a, "%lld %s", (long long)(h / units[i].hours), units[i].name);
}

static const char *scaled(struct arena *a, double v, double base, int digits,
                          const char *const *units, size_t n)
{
    size_t i = 0;
    while (v >= base && i + 1 < n) {
        v /= base;
        i++;
    }
    return arena_printf(a, "%.*g%s", digits, v, units[i]);
}

const char *human_size(struct arena *a, double bytes, int digits)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
    return scaled(a, bytes, 1000, digits, units, ARRAY_LEN(units));
}

const char *human_bytes(struct arena *a, double bytes)
{
    static const char *const units[] = {"B",   "KiB", "MiB", "GiB", "TiB",
                                        "PiB", "EiB", "ZiB", "YiB"};
    return scaled(a, bytes, 1024, 4, units, ARRAY_LEN(units));
}

const char *short_id(struct arena *a, const char *id, bool no_trunc)
{
    if (no_trunc)
        return id;
    const char *colon = strchr(id, ':');
    const char *hex = colon != NULL ? colon + 1 : id;
    return arena_strndup(a, hex, MIN(strlen(hex), (size_t)12));
}

size_t text_width(const char *s)
{
    size_t n = 0;
    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

const char *ellipsis(struct arena *a, const char *s, size_t n)
{
    if (text_width(s) <= n)
        return s;
    const char *end = s;
    for (size_t i = 0; i + 1 < n; i++)
        do
            end++;
        while (((unsigned char)*end & 0xc0) == 0x80);
    return arena_printf(a, "%.*s\xe2\x80\xa6", (int)(end - s), s);
}

const char *go_quote(struct arena *a, const char *s)
{
    static const char from[] = "\a\b\f\n\r\t\v\\\"", to[] = "abfnrtv\\\"";
    auto_buf struct buf b = BUF_MAX(1 << 20);
    buf_addc(&b, '"');
    for (; *s != '\0'; s++) {
        const char *at = strchr(from, *s);
        if (at != NULL)
            buf_printf(&b, "\\%c", to[at - from]);
        else if ((unsigned char)*s < 0x20 || *s == 0x7f)
            buf_printf(&b, "\\x%02x", (unsigned char)*s);
        else
            buf_addc(&b, *s);
    }
    buf_addc(&b, '"');
    return arena_strdup(a, buf_cstr(&b));
}

const char *local_time(struct arena *a, int64_t ns)
{
    time_t t = (time_t)(ns / NS_PER_S);
    struct tm tm;
    char text[64];
    if (localtime_r(&t, &tm) == NULL || strftime(text, sizeof(text), "%F %T %z %Z", &tm) == 0)
        return "";
    return arena_strdup(a, text);
}

const char *familiar_name(struct arena *a, const char *ref)
{
    static const char *const prefixes[] = {"docker.io/library/", "docker.io/"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (str_starts(str_of(ref), prefixes[i]))
            return arena_strdup(a, ref + strlen(prefixes[i]));
    return ref;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int natural_compare(const char *a, const char *b)
{
    while (*a != '\0' && *b != '\0') {
        if (is_digit(*a) && is_digit(*b)) {
            char *end_a, *end_b;
            unsigned long long x = strtoull(a, &end_a, 10), y = strtoull(b, &end_b, 10);
            if (x != y)
                return x < y ? -1 : 1;
            a = end_a;
            b = end_b;
        } else {
            if (*a != *b)
                return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
            a++;
            b++;
        }
    }
    return (unsigned char)*a - (unsigned char)*b;
}
