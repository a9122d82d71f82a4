/* Times as Go writes and reads them: see time.h. */
#include "base/time.h"

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts); /* cannot fail for these clocks */
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t time_now_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int64_t time_mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* The date and time up to the seconds; the nanoseconds are returned. */
static long format_seconds(int64_t ns, char out[static TIME_TEXT_MAX])
{
    int64_t sec = ns / NS_PER_S;
    int64_t frac = ns % NS_PER_S;
    if (frac < 0) {
        frac += NS_PER_S;
        sec--;
    }
    time_t t = (time_t)sec;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL)
        memset(&tm, 0, sizeof(tm));
    (void)snprintf(out, TIME_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u",
                   (unsigned)(tm.tm_year + 1900) % 10000U, (unsigned)(tm.tm_mon + 1) % 100U,
                   (unsigned)tm.tm_mday % 100U, (unsigned)tm.tm_hour % 100U,
                   (unsigned)tm.tm_min % 100U, (unsigned)tm.tm_sec % 100U);
    return (long)frac;
}

void time_format_fixed(int64_t ns, char out[static TIME_TEXT_MAX])
{
    long frac = format_seconds(ns, out);
    size_t n = strlen(out);
    (void)snprintf(out + n, TIME_TEXT_MAX - n, ".%09ldZ", frac);
}

void time_format(int64_t ns, char out[static TIME_TEXT_MAX])
{
    if (ns == 0) {
        (void)snprintf(out, TIME_TEXT_MAX, "0001-01-01T00:00:00Z");
        return;
    }
    long frac = format_seconds(ns, out);
    size_t n = strlen(out);
    if (frac != 0) {
        n += (size_t)snprintf(out + n, TIME_TEXT_MAX - n, ".%09ld", frac);
        while (out[n - 1] == '0')
            n--;
    }
    (void)snprintf(out + n, TIME_TEXT_MAX - n, "Z");
}

/* Take exactly `digits` decimal digits off the front. */
static bool take_number(struct str *s, size_t digits, int64_t min, int64_t max, int64_t *out)
{
    uint64_t v;
    if (s->n < digits || !str_to_u64((struct str){s->p, digits}, (uint64_t)min, (uint64_t)max, &v))
        return false;
    *out = (int64_t)v;
    s->p += digits;
    s->n -= digits;
    return true;
}

static bool take_char(struct str *s, const char *any)
{
    if (s->n == 0 || strchr(any, s->p[0]) == NULL)
        return false;
    s->p++;
    s->n--;
    return true;
}

/* A fraction of a unit: the digits after the dot, worth `unit` nanoseconds for 1. */
static int64_t take_fraction(struct str *s, int64_t unit)
{
    int64_t value = 0;
    while (s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9') {
        unit /= 10;
        value += (s->p[0] - '0') * unit;
        s->p++;
        s->n--;
    }
    return value;
}

static bool take_offset(struct str *s, int64_t *out_sec)
{
    *out_sec = 0;
    if (take_char(s, "Zz"))
        return s->n == 0;
    int64_t sign = s->n > 0 && s->p[0] == '-' ? -1 : 1, h, m;
    if (!take_char(s, "+-") || !take_number(s, 2, 0, 23, &h) || !take_char(s, ":") ||
        !take_number(s, 2, 0, 59, &m))
        return false;
    *out_sec = sign * (h * 3600 + m * 60);
    return s->n == 0;
}

bool time_parse(struct str s, int64_t *out_ns)
{
    int64_t year, mon, day, hour, min, sec, frac = 0, offset;
    if (!take_number(&s, 4, 1, 9999, &year) || !take_char(&s, "-") ||
        !take_number(&s, 2, 1, 12, &mon) || !take_char(&s, "-") ||
        !take_number(&s, 2, 1, 31, &day) || !take_char(&s, "Tt ") ||
        !take_number(&s, 2, 0, 23, &hour) || !take_char(&s, ":") ||
        !take_number(&s, 2, 0, 59, &min) || !take_char(&s, ":") || !take_number(&s, 2, 0, 60, &sec))
        return false;
    if (take_char(&s, "."))
        frac = take_fraction(&s, NS_PER_S);
    if (!take_offset(&s, &offset))
        return false;
    if (year == 1) {
        *out_ns = 0;
        return true;
    }
    struct tm tm = {.tm_year = (int)year - 1900,
                    .tm_mon = (int)mon - 1,
                    .tm_mday = (int)day,
                    .tm_hour = (int)hour,
                    .tm_min = (int)min,
                    .tm_sec = (int)sec};
    int64_t t = (int64_t)timegm(&tm) - offset, ns;
    if (tm.tm_mday != (int)day || __builtin_mul_overflow(t, NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, frac, &ns))
        return false;
    *out_ns = ns;
    return true;
}

