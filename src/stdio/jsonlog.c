/*
 * The writer of jsonlog.h. Lines are cut out of the bytes as they come and their records collected
 * in one buffer that is written at once: the file grows by whole records only, except for what a
 * full disk tears, which is cut off again.
 */
#include "stdio/jsonlog.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "stdio/jsonlog_files.h"
#include "stdio/jsonlog_gzip.h"
#include "sys/fd.h"

#define BATCH ((size_t)64 << 10) /* bytes of records that are written at once */
#define RECORD_MAX \
    ((size_t)256 << 10)            /* 16 KiB of text with the longest escapes, attrs, the rest */
#define KEEP ((size_t)1 << 10)     /* of memory between writes */
#define TORN_LOOK ((off_t)1 << 20) /* how far back a whole record is looked for */

struct pending {
    struct buf text; /* of a line whose end has not come */
    bool partial;    /* earlier pieces of this line were written */
    int64_t time_ns; /* of its first byte */
};

struct jsonlog {
    char *path, *attrs;
    int fd; /* -1 after a failed rotation: opened again by the next write */
    int64_t size, max_size, max_file;
    struct log_gzip *gzip; /* NULL: rotated files stay as they are */
    bool wants_gzip;
    struct pending pending[2];
    struct buf out; /* whole records, not yet written */
    int64_t second; /* the time text begins with this second */
    char second_text[TIME_TEXT_MAX];
};

/* ---- the file */

/* Cut off what follows the last whole record. */
static int mend_end(int fd, int64_t *size, struct err *e)
{
    char chunk[4096];
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(e, "stat log file");
    off_t end = st.st_size, low = MAX((off_t)0, end - TORN_LOOK);
    while (end > low) {
        off_t from = MAX(low, end - (off_t)sizeof(chunk));
        ssize_t n = pread(fd, chunk, (size_t)(end - from), from);
        if (n <= 0)
            return err_sys(e, "read log file");
        const char *nl = memrchr(chunk, '\n', (size_t)n);
        end = nl != NULL ? from + (nl - chunk) + 1 : from;
        if (nl != NULL)
            break;
    }
    if (end < st.st_size && ftruncate(fd, end) < 0)
        return err_sys(e, "truncate log file");
    *size = end;
    return 0;
}

static int open_file(struct jsonlog *l, struct err *e)
{
    auto_fd int fd = open(l->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0)
        return err_sys(e, "open log file %s", l->path);
    TRY(mend_end(fd, &l->size, e));
    l->fd = take_fd(&fd);
    return 0;
}

static int remove_oldest(const struct jsonlog *l, bool gz, struct err *e)
{
    auto_free char *name = jsonlog_file_name(l->path, l->max_file - 1, gz);
    if (unlink(name) < 0 && errno != ENOENT)
        return err_sys(e, "remove log file %s", name);
    return 0;
}

/* The file that has number i, in this form, gets the next one. */
static int renumber(const struct jsonlog *l, int64_t i, bool gz, struct err *e)
{
    auto_free char *from = jsonlog_file_name(l->path, i, gz);
    auto_free char *to = jsonlog_file_name(l->path, i + 1, gz);
    if (rename(from, to) < 0 && errno != ENOENT)
        return err_sys(e, "rotate log file %s", from);
    return 0;
}

/* name.1 becomes name.2 and so on, the oldest goes. Never have two files the same number: readers
 * find their place by it. One that has a file open can read it to its end. */
static int rotate(struct jsonlog *l, struct err *e)
{
    fd_close(l->fd);
    l->fd = -1;
    TRY(remove_oldest(l, false, e));
    if (l->gzip != NULL)
        TRY(remove_oldest(l, true, e));
    for (int64_t i = l->max_file - 2; i >= 0; i--) {
        TRY(renumber(l, i, false, e));
        if (l->gzip != NULL && i > 0)
            TRY(renumber(l, i, true, e));
    }
    l->wants_gzip = l->gzip != NULL;
    return open_file(l, e);
}

bool jsonlog_wants_compress(const struct jsonlog *l)
{
    return l->wants_gzip;
}

int jsonlog_compress(struct jsonlog *l, struct err *e)
{
    int more = l->wants_gzip ? log_gzip_step(l->gzip, e) : 0;
    l->wants_gzip = more > 0;
    return more < 0 ? -1 : 0;
}

