/* One table row a word. */
#include "engine/change_words.h"

#include "base/str.h"

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

static void word_env(struct str s, struct container_config *c, struct arena *a)
{
    struct str first = s, key = next_word(&first);

    if (memchr(key.p, '=', key.n) == NULL) { /* ENV KEY the rest */
        first = str_trim(first);
        vec_push_in(a, &c->env, arena_printf(a, "%.*s=%.*s", STR_ARG(key), STR_ARG(first)));
        return;
    }
    while (s.n > 0) {
        struct str value = next_word(&s), k = str_cut(&value, '=');

        value = unquote(value);
        if (k.n > 0)
            vec_push_in(a, &c->env, arena_printf(a, "%.*s=%.*s", STR_ARG(k), STR_ARG(value)));
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
            vec_push_in(a, &c->exposed_ports,
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
        vec_push_in(a, &c->volumes, *p);
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

static const struct {
    const char *word;
    void (*apply)(struct str s, struct container_config *c, struct arena *a);
} words[] = {
    {"CMD", word_cmd},
    {"ENTRYPOINT", word_entrypoint},
    {"ENV", word_env},
    {"EXPOSE", word_expose},
    {"LABEL", word_label},
    {"ONBUILD", word_onbuild},
    {"STOPSIGNAL", word_stopsignal},
    {"USER", word_user},
    {"VOLUME", word_volume},
    {"WORKDIR", word_workdir},
};

int change_apply(const char *text, struct container_config *c, struct arena *a, struct err *e)
{
    struct str rest = str_trim(str_of(text)), word = next_word(&rest);

    rest = str_trim(rest);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(word, words[i].word)) {
            if (rest.n == 0)
                return err_set(e, ERR_INVALID, "%s requires at least one argument", words[i].word);
            words[i].apply(rest, c, a);
            return 0;
        }
    return err_set(e, ERR_INVALID, "%.*s is not a valid change command", STR_ARG(word));
}
