/*
 * Limits, devices and annotations as properties of a systemd unit: see unit.h. Source:
 * systemd.resource-control(5), org.freedesktop.systemd1(5).
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/bitlist.h"
#include "runtime/limits.h"
#include "runtime/unit.h"
#include "sys/path.h"

#define SET_BITS 8192
#define WORD_BITS (8 * sizeof(unsigned long))
#define PERIOD_US 100000ULL /* of cpu.max when none is given */
#define ROUND_US 10000ULL   /* systemd keeps whole percents of a processor */

/* the first version of systemd that has them */
enum { SINCE_QUOTA_PERIOD = 242, SINCE_CPUSET = 244, SINCE_IDLE = 252 };

struct plan {
    struct arena *a;
    struct unit_properties *out;
};

static struct unit_property *add(const struct plan *p, const char *name, const char *type)
{
    struct unit_property *to = vec_add_in(p->a, &p->out->all);
    *to = (struct unit_property){.name = name, .type = type};
    return to;
}

static void add_value(const struct plan *p, struct unit_property *to, const char *value)
{
    vec_push_in(p->a, &to->values, (char *)(uintptr_t)value);
}

static struct unit_property *add_u64(const struct plan *p, const char *name, uint64_t value)
{
    struct unit_property *to = add(p, name, "t");
    add_value(p, to, arena_printf(p->a, "%llu", (unsigned long long)value));
    return to;
}

/* ---- limits ------------------------------------------------------------------------------- */

/* quota 0: none given; below 0: no limit. Rounds *quota as systemd will. */
static void add_quota(const struct plan *p, int64_t *quota, uint64_t period)
{
    uint64_t per_second = UINT64_MAX;
    if (period != 0)
        add_u64(p, "CPUQuotaPeriodUSec", period)->since = SINCE_QUOTA_PERIOD;
    if (*quota == 0 && period == 0)
        return;
    if (*quota > 0) {
        uint64_t base = period != 0 ? period : PERIOD_US;
        per_second = (uint64_t)*quota * 1000000ULL / base;
        if (per_second % ROUND_US != 0) {
            per_second = (per_second / ROUND_US + 1) * ROUND_US;
            *quota = (int64_t)(per_second * base / 1000000ULL);
        }
    }
    add_u64(p, "CPUQuotaPerSecUSec", per_second);
}

/* "0-3,7" as a mask, bit 0 of the first byte first. */
static int add_set(const struct plan *p, const char *name, const char *what, const char *list,
                   struct err *e)
{
    unsigned long mask[SET_BITS / WORD_BITS] = {0};
    size_t n = 0;
    if (bitlist_parse(list, mask, SET_BITS, e) < 0)
        return err_wrap(e, "%s=\"%s\" conversion error", what, list);
    for (size_t bit = 0; bit < SET_BITS; bit++)
        if ((mask[bit / WORD_BITS] >> (bit % WORD_BITS) & 1) != 0)
            n = bit / 8 + 1;
    if (n == 0)
        return err_set(e, ERR_INVALID, "%s=\"%s\" conversion error: empty value", what, list);
    struct unit_property *to = add(p, name, "ay");
    to->since = SINCE_CPUSET;
    for (size_t i = 0; i < n; i++)
        add_value(p, to,
                  arena_printf(p->a, "%lu", mask[i * 8 / WORD_BITS] >> (i * 8 % WORD_BITS) & 0xff));
    return 0;
}

static int add_memory(const struct plan *p, const struct oci_memory *m, bool v2)
{
    int64_t limit = m->limit != NULL ? *m->limit : 0, swap = m->swap != NULL ? *m->swap : 0;
    if (limit != 0)
        add_u64(p, v2 ? "MemoryMax" : "MemoryLimit", (uint64_t)limit); /* -1 is infinity */
    if (!v2)
        return 0;
    if (m->reservation != NULL && *m->reservation != 0)
        add_u64(p, "MemoryLow", (uint64_t)*m->reservation);
    if (limit == -1 && swap == 0)
        swap = -1;
    if (swap != 0)
        add_u64(p, "MemorySwapMax", swap < 0 ? UINT64_MAX : (uint64_t)(swap - MAX(limit, 0)));
    return 0;
}

