/* Logs: records of the json-file log, as frames or raw text. */
#include "engine/logs.h"

#include <sys/eventfd.h>

#include "base/time.h"
#include "engine/core.h"
#include "rpc/http.h"
#include "stdio/attach.h"
#include "stdio/jsonlog_reader.h"
#include "sys/fd.h"

enum { OUT_MAX = 4 << 20 };

static int parse_times(const struct logs_opts *o, struct jsonlog_reader_opts *r, struct err *e)
{
    const struct {
        const char *text, *what;
        int64_t *out;
    } t[] = {{o->since, "since", &r->since_ns}, {o->until, "until", &r->until_ns}};

    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        if (t[i].text != NULL && t[i].text[0] != '\0' && strcmp(t[i].text, "0") != 0 &&
            !time_parse_unix_or_rfc3339(str_of(t[i].text), t[i].out))
            return err_set(e, ERR_INVALID, "invalid value for \"%s\": \"%s\"", t[i].what,
                           t[i].text);
    return 0;
}

int container_logs_check(struct container *c, const struct logs_opts *o, bool *out_multiplexed,
                         struct err *e)
{
    auto_view struct view v = container_view(c);
    struct jsonlog_reader_opts r = {0};

    if (!o->out && !o->err)
        return err_set(e, ERR_INVALID,
                       "Bad parameters: you must choose at least one stream (stdout or stderr)");
    if (v.state->removing || v.state->dead)
        return err_set(e, ERR_CONFLICT,
                       "can not get logs from container which is dead or marked for removal");
    if (v.rec->log_path == NULL || v.rec->log_path[0] == '\0')
        return err_set(e, ERR_UNIMPLEMENTED, "configured logging driver does not support reading");
    TRY(parse_times(o, &r, e));
    *out_multiplexed = !v.rec->config.tty;
    return 0;
}

/* The attributes of a record: any object of strings. */
#define LOG_ATTRS(T, F) F(T, map, attrs, "attrs", 0)
JSON_TYPE(log_attrs, LOG_ATTRS)
JSON_DESC(log_attrs, LOG_ATTRS)

/* As Go's url.QueryEscape: a space becomes a plus. */
static void write_escaped(const char *text, struct arena *a, struct buf *out)
{
    for (;;) {
        size_t n = strcspn(text, " ");
        http_encode_query(out, arena_strndup(a, text, n));
        if (text[n] == '\0')
            return;
        buf_addc(out, '+');
        text += n + 1;
    }
}

/* {"k":"v"} as "k=v,k2=v2 " */
static void write_details(struct str attrs, struct buf *line)
{
    auto_arena struct arena *a = arena_new();
    struct log_attrs doc = {0};
    struct err ignored = {0};
    const char *text;

    if (attrs.n == 0)
        return;
    text = arena_printf(a, "{\"attrs\":%.*s}", STR_ARG(attrs));
    if (json_parse(&log_attrs_json, &doc, text, strlen(text), a, &ignored) < 0 || doc.attrs.n == 0)
        return;
    for (size_t i = 0; i < doc.attrs.n; i++) {
        buf_adds(line, i > 0 ? "," : "");
        write_escaped(doc.attrs.v[i].key, a, line);
        buf_addc(line, '=');
        write_escaped(doc.attrs.v[i].val, a, line);
    }
    buf_addc(line, ' ');
}

static int write_record(const struct jsonlog_record *rec, const struct logs_opts *o, bool tty,
                        struct buf *out, const struct sink *sink, struct err *e)
{
    unsigned char head[ATTACH_HEAD];
    char when[TIME_TEXT_MAX];
    size_t start = out->n;

    if (!tty)
        buf_add(out, head, sizeof(head)); /* filled in below */
    if (o->timestamps) {
        time_format_fixed(rec->time_ns, when);
        buf_printf(out, "%s ", when);
    }
    if (o->details)
        write_details(rec->attrs, out);
    buf_add(out, rec->line.p, rec->line.n);
    if (!tty) {
        attach_head_write((enum attach_type)rec->stream, out->n - start - sizeof(head), head);
        memcpy(out->p + start, head, sizeof(head));
    }
    if (out->n < 32 << 10 && !o->follow)
        return 0;
    TRY(sink->write(sink->arg, out->p, out->n, e));
    buf_reset(out);
    return 0;
}

int container_logs(struct container *c, const struct logs_opts *o, const struct sink *sink,
                   int cancel_fd, struct err *e)
{
    auto_view struct view v = container_view(c);
    auto_fd int ended = -1;
    auto_buf struct buf out = BUF_MAX(OUT_MAX);
    struct jsonlog_reader_opts ro = {
        .path = v.rec->log_path, .tail = -1, .ended_fd = -1, .cancel_fd = cancel_fd};
    struct jsonlog_reader *reader = NULL;
    struct jsonlog_record rec;
    uint64_t tail;
    int r;

    if (v.rec->log_path == NULL || v.rec->log_path[0] == '\0')
        return 0;
    TRY(parse_times(o, &ro, e));
    if (o->tail != NULL && str_to_u64(str_of(o->tail), 0, INT64_MAX, &tail))
        ro.tail = (int64_t)tail;
    if (o->follow && v.state->running) {
        ended = container_stopped_fd(c);
        ro.follow = true;
        ro.ended_fd = ended;
    }
    TRY(jsonlog_reader_open(&ro, &reader, e));
    while ((r = jsonlog_next(reader, &rec, e)) > 0) {
        if ((rec.stream == STDIO_OUT && !o->out) || (rec.stream == STDIO_ERR && !o->err))
            continue;
        if ((r = write_record(&rec, o, v.rec->config.tty, &out, sink, e)) < 0)
            break;
    }
    if (r == 0 && out.n > 0)
        r = sink->write(sink->arg, out.p, out.n, e);
    jsonlog_reader_close(reader);
    return r;
}
