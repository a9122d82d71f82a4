/*
 * The writer of jsonlog.h: lines are cut out of the bytes as they come, and each becomes a record
 * of the file, or of the queue before it.
 */
#include "stdio/jsonlog.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"

struct pending {
    struct buf text; /* of a line whose end has not come */
    bool partial;    /* earlier pieces of this line were written */
    int64_t time_ns; /* of its first byte */
};

struct jsonlog {
    char *attrs;
    struct log_file *file;   /* or */
    struct log_queue *queue; /* borrowed */
    struct pending pending[2];
    int64_t second; /* the time text begins with this second */
    char second_text[TIME_TEXT_MAX];
};

/* ---- where records go */

/* Where the next record is appended. */
static int begin(struct jsonlog *l, struct buf **out, struct err *e)
{
    if (l->file != NULL)
        return log_file_begin(l->file, out, e);
    return log_queue_begin(l->queue, out, e);
}

static int flush(struct jsonlog *l, struct err *e)
{
    return l->file != NULL ? log_file_flush(l->file, e) : log_queue_flush(l->queue, e);
}

/* ---- one record */

/* The bytes of a JSON string as dockerd's encoder escapes them. */
static void add_escaped(struct buf *out, const unsigned char *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    size_t start = 0, i = 0;
    while (i < n) {
        unsigned char c = p[i];
        size_t len = 1;
        char text[8] = "\\";
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&') {
            i++;
            continue;
        }
        if (c >= 0x80) {
            len = utf8_len(p + i, n - i);
            bool line_sep = len == 3 && p[i] == 0xe2 && p[i + 1] == 0x80 && (p[i + 2] | 1) == 0xa9;
            if (len > 0 && !line_sep) {
                i += len;
                continue;
            }
            memcpy(text, len == 0 ? "\\ufffd" : p[i + 2] == 0xa8 ? "\\u2028" : "\\u2029", 7);
            len = MAX(len, 1U);
        } else if (c == '"' || c == '\\' || c == '\n' || c == '\r') {
            text[1] = (char)(c == '\n' ? 'n' : c == '\r' ? 'r' : c);
        } else {
            memcpy(text, "\\u00", 5);
            text[4] = digits[c >> 4];
            text[5] = digits[c & 15];
        }
        buf_add(out, p + start, i - start);
        buf_adds(out, text);
        i += len;
        start = i;
    }
    buf_add(out, p + start, n - start);
}

/* RFC 3339 with the fraction's trailing zeros left out; the date is formatted once a second. */
static void add_time(struct jsonlog *l, int64_t ns, struct buf *out)
{
    int64_t second = ns / NS_PER_S, part = ns % NS_PER_S;
    if (second != l->second || l->second_text[0] == '\0') {
        time_format(second * NS_PER_S, l->second_text);
        l->second = second;
    }
    buf_add(out, l->second_text, strlen("2006-01-02T15:04:05"));
    if (part > 0) {
        char digits[12];
        int n = snprintf(digits, sizeof(digits), ".%09lld", (long long)part);
        while (digits[n - 1] == '0')
            n--;
        buf_add(out, digits, (size_t)n);
    }
    buf_addc(out, 'Z');
}

static int add_record(struct jsonlog *l, enum stdio_stream stream, struct str text, bool newline,
                      int64_t time_ns, struct err *e)
{
    struct buf *out;
    int r = begin(l, &out, e);
    buf_adds(out, "{\"log\":\"");
    add_escaped(out, (const unsigned char *)text.p, text.n);
    if (newline)
        buf_adds(out, "\\n");
    buf_adds(out, stream == STDIO_ERR ? "\",\"stream\":\"stderr\"" : "\",\"stream\":\"stdout\"");
    if (l->attrs != NULL) {
        buf_adds(out, ",\"attrs\":");
        buf_adds(out, l->attrs);
    }
    buf_adds(out, ",\"time\":\"");
    add_time(l, time_ns, out);
    buf_adds(out, "\"}\n");
    return r;
}

/* ---- lines */

/* Bytes at the end of s that begin a UTF-8 character without ending it: they go into the next
 * piece. */