static int add_cpu(const struct plan *p, struct oci_cpu *c, bool v2, struct err *e)
{
    bool idle = v2 && c->idle != NULL && *c->idle == 1;
    int64_t quota = c->quota != NULL ? *c->quota : 0;
    if (idle)
        add_u64(p, "CPUWeight", 0)->since = SINCE_IDLE;
    else if (c->shares != NULL && *c->shares != 0)
        add_u64(p, v2 ? "CPUWeight" : "CPUShares", v2 ? limits_cpu_weight(*c->shares) : *c->shares);
    add_quota(p, &quota, c->period != NULL ? *c->period : 0);
    if (c->quota != NULL)
        c->quota = arena_dup(p->a, &quota, sizeof(quota));
    if (c->cpus != NULL && *c->cpus != '\0')
        TRY(add_set(p, "AllowedCPUs", "resources.CPU.Cpus", c->cpus, e));
    if (c->mems != NULL && *c->mems != '\0')
        TRY(add_set(p, "AllowedMemoryNodes", "resources.CPU.Mems", c->mems, e));
    return 0;
}

/* ---- unified ------------------------------------------------------------------------------ */

static int bad_unified(const char *key, const char *value, struct err *e)
{
    return err_set(e, ERR_INVALID, "unified resource \"%s\" value conversion error: \"%s\"", key,
                   value);
}

static int unified_number(const struct plan *p, const char *property, const char *key,
                          struct str value, struct err *e)
{
    uint64_t n = UINT64_MAX;
    if (!str_eq(value, "max") && !str_to_u64(value, 0, UINT64_MAX, &n))
        return bad_unified(key, arena_strndup(p->a, value.p, value.n), e);
    if (strcmp(property, "TasksMax") == 0)
        n = MAX(n, (uint64_t)1);
    add_u64(p, property, n);
    return 0;
}

static int unified_cpu_max(const struct plan *p, struct str value, struct err *e)
{
    uint64_t n = 0, period = PERIOD_US;
    struct str words = value, first = str_cut(&words, ' ');
    words = str_trim(words);
    if ((!str_eq(first, "max") && !str_to_u64(first, 0, INT64_MAX, &n)) ||
        (words.n > 0 && !str_to_u64(words, 1, INT64_MAX, &period)))
        return bad_unified("cpu.max", arena_strndup(p->a, value.p, value.n), e);
    int64_t quota = (int64_t)n;
    add_quota(p, &quota, period);
    return 0;
}

/* What systemd has no property for is only written to its file. */
static int add_unified(const struct plan *p, const struct strmap *unified, struct err *e)
{
    static const struct {
        const char *key, *property;
    } numbers[] = {
        {"cpu.weight", "CPUWeight"}, {"memory.high", "MemoryHigh"},
        {"memory.low", "MemoryLow"}, {"memory.min", "MemoryMin"},
        {"memory.max", "MemoryMax"}, {"memory.swap.max", "MemorySwapMax"},
        {"pids.max", "TasksMax"},
    };
    const char *idle_text = strmap_get(unified, "cpu.idle");
    bool idle = idle_text != NULL && str_eq(str_trim(str_of(idle_text)), "1");
    if (idle)
        add_u64(p, "CPUWeight", 0)->since = SINCE_IDLE;
    for (size_t i = 0; i < unified->n; i++) {
        const char *key = unified->v[i].key;
        struct str value = str_trim(str_of(unified->v[i].val));
        if (strcmp(key, "cpu.max") == 0)
            TRY(unified_cpu_max(p, value, e));
        const char *set = strcmp(key, "cpuset.cpus") == 0   ? "AllowedCPUs"
                          : strcmp(key, "cpuset.mems") == 0 ? "AllowedMemoryNodes"
                                                            : NULL;
        if (set != NULL)
            TRY(add_set(p, set, arena_printf(p->a, "unified resource \"%s\"", key),
                        arena_strndup(p->a, value.p, value.n), e));
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++)
            if (strcmp(key, numbers[k].key) == 0 && !(idle && k == 0))
                TRY(unified_number(p, numbers[k].property, key, value, e));
    }
    return 0;
}

