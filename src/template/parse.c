/*
 * The template parser: recursive descent straight over the text. Actions are cut out of the text
 * first (with their trimming), then each is read word by word.
 */
#include "template/node.h"

#include <json-c/json.h>

#include "base/mem.h"
#include "base/str.h"

#define MAX_DEPTH 50
#define MAX_TEXT 65536

struct parser {
    struct template *t;
    struct err *e;
    const char *all; /* the whole text, for line numbers */
    const char *p, *end;
    const char *close; /* end of the current action's inside */
    bool trim_next;
    int depth;
};

static int bad(struct parser *ps, const char *what)
{
    size_t line = 1;
    for (const char *c = ps->all; c < ps->p; c++)
        line += *c == '\n';
    return err_set(ps->e, ERR_INVALID, "template: :%zu: %s", line, what);
}

static int bad_token(struct parser *ps, const char *context)
{
    auto_free char *what = mem_printf("unexpected \"%.*s\" in %s",
                                      (int)MIN((size_t)(ps->close - ps->p), 10), ps->p, context);
    return bad(ps, what);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_word(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
           (unsigned char)c >= 0x80;
}

static void skip_space(struct parser *ps)
{
    while (ps->p < ps->close && is_space(*ps->p))
        ps->p++;
}

static bool eat(struct parser *ps, const char *s)
{
    size_t n = strlen(s);
    if ((size_t)(ps->close - ps->p) < n || memcmp(ps->p, s, n) != 0)
        return false;
    ps->p += n;
    return true;
}

/* A keyword, followed by something that is not part of a word. */
static bool eat_word(struct parser *ps, const char *s)
{
    size_t n = strlen(s);
    if ((size_t)(ps->close - ps->p) > n && is_word(ps->p[n]))
        return false;
    return eat(ps, s);
}

static const char *take_word(struct parser *ps)
{
    const char *from = ps->p;
    while (ps->p < ps->close && is_word(*ps->p))
        ps->p++;
    return arena_strndup(ps->t->arena, from, (size_t)(ps->p - from));
}

static struct json_object *keep(struct parser *ps, struct json_object *o)
{
    vec_push(&ps->t->literals, o);
    return o;
}

static int escape(struct parser *ps, struct buf *out)
{
    static const char from[] = "abfnrtv\\\"'", to[] = "\a\b\f\n\r\t\v\\\"'";
    char c = *ps->p++;
    const char *at = strchr(from, c);
    if (c != '\0' && at != NULL)
        return buf_addc(out, to[at - from]);
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 0;
    if (digits == 0 || (size_t)(ps->close - ps->p) < digits)
        return bad(ps, "invalid syntax");
    char hex[5] = {0}, *stop;
    memcpy(hex, ps->p, digits);
    unsigned long v = strtoul(hex, &stop, 16);
    if (*stop != '\0')
        return bad(ps, "invalid syntax");
    ps->p += digits;
    if (c == 'x' || v < 0x80)
        return buf_addc(out, (char)v);
    if (v < 0x800)
        return buf_printf(out, "%c%c", (char)(0xc0 | (v >> 6)), (char)(0x80 | (v & 63)));
    return buf_printf(out, "%c%c%c", (char)(0xe0 | (v >> 12)), (char)(0x80 | ((v >> 6) & 63)),
                      (char)(0x80 | (v & 63)));
}

static int parse_string(struct parser *ps, char quote, struct arg *out)
{
    auto_buf struct buf b = BUF_MAX(MAX_TEXT);
    for (;;) {
        if (ps->p >= ps->close || (quote != '`' && *ps->p == '\n'))
            return bad(ps, quote == '`' ? "unterminated raw quoted string"
                                        : "unterminated quoted string");
        char c = *ps->p++;
        if (c == quote)
            break;
        if (c == '\\' && quote != '`' && ps->p < ps->close)
            TRY(escape(ps, &b));
        else
            buf_addc(&b, c);
    }
    if (quote == '\'') {
        if (b.n != 1)
            return bad(ps, "malformed character constant");
        out->literal = keep(ps, json_object_new_int64((unsigned char)b.p[0]));
        return 0;
    }
    out->literal = keep(ps, json_object_new_string_len(buf_cstr(&b), (int)b.n));
    return 0;
}

static int parse_number(struct parser *ps, struct arg *out)
{
    const char *from = ps->p;
    while (ps->p < ps->close && (is_word(*ps->p) || strchr("+-.", *ps->p) != NULL))
        ps->p++;
    auto_free char *text = mem_strndup(from, (size_t)(ps->p - from));
    char *stop;
    long long i = strtoll(text, &stop, 0);
    if (*stop == '\0' && stop != text) {
        out->literal = keep(ps, json_object_new_int64(i));
        return 0;
    }
    double d = strtod(text, &stop);
    if (*stop != '\0' || stop == text) {
        auto_free char *what = mem_printf("bad number syntax: \"%s\"", text);
        return bad(ps, what);
    }
    out->literal = keep(ps, json_object_new_double(d));
    return 0;
}

static int parse_pipe(struct parser *ps, bool in_parens, struct pipe **out);

static int parse_word_operand(struct parser *ps, struct arg *out)
{
    static const struct {
        const char *word;
        int value;
    } literals[] = {{"true", 1}, {"false", 0}};
    const char *word = take_word(ps);
    for (size_t i = 0; i < ARRAY_LEN(literals); i++)
        if (strcmp(word, literals[i].word) == 0) {
            out->literal = keep(ps, json_object_new_boolean(literals[i].value));
            return 0;
        }
    if (strcmp(word, "nil") == 0)
        return 0;
    if (!func_exists(word)) {
        auto_free char *what = mem_printf("function \"%s\" not defined", word);
        return bad(ps, what);
    }
    out->kind = ARG_FUNC;
    out->name = word;
    return 0;
}

static int parse_operand(struct parser *ps, struct arg *out)
{
    char c = *ps->p;
    out->kind = ARG_LITERAL;
    if (c == '"' || c == '`' || c == '\'') {
        ps->p++;
        return parse_string(ps, c, out);
    }
    if ((c >= '0' && c <= '9') || c == '+' || c == '-')
        return parse_number(ps, out);
    if (c == '$') {
        ps->p++;
        out->kind = ARG_VAR;
        out->name = arena_printf(ps->t->arena, "$%s", take_word(ps));
        return 0;
    }
    if (c == '.') {
        out->kind = ARG_DOT;
        if (ps->p + 1 >= ps->close || !is_word(ps->p[1]))
            ps->p++; /* the dot alone */
        return 0;
    }
    if (c == '(') {
        ps->p++;
        out->kind = ARG_PIPE;
        TRY(parse_pipe(ps, true, &out->pipe));
        return eat(ps, ")") ? 0 : bad(ps, "unclosed left paren");
    }
    if (is_word(c))
        return parse_word_operand(ps, out);
    return bad_token(ps, "operand");
}

static int parse_arg(struct parser *ps, struct arg *out)
{
    const char *from = ps->p, *line_start = ps->all;
    out->line = 1;
    for (const char *c = ps->all; c < ps->p; c++)
        if (*c == '\n') {
            out->line++;
            line_start = c + 1;
        }
    out->col = (size_t)(ps->p - line_start);
    TRY(parse_operand(ps, out));
    while (ps->p + 1 < ps->close && *ps->p == '.' && is_word(ps->p[1])) {
        ps->p++;
        char *field = (char *)(uintptr_t)take_word(ps);
        vec_push_in(ps->t->arena, &out->fields, field);
    }
    out->text = arena_strndup(ps->t->arena, from, (size_t)(ps->p - from));
    return 0;
}

/* "$x :=", "$i, $x :=", "$x =" at the front of a pipeline, if there. */
static void parse_decl(struct parser *ps, struct pipe *pipe)
{
    const char *from = ps->p;
    const char *names[2] = {0};
    size_t n = 0;
    while (n < 2 && eat(ps, "$")) {
        names[n++] = arena_printf(ps->t->arena, "$%s", take_word(ps));
        skip_space(ps);
        if (!eat(ps, ","))
            break;
        skip_space(ps);
    }
    bool declares = n > 0 && eat(ps, ":=");
    bool assigns =
        n == 1 && !declares && ps->p + 1 < ps->close && ps->p[0] == '=' && ps->p[1] != '=';
    if (!declares && !assigns) {
        ps->p = from;
        return;
    }
    ps->p += assigns ? 1 : 0;
    pipe->assign = assigns;
    pipe->n_vars = n;
    memcpy(pipe->vars, names, sizeof(names));
}

static int parse_pipe(struct parser *ps, bool in_parens, struct pipe **out)
{
    struct pipe *pipe = ARENA_NEW(ps->t->arena, struct pipe);
    if (++ps->depth > MAX_DEPTH)
        return bad(ps, "template nested too deeply");
    skip_space(ps);
    parse_decl(ps, pipe);
    struct cmd *cmd = vec_add_in(ps->t->arena, &pipe->cmds);
    for (;;) {
        skip_space(ps);
        if (ps->p >= ps->close || (in_parens && *ps->p == ')'))
            break;
        if (eat(ps, "|")) {
            if (cmd->args.n == 0)
                return bad(ps, "missing value for command");
            cmd = vec_add_in(ps->t->arena, &pipe->cmds);
            continue;
        }
        struct arg *arg = vec_add_in(ps->t->arena, &cmd->args);
        TRY(parse_arg(ps, arg));
        if (ps->p < ps->close && !is_space(*ps->p) && strchr("|)", *ps->p) == NULL)
            return bad_token(ps, "operand");
    }
    ps->depth--;
    if (cmd->args.n == 0)
        return bad(ps, "missing value for command");
    *out = pipe;
    return 0;
}

static void add_text(struct parser *ps, struct node_list *list, const char *from, const char *to)
{
    if (ps->trim_next)
        while (from < to && is_space(*from))
            from++;
    ps->trim_next = false;
    if (from == to)
        return;
    struct node *n = vec_add_in(ps->t->arena, &list->nodes);
    n->kind = NODE_TEXT;
    n->n_text = (size_t)(to - from);
    n->text = arena_strndup(ps->t->arena, from, n->n_text);
}

/* Where the action that begins at p ends: its "}}", strings skipped; NULL when it does not. */
static const char *action_end(const char *p, const char *end)
{
    for (char quote = 0; p + 1 < end; p++) {
        if (quote != 0 && *p == '\\' && quote != '`')
            p++;
        else if (quote != 0)
            quote = *p == quote ? 0 : quote;
        else if (*p == '"' || *p == '`' || *p == '\'')
            quote = *p;
        else if (p[0] == '}' && p[1] == '}')
            return p;
    }
    return NULL;
}

enum stop { STOP_EOF, STOP_END, STOP_ELSE };

static int parse_list(struct parser *ps, struct node_list *list, enum stop *stop);

static int expect_closed(struct parser *ps, const char *context)
{
    skip_space(ps);
    if (ps->p != ps->close)
        return bad_token(ps, context);
    return 0;
}

static void leave_action(struct parser *ps)
{
    ps->p = ps->close;
    ps->trim_next = ps->p < ps->end && *ps->p == '-';
    ps->p += ps->trim_next ? 3 : 2;
}

static int parse_control(struct parser *ps, enum node_kind kind, struct node *n)
{
    enum stop stop;
    n->kind = kind;
    TRY(parse_pipe(ps, false, &n->pipe));
    leave_action(ps);
    if (++ps->depth > MAX_DEPTH)
        return bad(ps, "template nested too deeply");
    n->body = ARENA_NEW(ps->t->arena, struct node_list);
    TRY(parse_list(ps, n->body, &stop));
    if (stop == STOP_ELSE) {
        n->otherwise = ARENA_NEW(ps->t->arena, struct node_list);
        skip_space(ps);
        bool chained =
            kind == NODE_IF ? eat_word(ps, "if") : kind == NODE_WITH && eat_word(ps, "with");
        if (chained) { /* else if: one {{end}} closes both */
            struct node inner = {0};
            TRY(parse_control(ps, kind, &inner));
            vec_push_in(ps->t->arena, &n->otherwise->nodes, inner);
            ps->depth--;
            return 0;
        }
        TRY(expect_closed(ps, "else"));
        leave_action(ps);
        TRY(parse_list(ps, n->otherwise, &stop));
    }
    if (stop != STOP_END)
        return bad(ps, stop == STOP_EOF ? "unexpected EOF" : "expected end; found {{else}}");
    ps->depth--;
    return 0;
}

/* One action; *stop is set when it was {{end}} or {{else}}, whose inside is then left to the
 * caller. */
static int parse_action(struct parser *ps, struct node_list *list, bool *stopped, enum stop *stop)
{
    static const struct {
        const char *word;
        enum node_kind kind;
    } controls[] = {{"if", NODE_IF}, {"range", NODE_RANGE}, {"with", NODE_WITH}};
    static const char *const refused[] = {"define", "template", "block"};
    skip_space(ps);
    if (eat(ps, "/*")) {
        leave_action(ps);
        return 0;
    }
    if (eat_word(ps, "end")) {
        TRY(expect_closed(ps, "end"));
        leave_action(ps);
        *stopped = true;
        *stop = STOP_END;
        return 0;
    }
    if (eat_word(ps, "else")) {
        *stopped = true;
        *stop = STOP_ELSE;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (eat_word(ps, refused[i])) {
            auto_free char *what = mem_printf("{{%s}} is not supported", refused[i]);
            return bad(ps, what);
        }
    /* a local first: nodes of this list may move while the inner ones are parsed */
    struct node n = {.kind = NODE_ACTION};
    bool control = false;
    for (size_t i = 0; i < ARRAY_LEN(controls) && !control; i++)
        if (eat_word(ps, controls[i].word)) {
            TRY(parse_control(ps, controls[i].kind, &n));
            control = true;
        }
    if (!control) {
        if (eat_word(ps, "break"))
            n.kind = NODE_BREAK;
        else if (eat_word(ps, "continue"))
            n.kind = NODE_CONTINUE;
        else
            TRY(parse_pipe(ps, false, &n.pipe));
        TRY(expect_closed(ps, "command"));
        leave_action(ps);
    }
    vec_push_in(ps->t->arena, &list->nodes, n);
    return 0;
}

static int parse_list(struct parser *ps, struct node_list *list, enum stop *stop)
{
    for (;;) {
        const char *open = memmem(ps->p, (size_t)(ps->end - ps->p), "{{", 2);
        const char *text_end = open == NULL ? ps->end : open;
        bool trim = open != NULL && ps->end - open > 3 && open[2] == '-' && is_space(open[3]);
        if (trim)
            while (text_end > ps->p && is_space(text_end[-1]))
                text_end--;
        add_text(ps, list, ps->p, text_end);
        if (open == NULL) {
            ps->p = ps->end;
            *stop = STOP_EOF;
            return 0;
        }
        ps->p = open + (trim ? 3 : 2);
        const char *close = action_end(ps->p, ps->end);
        if (close == NULL) {
            ps->close = ps->end;
            return bad(ps, "unclosed action");
        }
        ps->close =
            close - ps->p >= 2 && close[-1] == '-' && is_space(close[-2]) ? close - 1 : close;
        bool stopped = false;
        TRY(parse_action(ps, list, &stopped, stop));
        if (stopped)
            return 0;
    }
}

int template_parse(const char *text, struct template **out, struct err *e)
{
    size_t n = strlen(text);
    if (n > MAX_TEXT)
        return err_set(e, ERR_TOO_LARGE, "template: longer than %d bytes", MAX_TEXT);
    auto_template struct template *t = mem_alloc(sizeof(*t));
    t->arena = arena_new();
    t->root = ARENA_NEW(t->arena, struct node_list);
    struct parser ps = {.t = t, .e = e, .all = text, .p = text, .end = text + n, .close = text};
    enum stop stop = STOP_EOF;
    TRY(parse_list(&ps, t->root, &stop));
    if (stop != STOP_EOF)
        return bad(&ps, stop == STOP_END ? "unexpected {{end}}" : "unexpected {{else}}");
    *out = TAKE_PTR(t);
    return 0;
}

void template_free(struct template *t)
{
    if (t == NULL)
        return;
    vec_each(o, &t->literals)
        json_object_put(*o);
    vec_done(&t->literals);
    arena_free(t->arena);
    free(t);
}

static bool list_uses(const struct node_list *l, const char *field);

static bool pipe_uses(const struct pipe *p, const char *field)
{
    if (p == NULL)
        return false;
    vec_each(c, &p->cmds)
        vec_each(a, &c->args)
            if (strv_has(&a->fields, field) || pipe_uses(a->pipe, field))
                return true;
    return false;
}

static bool list_uses(const struct node_list *l, const char *field)
{
    if (l == NULL)
        return false;
    vec_each(n, &l->nodes)
        if (pipe_uses(n->pipe, field) || list_uses(n->body, field) ||
            list_uses(n->otherwise, field))
            return true;
    return false;
}

bool template_uses(const struct template *t, const char *field)
{
    return list_uses(t->root, field);
}
