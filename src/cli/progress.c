/* Progress streams: see progress.h. */
#include "cli/progress.h"

#include "base/mem.h"
#include "base/str.h"
#include "cli/human.h"
#include "cli/session.h"
#include "types/image.h"

#define LINE_MAX_BYTES (4u << 20)
#define BAR_WIDTH 50

struct screen {
    struct cli *c;
    FILE *to;
    bool tty, quiet;
    unsigned cols;
    progress_aux_fn *aux; /* NULL: nobody wants them */
    void *arg;
    struct strv ids; /* the id of each row, first row first */
};

static void add_bar(struct screen *s, struct buf *b, const struct progress_detail *d)
{
    if (d->current <= 0 && d->total <= 0)
        return;
    if (s->cols > 110 && d->total > 0) {
        int done = (int)MIN(d->current * BAR_WIDTH / d->total, (int64_t)BAR_WIDTH);
        buf_addc(b, '[');
        for (int i = 0; i < BAR_WIDTH; i++)
            buf_addc(b, i < done ? '=' : i == done ? '>' : ' ');
        buf_adds(b, "] ");
    }
    if (d->hide_counts)
        return;
    if (d->units != NULL && *d->units != '\0')
        buf_printf(b, "%lld %s", (long long)d->current, d->units);
    else if (d->total > 0)
        buf_printf(b, "%8s/%s", human_size(s->c->arena, (double)d->current, 4),
                   human_size(s->c->arena, (double)d->total, 4));
    else
        buf_printf(b, "%8s", human_size(s->c->arena, (double)d->current, 4));
}

/* How many rows up the row of this id is; a new one is added below. */
static size_t row_of(struct screen *s, const char *id)
{
    for (size_t i = 0; i < s->ids.n; i++)
        if (strcmp(s->ids.v[i], id) == 0)
            return s->ids.n - i;
    vec_push(&s->ids, mem_strdup(id));
    (void)fputc('\n', s->to);
    return 1;
}

static void forget_rows(struct screen *s)
{
    strv_done(&s->ids);
}

static void show_line(struct screen *s, const struct progress_line *l)
{
    auto_buf struct buf text = BUF_MAX(LINE_MAX_BYTES);
    bool has_id = l->id != NULL && *l->id != '\0';
    if (s->quiet)
        return;
    if (l->stream != NULL && *l->stream != '\0') {
        forget_rows(s);
        (void)fputs(l->stream, s->to);
        return;
    }
    bool counting = l->detail != NULL && (l->detail->current > 0 || l->detail->total > 0);
    if (!s->tty && counting)
        return;
    if (has_id)
        buf_printf(&text, "%s: ", l->id);
    buf_adds(&text, l->status != NULL ? l->status : "");
    if (s->tty && counting) {
        buf_addc(&text, ' ');
        add_bar(s, &text, l->detail);
    }
    if (!s->tty || !has_id || l->detail == NULL) {
        forget_rows(s);
        (void)fprintf(s->to, "%s\n", buf_cstr(&text));
        return;
    }
    size_t up = row_of(s, l->id);
    (void)fprintf(s->to, "\x1b[%zuA\x1b[2K\r%s\r\x1b[%zuB", up, buf_cstr(&text), up);
}

static int take_line(struct screen *s, const char *p, size_t n, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct progress_line l;
    while (n > 0 && (p[n - 1] == '\r' || p[n - 1] == '\n'))
        n--;
    if (n == 0)
        return 0;
    TRY(json_parse(&progress_line_json, &l, p, n, a, e));
    const char *why = l.error_detail != NULL ? l.error_detail->message : l.error;
    if (why != NULL && *why != '\0')
        return err_set(e, ERR_INTERNAL, "%s", why);
    if (l.aux != NULL && s->aux != NULL)
        s->aux(s->arg, l.aux);
    if (l.aux == NULL || l.status != NULL || l.stream != NULL)
        show_line(s, &l);
    return 0;
}

int progress_show(struct cli *c, struct http_resp *r, FILE *to, bool quiet, struct err *e)
{
    return progress_show_aux(c, r, to, quiet, NULL, NULL, e);
}

int progress_show_aux(struct cli *c, struct http_resp *r, FILE *to, bool quiet,
                      progress_aux_fn *aux, void *arg, struct err *e)
{
    auto_buf struct buf pending = BUF_MAX(LINE_MAX_BYTES);
    struct screen s = {
        .c = c, .to = to, .tty = term_is(fileno(to)), .quiet = quiet, .aux = aux, .arg = arg};
    unsigned rows;
    int rc = 0;
    term_size(fileno(to), &rows, &s.cols);
    while (rc == 0) {
        char bytes[16384];
        ssize_t n = http_resp_read(r, bytes, sizeof(bytes), e);
        if (n <= 0) {
            rc = n < 0 ? -1 : take_line(&s, buf_cstr(&pending), pending.n, e);
            break;
        }
        if (buf_add(&pending, bytes, (size_t)n) < 0)
            rc = err_set(e, ERR_TOO_LARGE, "a progress message is longer than %u bytes",
                         LINE_MAX_BYTES);
        for (char *nl;
             rc == 0 && pending.n > 0 && (nl = memchr(pending.p, '\n', pending.n)) != NULL;) {
            rc = take_line(&s, pending.p, (size_t)(nl - pending.p), e);
            buf_consume(&pending, (size_t)(nl - pending.p) + 1);
        }
        (void)fflush(to);
    }
    forget_rows(&s);
    (void)fflush(to);
    return rc;
}