bool time_parse_unix_or_rfc3339(struct str s, int64_t *out_ns)
{
    struct str rest = s;
    struct str whole = str_cut(&rest, '.');
    int64_t sec;
    if (!str_to_i64(whole, 0, INT64_MAX / NS_PER_S - 1, &sec))
        return time_parse(s, out_ns);
    int64_t frac = take_fraction(&rest, NS_PER_S);
    if (rest.n > 0)
        return false;
    *out_ns = sec * NS_PER_S + frac;
    return true;
}

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"ns", 1},         {"us", 1000},    {"\xc2\xb5s", 1000},  {"\xce\xbcs", 1000},
    {"ms", NS_PER_MS}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S},
};

static bool take_unit(struct str *s, int64_t *out_ns)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != '.' && (s->p[n] < '0' || s->p[n] > '9'))
        n++;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (str_eq((struct str){s->p, n}, units[i].name)) {
            *out_ns = units[i].ns;
            s->p += n;
            s->n -= n;
            return true;
        }
    return false;
}

bool dur_parse(struct str s, int64_t *out_ns)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    (void)take_char(&s, "+-");
    if (str_eq(s, "0")) {
        *out_ns = 0;
        return true;
    }
    if (s.n == 0)
        return false;
    int64_t total = 0;
    while (s.n > 0) {
        size_t n = 0;
        while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
            n++;
        uint64_t whole = 0;
        if (n > 0 && !str_to_u64((struct str){s.p, n}, 0, INT64_MAX, &whole))
            return false;
        s.p += n;
        s.n -= n;
        struct str digits = {s.p, 0};
        if (take_char(&s, ".")) {
            digits.p = s.p;
            while (s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9') {
                s.p++;
                s.n--;
            }
            digits.n = (size_t)(s.p - digits.p);
        }
        int64_t unit, part;
        if ((n == 0 && digits.n == 0) || !take_unit(&s, &unit) ||
            __builtin_mul_overflow((int64_t)whole, unit, &part) ||
            __builtin_add_overflow(total, part, &total) ||
            __builtin_add_overflow(total, take_fraction(&digits, unit), &total))
            return false;
    }
    *out_ns = negative ? -total : total;
    return true;
}

/* "1.5s": value in units of `unit` with the fraction that is there, trailing zeros left out. */
static void add_decimal(char *out, size_t size, int64_t ns, int64_t unit, const char *name)
{
    char frac[16];
    size_t n = 0;
    for (int64_t rest = ns % unit, u = unit / 10; u > 0; u /= 10) {
        frac[n++] = (char)('0' + rest / u);
        rest %= u;
    }
    while (n > 0 && frac[n - 1] == '0')
        n--;
    (void)snprintf(out, size, "%lld%s%.*s%s", (long long)(ns / unit), n > 0 ? "." : "", (int)n,
                   frac, name);
}

void dur_format(int64_t ns, char out[static TIME_TEXT_MAX])
{
    size_t n = 0;
    if (ns == 0) {
        (void)snprintf(out, TIME_TEXT_MAX, "0s");
        return;
    }
    if (ns < 0) {
        out[n++] = '-';
        ns = ns == INT64_MIN ? INT64_MAX : -ns;
    }
    if (ns < NS_PER_S) {
        size_t i = ns < 1000 ? 0 : ns < NS_PER_MS ? 2 : 4;
        add_decimal(out + n, TIME_TEXT_MAX - n, ns, units[i].ns, units[i].name);
        return;
    }
    int64_t h = ns / (3600 * NS_PER_S), m = ns / (60 * NS_PER_S) % 60;
    if (h > 0)
        n += (size_t)snprintf(out + n, TIME_TEXT_MAX - n, "%lldh", (long long)h);
    if (h > 0 || m > 0)
        n += (size_t)snprintf(out + n, TIME_TEXT_MAX - n, "%lldm", (long long)m);
    add_decimal(out + n, TIME_TEXT_MAX - n, ns % (60 * NS_PER_S), NS_PER_S, "s");
}
