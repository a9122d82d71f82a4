/*
 * Reading heads and bodies from a stream.
 *
 * There is no input buffer: bytes are read straight to where they are wanted, and what was read too
 * far is given back to the stream. So a hijacked connection or the next request finds it there.
 */
#include "rpc/http.h"

#define LINE_MAX_BYTES 4096u /* a chunk's size with its extensions; one trailer */
#define TRAILERS_MAX (64u << 10)

/* States of the decoder. The start must be 0. */
enum {
    CHUNK_SIZE, /* hex digits */
    CHUNK_EXT,  /* behind them, to the CR */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER, /* at the start of a line behind the last chunk */
    CHUNK_TRAILER_LINE,
    CHUNK_TRAILER_LF,
    CHUNK_LAST_LF,
    CHUNK_END,
};

static int bad(struct err *e, const char *what)
{
    return err_set(e, ERR_INVALID, "malformed chunked body: %s", what);
}

static int size_byte(struct http_chunks *c, char byte, struct err *e)
{
    int d = hex_digit(byte);
    if (d >= 0) {
        if (c->left > (INT64_MAX >> 4))
            return bad(e, "chunk size is too large");
        c->left = c->left << 4 | (uint64_t)d;
        c->digits = true;
        return 0;
    }
    if (!c->digits)
        return bad(e, "no chunk size");
    if (byte != '\r' && byte != ';' && byte != ' ' && byte != '\t')
        return bad(e, "bad chunk size");
    c->state = byte == '\r' ? CHUNK_SIZE_LF : CHUNK_EXT;
    return 0;
}

/* Go to next when byte is the one that must stand here. */
static int expect(struct http_chunks *c, char byte, char wanted, int next, struct err *e)
{
    if (byte != wanted)
        return bad(e, "line end expected");
    c->state = next;
    c->line = 0;
    return 0;
}

/* A byte of an extension or a trailer, whose content nobody asks for. */
static int skip_byte(struct http_chunks *c, char byte, int next, struct err *e)
{
    if (byte == '\n' || byte == '\0')
        return bad(e, "bad character in a line");
    if (byte == '\r')
        c->state = next;
    return 0;
}

/* One byte that is not data. */
static int line_byte(struct http_chunks *c, char byte, struct err *e)
{
    if (++c->line > LINE_MAX_BYTES)
        return bad(e, "line is too long");
    if (c->state >= CHUNK_TRAILER && ++c->trailers > TRAILERS_MAX)
        return bad(e, "too many trailers");
    switch (c->state) {
    case CHUNK_SIZE:
        return size_byte(c, byte, e);
    case CHUNK_EXT:
        return skip_byte(c, byte, CHUNK_SIZE_LF, e);
    case CHUNK_SIZE_LF:
        return expect(c, byte, '\n', c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER, e);
    case CHUNK_DATA_CR:
        return expect(c, byte, '\r', CHUNK_DATA_LF, e);
    case CHUNK_DATA_LF:
        c->digits = false;
        return expect(c, byte, '\n', CHUNK_SIZE, e);
    case CHUNK_TRAILER:
        c->state = CHUNK_TRAILER_LINE;
        return skip_byte(c, byte, CHUNK_LAST_LF, e);
    case CHUNK_TRAILER_LINE:
        return skip_byte(c, byte, CHUNK_TRAILER_LF, e);
    case CHUNK_TRAILER_LF:
        return expect(c, byte, '\n', CHUNK_TRAILER, e);
    default: /* CHUNK_LAST_LF */
        return expect(c, byte, '\n', CHUNK_END, e);
    }
}

int http_chunks_decode(struct http_chunks *c, char *p, size_t n, size_t *out_used, size_t *out_n,
                       struct err *e)
{
    size_t used = 0, body = 0;

    while (used < n && c->state != CHUNK_END) {
        if (c->state != CHUNK_DATA) {
            TRY(line_byte(c, p[used++], e));
            continue;
        }
        size_t take = (size_t)MIN(c->left, n - used);
        memmove(p + body, p + used, take);
        body += take;
        used += take;
        c->left -= take;
        if (c->left == 0)
            c->state = CHUNK_DATA_CR;
    }
    *out_used = used;
    *out_n = body;
    return c->state == CHUNK_END;
}

struct http_body http_body_of(const struct http_head *head)
{
    struct http_body b = {.framing = head->framing, .left = head->length};
    b.ended = b.framing == HTTP_BODY_NONE || (b.framing == HTTP_BODY_LENGTH && b.left == 0);
    return b;
}

static ssize_t chunked_try(struct http_body *b, struct stream *s, char *p, size_t n, struct err *e)
{
    for (;;) {
        ssize_t got = stream_try_read(s, p, n, e);
        if (got == STREAM_AGAIN || got < 0)
            return got;
        if (got == 0)
            return err_set(e, ERR_UNAVAILABLE, "unexpected end of a chunked body");
        size_t used, body;
        int ended = http_chunks_decode(&b->chunks, p, (size_t)got, &used, &body, e);
        TRY(ended);
        if (ended) {
            b->ended = true;
            stream_unread(s, p + used, (size_t)got - used);
        }
        if (body > 0 || ended)
            return (ssize_t)body;
    }
}

ssize_t http_body_try(struct http_body *b, struct stream *s, void *p, size_t n, struct err *e)
{
    if (b->ended)
        return 0;
    if (b->framing == HTTP_BODY_CHUNKED)
        return chunked_try(b, s, p, n, e);
    if (b->framing == HTTP_BODY_LENGTH)
        n = (size_t)MIN(n, b->left);
    ssize_t got = stream_try_read(s, p, n, e);
    if (got == STREAM_AGAIN || got < 0)
        return got;
    if (b->framing == HTTP_BODY_CLOSE) {
        b->ended = got == 0;
        return got;
    }
    if (got == 0)
        return err_set(e, ERR_UNAVAILABLE, "unexpected end of the body, %llu bytes are missing",
                       (unsigned long long)b->left);
    b->left -= (uint64_t)got;
    b->ended = b->left == 0;
    return got;
}

ssize_t http_head_try(struct stream *s, struct buf *head, size_t *seen, struct err *e)
{
    for (;;) {
        char *at = buf_reserve(head, 2048);
        if (at == NULL)
            return err_set(e, ERR_TOO_LARGE, "head is larger than %u bytes", HTTP_HEAD_MAX);
        ssize_t got = stream_try_read(s, at, 2048, e);
        if (got == STREAM_AGAIN || got < 0)
            return got;
        if (got == 0 && head->n > 0)
            return err_set(e, ERR_UNAVAILABLE, "unexpected end of the head");
        if (got == 0)
            return 0;
        buf_commit(head, (size_t)got);
        ssize_t len = http_head_find(head->p, head->n, seen, e);
        if (len < 0)
            return -1;
        if (len > 0) {
            stream_unread(s, head->p + len, head->n - (size_t)len);
            head->n = (size_t)len;
            head->p[len] = '\0';
            return len;
        }
    }
}