int unit_resources(struct oci_resources *r, enum cgroup_mode mode, struct arena *a,
                   struct unit_properties *out, struct err *e)
{
    const struct plan p = {a, out};
    bool v2 = mode == CGROUP_V2;
    if (r == NULL)
        return 0;
    if (r->memory != NULL)
        TRY(add_memory(&p, r->memory, v2));
    if (r->cpu != NULL)
        TRY(add_cpu(&p, r->cpu, v2, e));
    if (r->pids != NULL && r->pids->limit != NULL)
        add_u64(&p, "TasksMax",
                *r->pids->limit < 0 ? UINT64_MAX : MAX((uint64_t)*r->pids->limit, (uint64_t)1));
    if (!v2 && r->block_io != NULL && r->block_io->weight != NULL && *r->block_io->weight != 0)
        add_u64(&p, "BlockIOWeight", *r->block_io->weight);
    return v2 ? add_unified(&p, &r->unified, e) : 0;
}

/* ---- devices ------------------------------------------------------------------------------ */

/* The name that /proc/devices has for all minors of a major number. */
static const char *group_name(const struct buf *devices, char type, int64_t major, struct arena *a)
{
    bool block = false;
    for (struct str rest = {devices->p, devices->n}; rest.n > 0;) {
        struct str name = str_trim(str_cut(&rest, '\n'));
        if (str_starts(name, "Block devices"))
            block = true;
        struct str number = str_cut(&name, ' ');
        uint64_t n;
        if (block == (type == 'b') && str_to_u64(number, 0, UINT32_MAX, &n) && (int64_t)n == major)
            return arena_printf(a, "%s-%.*s", block ? "block" : "char", STR_ARG(name));
    }
    return NULL;
}

void unit_devices(const struct device_policy *policy, struct arena *a, struct unit_properties *out)
{
    CLEANUP(buf_done) struct buf devices = BUF_MAX(1 << 20);
    const struct plan p = {a, out};
    struct err ignored = {0};
    (void)file_read(AT_FDCWD, "/proc/devices", &devices, &ignored);
    /* systemd knows only what is allowed; exceptions from "everything" are left to our own filter
     */
    add_value(&p, add(&p, "DevicePolicy", "s"), policy->allow ? "auto" : "strict");
    struct unit_property *allow = add(&p, "DeviceAllow", "a(ss)");
    for (size_t i = 0; i < policy->rules.n && !policy->allow; i++) {
        const struct device_rule *d = &policy->rules.v[i];
        const char *kind = d->type == 'b' ? "block" : "char";
        const char *name = d->major < 0   ? arena_printf(a, "%s-*", kind)
                           : d->minor < 0 ? group_name(&devices, d->type, d->major, a)
                                          : arena_printf(a, "/dev/%s/%lld:%lld", kind,
                                                         (long long)d->major, (long long)d->minor);
        if (name == NULL)
            continue; /* no driver: nothing to open */
        add_value(&p, allow, name);
        add_value(&p, allow,
                  arena_printf(a, "%s%s%s", d->access & DEVICE_READ ? "r" : "",
                               d->access & DEVICE_WRITE ? "w" : "",
                               d->access & DEVICE_MKNOD ? "m" : ""));
    }
}

/* ---- annotations -------------------------------------------------------------------------- */

/* One scalar of GVariant's text format: the type's letter, 0 when it is none. */
static char parse_scalar(struct str *text, struct arena *a, const char **out)
{
    static const struct {
        const char *word;
        char type;
    } words[] = {{"boolean", 'b'}, {"byte", 'y'},   {"int16", 'n'}, {"uint16", 'q'},
                 {"int32", 'i'},   {"uint32", 'u'}, {"int64", 'x'}, {"uint64", 't'},
                 {"double", 'd'},  {"string", 's'}};
    char type = 0;
    struct str t = str_trim(*text);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_starts(t, words[i].word) && t.n > strlen(words[i].word) &&
            t.p[strlen(words[i].word)] == ' ') {
            type = words[i].type;
            t = str_trim((struct str){t.p + strlen(words[i].word), t.n - strlen(words[i].word)});
            break;
        }
    if (t.n >= 2 && (t.p[0] == '\'' || t.p[0] == '"')) {
        const char *end = memchr(t.p + 1, t.p[0], t.n - 1);
        if (end == NULL || (type != 0 && type != 's'))
            return 0;
        *out = arena_strndup(a, t.p + 1, (size_t)(end - t.p - 1));
        *text = (struct str){end + 1, t.n - (size_t)(end + 1 - t.p)};
        return 's';
    }
    size_t n = 0;
    while (n < t.n && (isalnum((unsigned char)t.p[n]) || strchr("+-._", t.p[n]) != NULL))
        n++;
    struct str word = {t.p, n};
    int64_t i64;
    uint64_t u64;
    *out = arena_strndup(a, word.p, word.n);
    *text = (struct str){t.p + n, t.n - n};
    if (str_eq(word, "true") || str_eq(word, "false"))
        return type == 0 || type == 'b' ? 'b' : 0;
    if (type == 'd' || (type == 0 && n > 0 && memchr(word.p, '.', n) != NULL)) {
        char *end;
        (void)strtod(*out, &end);
        return n > 0 && *end == '\0' ? 'd' : 0;
    }
    if (!str_to_i64(word, INT64_MIN, INT64_MAX, &i64) && !str_to_u64(word, 0, UINT64_MAX, &u64))
        return 0;
    return type == 0 ? 'i' : type == 's' || type == 'b' ? 0 : type;
}