static int flush(struct jsonlog *l, struct err *e)
{
    size_t done = 0;
    int saved = 0;
    while (l->fd >= 0 && done < l->out.n) {
        ssize_t n = write(l->fd, l->out.p + done, l->out.n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            saved = errno;
            break;
        }
        done += (size_t)n;
    }
    if (saved != 0) { /* keep the whole records that fitted */
        const char *nl = done == 0 ? NULL : memrchr(l->out.p, '\n', done);
        done = nl == NULL ? 0 : (size_t)(nl - l->out.p) + 1;
        if (ftruncate(l->fd, l->size + (int64_t)done) < 0) {
            fd_close(l->fd); /* opening it again mends it */
            l->fd = -1;
        }
    }
    l->size += (int64_t)done;
    buf_reset(&l->out);
    if (l->out.cap > KEEP)
        buf_done(&l->out);
    if (saved != 0)
        return err_neg(e, -saved, "write log file %s", l->path);
    return 0;
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
static void add_time(struct jsonlog *l, int64_t ns)
{
    int64_t second = ns / NS_PER_S, part = ns % NS_PER_S;
    if (second != l->second || l->second_text[0] == '\0') {
        time_format(second * NS_PER_S, l->second_text);
        l->second = second;
    }
    buf_add(&l->out, l->second_text, strlen("2006-01-02T15:04:05"));
    if (part > 0) {
        char digits[12];
        int n = snprintf(digits, sizeof(digits), ".%09lld", (long long)part);
        while (digits[n - 1] == '0')
            n--;
        buf_add(&l->out, digits, (size_t)n);
    }
    buf_addc(&l->out, 'Z');
}

static int add_record(struct jsonlog *l, enum stdio_stream stream, struct str text, bool newline,
                      int64_t time_ns, struct err *e)
{
    int r = 0;
    if (l->max_size >= 0 && l->size + (int64_t)l->out.n >= l->max_size && l->size + l->out.n > 0) {
        r = flush(l, e);
        if (r == 0)
            r = rotate(l, e);
    } else if (l->out.n >= BATCH) {
        r = flush(l, e);
    }
    buf_adds(&l->out, "{\"log\":\"");
    add_escaped(&l->out, (const unsigned char *)text.p, text.n);
    if (newline)
        buf_adds(&l->out, "\\n");
    buf_adds(&l->out,
             stream == STDIO_ERR ? "\",\"stream\":\"stderr\"" : "\",\"stream\":\"stdout\"");
    if (l->attrs != NULL) {
        buf_adds(&l->out, ",\"attrs\":");
        buf_adds(&l->out, l->attrs);
    }
    buf_adds(&l->out, ",\"time\":\"");
    add_time(l, time_ns);
    buf_adds(&l->out, "\"}\n");
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
    if (l->fd < 0)
        TRY(open_file(l, e));
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
    if (l->fd < 0)
        TRY(open_file(l, e));
    int r = end_piece(l, stream, "", 0, PIECE_LAST, w->time_ns, e);
    return flush(l, e) < 0 ? -1 : r;
}

int jsonlog_open(const struct jsonlog_opts *o, struct jsonlog **out, struct err *e)
{
    struct jsonlog *l = mem_alloc(sizeof(*l));
    l->path = mem_strdup(o->path);
    l->attrs = mem_strdup(o->attrs);
    l->max_size = o->max_size;
    l->max_file = o->max_file;
    l->gzip = o->compress ? log_gzip_new(o->path, o->max_file) : NULL;
    l->wants_gzip = o->compress; /* of an earlier run */
    l->fd = -1;
    l->out.max = BATCH + RECORD_MAX;
    l->pending[0].text.max = l->pending[1].text.max = JSONLOG_LINE_MAX;
    if (open_file(l, e) < 0) {
        jsonlog_close(l);
        return -1;
    }
    *out = l;
    return 0;
}

void jsonlog_close(struct jsonlog *l)
{
    if (l == NULL)
        return;
    fd_close(l->fd);
    log_gzip_free(l->gzip);
    buf_done(&l->out);
    buf_done(&l->pending[0].text);
    buf_done(&l->pending[1].text);
    free(l->path);
    free(l->attrs);
    free(l);
}
