/* Lists as tables, JSON or templates: see table.h. */
#include "cli/table.h"

#include <json-c/json.h>
#include <stdarg.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/human.h"

#define OUT_MAX (256u << 20)
#define EXIT_TEMPLATE 64 /* what docker exits with for a bad template of one object */

void put(const char *text)
{
    (void)fputs(text, stdout);
}

void put_line(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)putchar('\n');
}

void warn_line(const char *fmt, ...)
{
    va_list ap;
    (void)fflush(stdout);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
}

/* Cells of one line; views into it. */
struct cells {
    struct str *v;
    size_t n, cap;
};

static size_t cell_width(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/*
 * A column's cells are those of the lines around it that have a further cell behind them: as in
 * Go's tabwriter, a line without that column ends it. Our tables have the same number of cells in
 * each line, so one pass over all is enough.
 */
void tab_layout(const char *text, size_t min, struct buf *out)
{
    VEC(size_t) widths = {0};
    for (struct str rest = str_of(text); rest.n > 0;) {
        struct str line = str_cut(&rest, '\n');
        for (size_t i = 0; str_index(line, '\t') >= 0; i++) {
            struct str cell = str_cut(&line, '\t');
            if (i == widths.n)
                vec_push(&widths, min);
            widths.v[i] = MAX(widths.v[i], cell_width(cell) + 3);
        }
    }
    for (struct str rest = str_of(text); rest.n > 0;) {
        struct str line = str_cut(&rest, '\n');
        for (size_t i = 0; str_index(line, '\t') >= 0; i++) {
            struct str cell = str_cut(&line, '\t');
            /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): measured above */
            buf_printf(out, "%.*s%*s", STR_ARG(cell), (int)(widths.v[i] - cell_width(cell)), "");
        }
        buf_printf(out, "%.*s\n", STR_ARG(line));
    }
    vec_done(&widths);
}

/* The two characters \t and \n become what they stand for. */
static char *unescape(const char *format)
{
    char *s = str_dup(str_trim(str_of(format))), *to = s;
    for (const char *p = s; *p != '\0'; p++) {
        if (p[0] == '\\' && (p[1] == 't' || p[1] == 'n')) {
            *to++ = p[1] == 't' ? '\t' : '\n';
            p++;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
    return s;
}

int table_init(struct table *t, struct cli *cli, const char *format, const char *config_key,
               bool quiet, struct err *e)
{
    t->cli = cli;
    bool given = format != NULL && *format != '\0';
    if (!given && quiet)
        format = t->quiet != NULL ? t->quiet : "{{.ID}}";
    else if (!given && config_key != NULL)
        format = cli_config_str(cli, config_key);
    if (format == NULL || *format == '\0' || strcmp(format, "table") == 0)
        format = quiet ? (t->quiet != NULL ? t->quiet : "{{.ID}}") : t->view;
    auto_free char *text = unescape(format);
    t->titles = str_starts(str_of(text), "table ");
    t->json = strcmp(text, "json") == 0;
    const char *body = t->json ? "{{json .}}" : t->titles ? text + strlen("table ") : text;
    if (template_parse(body, &t->tpl, e) < 0)
        return err_wrap(e, "template parsing error");
    return 0;
}

struct json_object *table_row(struct table *t)
{
    struct json_object *row = json_object_new_object();
    vec_push(&t->rows, row);
    return row;
}

void row_set(struct json_object *row, const char *field, const char *value)
{
    json_object_object_add(row, field, json_object_new_string(value != NULL ? value : ""));
}

bool table_shows(const struct table *t, const char *field)
{
    return t->json || template_uses(t->tpl, field);
}

/* {{.Label "key"}} of a row that has Labels as "k=v,k=v". */
static int label_method(void *arg, struct json_object *row, const char *name,
                        struct json_object *const *args, size_t n, struct json_object **out,
                        struct err *e)
{
    (void)arg;
    (void)e;
    if (strcmp(name, "Label") != 0 || n != 1)
        return 0;
    struct str labels = str_of(json_object_get_string(json_object_object_get(row, "Labels")));
    const char *want = json_object_get_string(args[0]);
    struct str found = STR("");
    while (labels.n > 0) {
        struct str val = str_cut(&labels, ','), key = str_cut(&val, '=');
        if (str_eq(key, want))
            found = val;
    }
    *out = json_object_new_string_len(found.n > 0 ? found.p : "", (int)found.n);
    return 1;
}

static int print_titles(struct table *t, struct buf *out, struct err *e)
{
    struct json_object *titles = json_object_new_object();
    struct template_opts o = {.header = true, .method = label_method};
    for (size_t i = 0; i < t->n_cols; i++)
        row_set(titles, t->cols[i].field, t->cols[i].title);
    int rc = template_exec(t->tpl, titles, &o, out, e);
    buf_addc(out, '\n');
    json_object_put(titles);
    return rc;
}

int table_print(struct table *t, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(OUT_MAX), laid = BUF_MAX(OUT_MAX);
    struct template_opts o = {.method = label_method};
    if (t->titles)
        TRY(print_titles(t, &text, e));
    vec_each(row, &t->rows) {
        if (template_exec(t->tpl, *row, &o, &text, e) < 0)
            return err_wrap(e, "template parsing error");
        buf_addc(&text, '\n');
    }
    if (t->titles)
        tab_layout(buf_cstr(&text), 10, &laid);
    put(buf_cstr(t->titles ? &laid : &text));
    return 0;
}

void table_done(struct table *t)
{
    vec_each(row, &t->rows)
        json_object_put(*row);
    vec_done(&t->rows);
    template_free(t->tpl);
    t->tpl = NULL;
}

int print_object(struct call *c, const char *format, struct json_object *data, struct err *e)
{
    static const struct template_opts strict = {.missing_error = true};
    auto_template struct template *t = NULL;
    auto_buf struct buf out = BUF_MAX(OUT_MAX);
    if (template_parse(strcmp(format, "json") == 0 ? "{{json .}}" : format, &t, e) < 0 ||
        template_exec(t, data, &strict, &out, e) < 0) {
        c->status = EXIT_TEMPLATE;
        return err_wrap(e, "template parsing error");
    }
    put_line("%s", buf_cstr(&out));
    return 0;
}