static size_t cut_character(struct str s)
{
    for (size_t k = 1; k <= 3 && k < s.n; k++) {
        unsigned char c = (unsigned char)s.p[s.n - k];
        if (c >= 0xc0)
            return c >= (k == 1 ? 0xc0 : k == 2 ? 0xe0 : 0xf0) ? k : 0;
        if (c < 0x80)
            return 0;
    }
    return 0;
}

enum piece { PIECE_LINE, PIECE_FULL, PIECE_LAST };

/* One piece of a line: what was waiting and n more bytes. */
static int end_piece(struct jsonlog *l, enum stdio_stream stream, const char *p, size_t n,
                     enum piece how, int64_t now_ns, struct err *e)
{
    struct pending *w = &l->pending[stream == STDIO_ERR];
    int64_t time_ns = w->partial || w->text.n > 0 ? w->time_ns : now_ns;
    struct str text = {p, n};
    char cut[4];
    if (w->text.n > 0) {
        buf_add(&w->text, p, n);
        text = (struct str){w->text.p, w->text.n};
    }
    size_t n_cut = how == PIECE_FULL ? cut_character(text) : 0;
    text.n -= n_cut;
    memcpy(cut, text.p + text.n, n_cut);
    int r = add_record(l, stream, text, how == PIECE_LINE, time_ns, e);
    buf_done(&w->text);
    buf_add(&w->text, cut, n_cut);
    w->partial = how == PIECE_FULL;
    w->time_ns = time_ns;
    return r;
}

int jsonlog_write(struct jsonlog *l, enum stdio_stream stream, const void *bytes, size_t n,
                  int64_t now_ns, struct err *e)
{
    struct pending *w = &l->pending[stream == STDIO_ERR];
    const char *p = bytes;
    int r = 0;
    if (l->file != NULL)
        TRY(log_file_reopen(l->file, e));
    while (n > 0) {
        size_t room = JSONLOG_LINE_MAX - w->text.n;
        const char *nl = memchr(p, '\n', MIN(n, room));
        size_t take = nl != NULL ? (size_t)(nl - p) : MIN(n, room);
        if (nl == NULL && take < room) { /* the line goes on in the next call */
            if (w->text.n == 0 && !w->partial)
                w->time_ns = now_ns;
            buf_add(&w->text, p, take);
            break;
        }
        if (end_piece(l, stream, p, take, nl != NULL ? PIECE_LINE : PIECE_FULL, now_ns, e) < 0)
            r = -1;
        p += take + (nl != NULL);
        n -= take + (nl != NULL);
    }
    return flush(l, e) < 0 ? -1 : r;
}

int jsonlog_end(struct jsonlog *l, enum stdio_stream stream, struct err *e)
{
    struct pending *w = &l->pending[stream == STDIO_ERR];
    if (w->text.n == 0)
        return 0;
    if (l->file != NULL)
        TRY(log_file_reopen(l->file, e));
    int r = end_piece(l, stream, "", 0, PIECE_LAST, w->time_ns, e);
    return flush(l, e) < 0 ? -1 : r;
}

int jsonlog_open(const struct jsonlog_opts *o, struct jsonlog **out, struct err *e)
{
    struct jsonlog *l = mem_alloc(sizeof(*l));
    l->attrs = mem_strdup(o->attrs);
    l->queue = o->queue;
    l->pending[0].text.max = l->pending[1].text.max = JSONLOG_LINE_MAX;
    if (o->queue == NULL && log_file_open(&o->file, &l->file, e) < 0) {
        jsonlog_close(l);
        return -1;
    }
    *out = l;
    return 0;
}

bool jsonlog_wants_compress(const struct jsonlog *l)
{
    return l->file != NULL && log_file_wants_compress(l->file);
}

int jsonlog_compress(struct jsonlog *l, struct err *e)
{
    return l->file != NULL ? log_file_compress(l->file, e) : 0;
}

void jsonlog_close(struct jsonlog *l)
{
    if (l == NULL)
        return;
    log_file_close(l->file);
    buf_done(&l->pending[0].text);
    buf_done(&l->pending[1].text);
    free(l->attrs);
    free(l);
}
