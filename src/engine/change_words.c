/* One table row a word. */
#include "engine/change_words.h"

#include "base/str.h"
#include "base/time.h"

#define LIST_DOC(T, F) F(T, strv, v, "v", 0)
JSON_TYPE(list_doc, LIST_DOC)
JSON_DESC(list_doc, LIST_DOC)

/* ["a","b"]; false when it is not JSON */
static bool json_list(struct str s, struct arena *a, struct strv *out)
{
    struct err ignored = {0};
    struct list_doc doc;
    const char *text;

    if (s.n == 0 || s.p[0] != '[')
        return false;
    text = arena_printf(a, "{\"v\":%.*s}", STR_ARG(s));
    if (json_parse(&list_doc_json, &doc, text, strlen(text), a, &ignored) < 0)
        return false;
    *out = doc.v;
    return true;
}

/* JSON, or one line for the shell */
static struct strv command(struct str s, const struct container_config *c, struct arena *a)
{
    static const char *const shell[] = {"/bin/sh", "-c"};
    struct strv v = {0};

    if (json_list(s, a, &v))
        return v;
    if (c->shell.n > 0)
        vec_each(w, &c->shell)
            vec_push_in(a, &v, *w);
    else
        for (size_t i = 0; i < ARRAY_LEN(shell); i++)
            vec_push_in(a, &v, (char *)shell[i]);
    vec_push_in(a, &v, arena_strndup(a, s.p, s.n));
    return v;
}

static struct str unquote(struct str s)
{
    if (s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0])
        return (struct str){s.p + 1, s.n - 2};
    return s;
}

/* The next word; quotes keep blanks together. */
static struct str next_word(struct str *s)
{
    struct str w;
    char quote = '\0';

    *s = str_trim(*s);
    w = (struct str){s->p, 0};
    while (w.n < s->n && (quote != '\0' || (s->p[w.n] != ' ' && s->p[w.n] != '\t'))) {
        char ch = s->p[w.n++];

        if (quote == '\0' && (ch == '"' || ch == '\''))
            quote = ch;
        else if (ch == quote)
            quote = '\0';
    }
    s->p += w.n;
    s->n -= w.n;
    return w;
}

static void word_cmd(struct str s, struct container_config *c, struct arena *a)
{
    c->cmd = command(s, c, a);
}

static void word_entrypoint(struct str s, struct container_config *c, struct arena *a)
{
    c->entrypoint = command(s, c, a);
}

/* Set KEY=VALUE; one of the same key is replaced. */
static void env_set(struct container_config *c, struct arena *a, struct str key, struct str value)
{
    char *text = arena_printf(a, "%.*s=%.*s", STR_ARG(key), STR_ARG(value));

    vec_each(v, &c->env)
        if (strncmp(*v, text, key.n + 1) == 0) {
            *v = text;
            return;
        }
    vec_push_in(a, &c->env, text);
}

/* Sets keep each member once. */
static void set_add(struct strv *set, struct arena *a, char *text)
{
    if (!strv_has(set, text))
        vec_push_in(a, set, text);
}

static void word_env(struct str s, struct container_config *c, struct arena *a)
{
    struct str first = s, key = next_word(&first);

    if (memchr(key.p, '=', key.n) == NULL) { /* ENV KEY the rest */
        env_set(c, a, key, str_trim(first));
        return;
    }
    while (s.n > 0) {
        struct str value = next_word(&s), k = str_cut(&value, '=');

        value = unquote(value);
        if (k.n > 0)
            env_set(c, a, k, value);
    }
}

static void word_label(struct str s, struct container_config *c, struct arena *a)
{
    while (s.n > 0) {
        struct str value = next_word(&s), k = unquote(str_cut(&value, '='));

        value = unquote(value);
        if (k.n > 0)
            strmap_set(&c->labels, a, arena_strndup(a, k.p, k.n),
                       arena_strndup(a, value.p, value.n));
    }
}

static void word_expose(struct str s, struct container_config *c, struct arena *a)
{
    while (s.n > 0) {
        struct str w = next_word(&s);

        if (w.n > 0)
            set_add(&c->exposed_ports, a,
                    memchr(w.p, '/', w.n) != NULL ? arena_strndup(a, w.p, w.n)
                                                  : arena_printf(a, "%.*s/tcp", STR_ARG(w)));
    }
}

