/*
 * Heads of requests and responses.
 *
 * A head is parsed in place into slices; nothing is allocated and nothing is repaired. Whatever two
 * implementations could read differently (bare LF, folded lines, a space before the colon, two
 * lengths, a length beside chunks) is refused, because that difference is how requests are
 * smuggled. RFC 9112 sections 2 to 6.
 */
#include <stdint.h>

#include "rpc/http.h"

/* tchar of RFC 9110 5.6.2 */
static bool is_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char((unsigned char)s.p[i]))
            return false;
    return s.n > 0;
}

/* No control characters but tabs. */
static bool is_field_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

ssize_t http_head_find(const char *p, size_t n, size_t *seen, struct err *e)
{
    size_t end = MIN(n, HTTP_HEAD_MAX);
    for (size_t i = *seen; i < end; i++) {
        if (p[i] == '\0')
            return err_set(e, ERR_INVALID, "malformed head: NUL");
        if (p[i] != '\n')
            continue;
        if (i == 0 || p[i - 1] != '\r')
            return err_set(e, ERR_INVALID, "malformed head: line feed without carriage return");
        if (i >= 3 && p[i - 2] == '\n')
            return (ssize_t)i + 1;
    }
    *seen = end;
    if (n >= HTTP_HEAD_MAX)
        return err_set(e, ERR_TOO_LARGE, "head is larger than %u bytes", HTTP_HEAD_MAX);
    return 0;
}

struct str http_head_get(const struct http_head *h, const char *name)
{
    for (size_t i = 0; i < h->n_headers; i++)
        if (str_ieq(h->headers[i].name, name))
            return h->headers[i].value;
    return (struct str){0};
}

bool http_head_has_token(const struct http_head *h, const char *name, const char *token)
{
    for (size_t i = 0; i < h->n_headers; i++) {
        if (!str_ieq(h->headers[i].name, name))
            continue;
        struct str list = h->headers[i].value;
        while (list.n > 0)
            if (str_ieq(str_trim(str_cut(&list, ',')), token))
                return true;
    }
    return false;
}

/* The next line without its CRLF. */
static struct str next_line(struct str *head)
{
    struct str line = str_cut(head, '\n');
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static int parse_headers(struct str head, struct http_head *out, struct err *e)
{
    for (;;) {
        struct str line = next_line(&head);
        if (line.n == 0)
            return 0;
        if (line.p[0] == ' ' || line.p[0] == '\t')
            return err_set(e, ERR_INVALID, "malformed header: folded line");
        if (str_index(line, ':') < 0)
            return err_set(e, ERR_INVALID, "malformed header: no colon");
        struct http_header h = {.name = str_cut(&line, ':')};
        h.value = str_trim(line);
        if (!is_token(h.name))
            return err_set(e, ERR_INVALID, "malformed header name");
        if (!is_field_value(h.value))
            return err_set(e, ERR_INVALID, "malformed value of header %.*s",
                           (int)MIN(h.name.n, 100), h.name.p);
        if (out->n_headers == HTTP_HEADERS_MAX)
            return err_set(e, ERR_TOO_LARGE, "more than %d headers", HTTP_HEADERS_MAX);
        out->headers[out->n_headers++] = h;
    }
}

static size_t count_of(const struct http_head *h, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n_headers; i++)
        n += str_ieq(h->headers[i].name, name);
    return n;
}

/* What Content-Length and Transfer-Encoding say; HTTP_BODY_NONE without them. */
static int parse_framing(struct http_head *h, struct err *e)
{
    size_t lengths = count_of(h, "Content-Length"), codings = count_of(h, "Transfer-Encoding");

    if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0))
        return err_set(e, ERR_INVALID, "ambiguous framing of the body");
    if (codings > 0) {
        if (h->minor == 0)
            return err_set(e, ERR_INVALID, "Transfer-Encoding with HTTP/1.0");
        if (!str_ieq(http_head_get(h, "Transfer-Encoding"), "chunked"))
            return err_set(e, ERR_UNIMPLEMENTED, "unsupported transfer encoding");
        h->framing = HTTP_BODY_CHUNKED;
    }
    if (lengths > 0) {
        if (!str_to_u64(http_head_get(h, "Content-Length"), 0, INT64_MAX, &h->length))
            return err_set(e, ERR_INVALID, "malformed Content-Length");
        h->framing = HTTP_BODY_LENGTH;
    }
    h->keep_alive = h->minor == 1 && !http_head_has_token(h, "Connection", "close");
    return 0;
}

/* "HTTP/1.0" or "HTTP/1.1". */
static int parse_version(struct str v, struct http_head *out, struct err *e)
{
    if (!str_starts(v, "HTTP/") || v.n != 8 || v.p[6] != '.')
        return err_set(e, ERR_INVALID, "malformed HTTP version");
    if (v.p[5] != '1' || (v.p[7] != '0' && v.p[7] != '1'))
        return err_set(e, ERR_UNIMPLEMENTED, "unsupported HTTP version");
    out->minor = v.p[7] - '0';
    return 0;
}

static bool is_target(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7f)
            return false;
    return s.n > 0;
}

int http_head_parse_request(const char *p, size_t n, struct http_head *out, struct err *e)
{
    struct str head = {p, n}, line = next_line(&head);

    memset(out, 0, sizeof(*out));
    out->method = str_cut(&line, ' ');
    out->target = str_cut(&line, ' ');
    if (!is_token(out->method) || !is_target(out->target))
        return err_set(e, ERR_INVALID, "malformed request line");
    TRY(parse_version(line, out, e));
    TRY(parse_headers(head, out, e));
    TRY(parse_framing(out, e));
    if (count_of(out, "Host") != 1 && (out->minor == 1 || count_of(out, "Host") > 1))
        return err_set(e, ERR_INVALID, "missing or repeated Host header");
    if (count_of(out, "Expect") > 0) {
        if (!str_ieq(http_head_get(out, "Expect"), "100-continue"))
            return err_set(e, ERR_INVALID, "unknown expectation");
        out->expect_continue = out->minor == 1 && out->framing != HTTP_BODY_NONE;
    }
    return 0;
}

int http_head_parse_response(const char *p, size_t n, const char *method, struct http_head *out,
                             struct err *e)
{
    struct str head = {p, n}, line = next_line(&head);
    uint64_t status;

    memset(out, 0, sizeof(*out));
    TRY(parse_version(str_cut(&line, ' '), out, e));
    struct str code = str_cut(&line, ' ');
    if (code.n != 3 || !str_to_u64(code, 100, 999, &status) || !is_field_value(line))
        return err_set(e, ERR_INVALID, "malformed status line");
    out->status = (int)status;
    out->reason = line;
    TRY(parse_headers(head, out, e));
    TRY(parse_framing(out, e));
    bool never = out->status < 200 || out->status == 204 || out->status == 304;
    if (never || strcmp(method, "HEAD") == 0)
        out->framing = HTTP_BODY_NONE;
    else if (out->framing == HTTP_BODY_NONE)
        out->framing = HTTP_BODY_CLOSE;
    if (out->framing == HTTP_BODY_CLOSE)
        out->keep_alive = false;
    return 0;
}

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "UPGRADED"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Request Entity Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}
