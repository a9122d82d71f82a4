/* Flags: see flags.h. */
#include "cli/flags.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "base/units.h"

struct parse {
    const struct flag_set *set;
    char *opts;
    struct arena *arena;
    struct strv *given;
    int argc;
    char **argv;
    int i; /* the next word */
    struct err *e;
};

/* "1.5" in billionths, exactly */
static bool cpus_parse(const char *s, int64_t *out)
{
    struct str rest = str_of(s), whole = str_cut(&rest, '.');
    int64_t n = 0, frac = 0, unit = NS_PER_S;
    if (whole.n > 0 && !str_to_i64(whole, 0, 1 << 20, &n))
        return false;
    for (size_t i = 0; i < rest.n; i++) {
        if (rest.p[i] < '0' || rest.p[i] > '9' || unit == 1)
            return false;
        unit /= 10;
        frac += (rest.p[i] - '0') * unit;
    }
    *out = n * NS_PER_S + frac;
    return whole.n + rest.n > 0;
}

static const struct flag *by_name(const struct flag_set *set, struct str name)
{
    for (size_t i = 0; i < set->n; i++)
        if (str_eq(name, set->v[i].name))
            return &set->v[i];
    return NULL;
}

static const struct flag *by_letter(const struct flag_set *set, char c)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->v[i].letter == c)
            return &set->v[i];
    return NULL;
}

static int bad_value(struct parse *p, const struct flag *f, const char *value, const char *why)
{
    if (f->letter != 0)
        return err_set(p->e, ERR_INVALID, "invalid argument \"%s\" for \"-%c, --%s\" flag: %s",
                       value, f->letter, f->name, why);
    return err_set(p->e, ERR_INVALID, "invalid argument \"%s\" for \"--%s\" flag: %s", value,
                   f->name, why);
}

static int set_int(struct parse *p, const struct flag *f, char *value, int64_t *to)
{
    if (!str_to_i64(str_of(value), INT64_MIN, INT64_MAX, to)) {
        auto_free char *why = mem_printf("strconv.ParseInt: parsing \"%s\": invalid syntax", value);
        return bad_value(p, f, value, why);
    }
    return 0;
}

static int set_value(struct parse *p, const struct flag *f, char *value)
{
    void *to = p->opts + f->off;
    if (p->given != NULL)
        vec_push_in(p->arena, p->given, (char *)(uintptr_t)f->name);
    switch (f->kind) {
    case FLAG_BOOL:
        if (!bool_parse(value, to)) {
            auto_free char *why =
                mem_printf("strconv.ParseBool: parsing \"%s\": invalid syntax", value);
            return bad_value(p, f, value, why);
        }
        return 0;
    case FLAG_STR:
        *(const char **)to = value;
        return 0;
    case FLAG_LIST:
        vec_push_in(p->arena, (struct strv *)to, value);
        return 0;
    case FLAG_INT:
        return set_int(p, f, value, to);
    case FLAG_OPT_INT:
        *(int64_t **)to = ARENA_NEW(p->arena, int64_t);
        return set_int(p, f, value, *(int64_t **)to);
    case FLAG_BYTES:
        if (strcmp(value, "-1") == 0) /* --memory-swap=-1: no limit */
            *(int64_t *)to = -1;
        else if (!bytes_parse(value, to)) {
            auto_free char *why = mem_printf("invalid size: '%s'", value);
            return bad_value(p, f, value, why);
        }
        return 0;
    case FLAG_CPUS:
        if (!cpus_parse(value, to)) {
            auto_free char *why = mem_printf("failed to parse %s as a rational number", value);
            return bad_value(p, f, value, why);
        }
        return 0;
    case FLAG_DUR:
        if (!dur_parse(str_of(value), to)) {
            auto_free char *why = mem_printf("time: invalid duration \"%s\"", value);
            return bad_value(p, f, value, why);
        }
        return 0;
    case FLAG_MISSING:
        return err_set(p->e, ERR_UNIMPLEMENTED, "flag --%s is not supported by hull yet", f->name);
    }
    return 0;
}

static int parse_long(struct parse *p, char *word, bool *help)
{
    struct str rest = str_of(word + 2);
    bool has_value = str_index(rest, '=') >= 0;
    struct str name = str_cut(&rest, '=');
    const struct flag *f = by_name(p->set, name);
    if (f == NULL && str_eq(name, "help")) {
        *help = true;
        return 0;
    }
    if (f == NULL)
        return err_set(p->e, ERR_INVALID, "unknown flag: --%.*s", STR_ARG(name));
    if (has_value)
        return set_value(p, f, word + 2 + name.n + 1);
    if (f->kind == FLAG_BOOL || f->kind == FLAG_MISSING)
        return set_value(p, f, (char *)(uintptr_t) "true");
    if (p->i >= p->argc)
        return err_set(p->e, ERR_INVALID, "flag needs an argument: --%s", f->name);
    return set_value(p, f, p->argv[p->i++]);
}

static int parse_letters(struct parse *p, char *word, bool *help)
{
    for (char *c = word + 1; *c != '\0'; c++) {
        const struct flag *f = by_letter(p->set, *c);
        if (f == NULL && *c == 'h') {
            *help = true;
            return 0;
        }
        if (f == NULL)
            return err_set(p->e, ERR_INVALID, "unknown shorthand flag: '%c' in %s", *c, word);
        if (f->kind == FLAG_BOOL && c[1] != '=') {
            TRY(set_value(p, f, (char *)(uintptr_t) "true"));
            continue;
        }
        if (c[1] == '=')
            return set_value(p, f, c + 2);
        if (c[1] != '\0')
            return set_value(p, f, c + 1);
        if (p->i >= p->argc)
            return err_set(p->e, ERR_INVALID, "flag needs an argument: '%c' in %s", *c, word);
        return set_value(p, f, p->argv[p->i++]);
    }
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): four of them are answers */
int flags_parse(const struct flag_set *set, void *opts, bool stop_at_arg, int argc, char **argv,
                struct arena *arena, struct strv *out_args, struct strv *out_given, bool *out_help,
                struct err *e)
{
    struct parse p = {.set = set,
                      .opts = opts,
                      .arena = arena,
                      .given = out_given,
                      .argc = argc,
                      .argv = argv,
                      .e = e};
    *out_help = false;
    bool only_args = false;
    while (p.i < argc && !*out_help) {
        char *word = argv[p.i++];
        if (only_args || word[0] != '-' || word[1] == '\0') {
            vec_push_in(arena, out_args, word);
            only_args = only_args || stop_at_arg;
        } else if (strcmp(word, "--") == 0) {
            only_args = true;
        } else {
            TRY(word[1] == '-' ? parse_long(&p, word, out_help)
                               : parse_letters(&p, word, out_help));
        }
    }
    return 0;
}