static void word_volume(struct str s, struct container_config *c, struct arena *a)
{
    struct strv v = {0};

    if (!json_list(s, a, &v))
        while (s.n > 0) {
            struct str w = next_word(&s);

            if (w.n > 0)
                vec_push_in(a, &v, arena_strndup(a, w.p, w.n));
        }
    vec_each(p, &v)
        set_add(&c->volumes, a, *p);
}

static void word_user(struct str s, struct container_config *c, struct arena *a)
{
    c->user = arena_strndup(a, s.p, s.n);
}

static void word_workdir(struct str s, struct container_config *c, struct arena *a)
{
    c->working_dir = arena_strndup(a, s.p, s.n);
}

static void word_stopsignal(struct str s, struct container_config *c, struct arena *a)
{
    c->stop_signal = arena_strndup(a, s.p, s.n);
}

static void word_onbuild(struct str s, struct container_config *c, struct arena *a)
{
    vec_push_in(a, &c->on_build, arena_strndup(a, s.p, s.n));
}

/* The flags in front of a health check's command. */
static bool health_flag(struct str flag, struct health_config *h)
{
    struct str value = flag, key = str_cut(&value, '=');
    const struct {
        const char *key;
        int64_t *ns;
    } durations[] = {
        {"--interval", &h->interval_ns},
        {"--timeout", &h->timeout_ns},
        {"--start-period", &h->start_period_ns},
        {"--start-interval", &h->start_interval_ns},
    };

    for (size_t i = 0; i < ARRAY_LEN(durations); i++)
        if (str_eq(key, durations[i].key))
            return dur_parse(value, durations[i].ns) && *durations[i].ns >= 0;
    return str_eq(key, "--retries") && str_to_i64(value, 0, INT32_MAX, &h->retries);
}

static int word_healthcheck(struct str s, struct container_config *c, struct arena *a,
                            struct err *e)
{
    struct health_config *h = ARENA_NEW(a, struct health_config);
    struct str word = next_word(&s);

    for (; str_starts(word, "--"); word = next_word(&s))
        if (!health_flag(word, h))
            return err_set(e, ERR_INVALID, "HEALTHCHECK: invalid flag %.*s", STR_ARG(word));
    s = str_trim(s);
    if (str_ieq(word, "NONE") && s.n == 0) {
        vec_push_in(a, &h->test, (char *)"NONE");
    } else if (str_ieq(word, "CMD") && s.n > 0) {
        struct strv words = {0};
        bool exec = json_list(s, a, &words);

        vec_push_in(a, &h->test, (char *)(exec ? "CMD" : "CMD-SHELL"));
        vec_each(w, &words)
            vec_push_in(a, &h->test, *w);
        if (!exec)
            vec_push_in(a, &h->test, arena_strndup(a, s.p, s.n));
    } else {
        return err_set(e, ERR_INVALID, "Unknown type \"%.*s\" in HEALTHCHECK (try CMD)",
                       STR_ARG(word));
    }
    c->healthcheck = h;
    return 0;
}

/* apply cannot fail, try can. */
static const struct {
    const char *word;
    void (*apply)(struct str s, struct container_config *c, struct arena *a);
    int (*try)(struct str s, struct container_config *c, struct arena *a, struct err *e);
} words[] = {
    {"CMD", word_cmd, NULL},
    {"ENTRYPOINT", word_entrypoint, NULL},
    {"ENV", word_env, NULL},
    {"EXPOSE", word_expose, NULL},
    {"HEALTHCHECK", NULL, word_healthcheck},
    {"LABEL", word_label, NULL},
    {"ONBUILD", word_onbuild, NULL},
    {"STOPSIGNAL", word_stopsignal, NULL},
    {"USER", word_user, NULL},
    {"VOLUME", word_volume, NULL},
    {"WORKDIR", word_workdir, NULL},
};

int change_apply(const char *text, struct container_config *c, struct arena *a, struct err *e)
{
    struct str rest = str_trim(str_of(text)), word = next_word(&rest);

    rest = str_trim(rest);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(word, words[i].word)) {
            if (rest.n == 0)
                return err_set(e, ERR_INVALID, "%s requires at least one argument", words[i].word);
            if (words[i].try != NULL)
                return words[i].try(rest, c, a, e);
            words[i].apply(rest, c, a);
            return 0;
        }
    return err_set(e, ERR_INVALID, "%.*s is not a valid change command", STR_ARG(word));
}