/* A scalar, or an array of scalars of one type. */
static bool parse_variant(const char *value, struct arena *a, struct unit_property *out)
{
    struct str rest = str_trim(str_of(value));
    const char *one;
    char type;
    if (rest.n == 0 || (rest.p[0] != '[' && rest.p[0] != '@')) {
        type = parse_scalar(&rest, a, &one);
        if (type == 0)
            return false;
        out->type = arena_printf(a, "%c", type);
        vec_push_in(a, &out->values, (char *)(uintptr_t)one);
        return str_trim(rest).n == 0;
    }
    char element = 0;
    if (rest.p[0] == '@') { /* the type of an array that may be empty: "@as []" */
        struct str word = str_cut(&rest, ' ');
        if (word.n != 3 || word.p[1] != 'a')
            return false;
        element = word.p[2];
        rest = str_trim(rest);
    }
    if (rest.n < 2 || rest.p[0] != '[' || rest.p[rest.n - 1] != ']')
        return false;
    rest = str_trim((struct str){rest.p + 1, rest.n - 2});
    while (rest.n > 0) {
        type = parse_scalar(&rest, a, &one);
        rest = str_trim(rest);
        if (type == 0 || (element != 0 && element != type && !(type == 'i' && element != 's')) ||
            (rest.n > 0 && str_cut(&rest, ',').n != 0))
            return false;
        element = element != 0 ? element : type;
        vec_push_in(a, &out->values, (char *)(uintptr_t)one);
    }
    out->type = arena_printf(a, "a%c", element);
    return element != 0;
}

/* "TimeoutStopSec" is TimeoutStopUSec on the bus. */
static bool to_microseconds(struct unit_property *p, struct arena *a)
{
    size_t n = strlen(p->name) - strlen("Sec");
    if (p->type[1] != '\0' || strchr("nqiuxtdy", p->type[0]) == NULL)
        return false;
    double us = strtod(p->values.v[0], NULL) * 1e6;
    if (us < 0 || us > 1.8e19)
        return false;
    p->name = arena_printf(a, "%.*sUSec", (int)n, p->name);
    p->type = "t";
    p->values.v[0] = (char *)(uintptr_t)arena_printf(a, "%.0f", us);
    return true;
}

static int check_name(const char *annotation, const char *name, struct err *e)
{
    if (strlen(name) < 3)
        return err_set(e, ERR_INVALID, "annotation %s name incorrect: too short", annotation);
    for (const char *c = name; *c != '\0'; c++)
        if (!isalpha((unsigned char)*c))
            return err_set(e, ERR_INVALID,
                           "annotation %s name incorrect: contains unexpected character",
                           annotation);
    return 0;
}

int unit_annotations(const struct strmap *annotations, struct arena *a, struct unit_properties *out,
                     struct err *e)
{
    static const char prefix[] = "org.systemd.property.";
    for (size_t i = 0; i < annotations->n; i++) {
        const char *key = annotations->v[i].key, *value = annotations->v[i].val;
        if (strncmp(key, prefix, strlen(prefix)) != 0)
            continue;
        struct unit_property *p = vec_add_in(a, &out->all);
        *p = (struct unit_property){.name = key + strlen(prefix)};
        TRY(check_name(key, p->name, e));
        size_t n = strlen(p->name);
        bool seconds =
            n > 3 && str_ends(str_of(p->name), "Sec") && islower((unsigned char)p->name[n - 4]);
        if (!parse_variant(value, a, p) || (seconds && !to_microseconds(p, a)))
            return err_set(e, ERR_INVALID, "annotation %s=%s value parse error", key, value);
    }
    return 0;
}
