/*
 * libcurl behind one call: see http.h. Handles are kept for their connections; only the sink's
 * bytes of a 2xx leave this file, what an error page says is kept aside.
 */
#include "registry/http.h"

#include <curl/curl.h>
#include <openssl/x509_vfy.h>
#include <poll.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/vec.h"

enum { BODY_MAX = 4 << 20, POOL_MAX = 8 };

struct http_pool {
    pthread_mutex_t lock;
    VEC(CURL *) idle; /* guarded by lock */
};

/* A request under way. */
struct flight {
    CURL *curl;
    const struct http_request *rq;
    struct http_reply *out;
    struct err err; /* of sink or begin */
    bool begun;
    int64_t put_at; /* offset in the body that goes out */
};

struct http_pool *http_pool_new(void)
{
    struct http_pool *p = mem_alloc(sizeof(*p));
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void http_pool_free(struct http_pool *p)
{
    if (p == NULL)
        return;
    vec_each(c, &p->idle) {
        curl_easy_cleanup(*c);
    }
    vec_done(&p->idle);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static CURL *take(struct http_pool *p)
{
    CURL *c = NULL;
    pthread_mutex_lock(&p->lock);
    if (p->idle.n > 0)
        c = p->idle.v[--p->idle.n];
    pthread_mutex_unlock(&p->lock);
    if (c == NULL)
        c = curl_easy_init();
    if (c == NULL)
        abort(); /* out of memory */
    return c;
}

static void give_back(struct http_pool *p, CURL *c)
{
    curl_easy_reset(c);
    pthread_mutex_lock(&p->lock);
    if (p->idle.n < POOL_MAX) {
        vec_push(&p->idle, c);
        c = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    if (c != NULL)
        curl_easy_cleanup(c);
}

void http_reply_done(struct http_reply *r)
{
    buf_done(&r->body);
}

/* ---- callbacks ---- */

static void keep(char *out, size_t size, struct str value)
{
    size_t n = MIN(value.n, size - 1);
    memcpy(out, value.p, n);
    out[n] = 0;
}

static size_t on_header(char *p, size_t size, size_t count, void *arg)
{
    struct flight *f = arg;
    struct str value = {p, size * count};
    while (value.n > 0 && (value.p[value.n - 1] == '\n' || value.p[value.n - 1] == '\r'))
        value.n--;
    if (str_starts(value, "HTTP/")) { /* of this hop: forget the redirect's */
        f->out->media_type[0] = f->out->digest[0] = f->out->challenge[0] = f->out->location[0] =
            f->out->next[0] = 0;
        f->out->length = -1;
        return size * count;
    }
    struct str name = str_cut(&value, ':');
    uint64_t n = 0;
    value = str_trim(value);
    if (str_ieq(name, "content-type")) {
        keep(f->out->media_type, sizeof(f->out->media_type), str_trim(str_cut(&value, ';')));
    } else if (str_ieq(name, "docker-content-digest")) {
        keep(f->out->digest, sizeof(f->out->digest), value);
    } else if (str_ieq(name, "content-length") && str_to_u64(value, 0, INT64_MAX, &n)) {
        f->out->length = (int64_t)n;
    } else if (str_ieq(name, "link") && value.n > 0 && value.p[0] == '<') {
        value.p++, value.n--;
        keep(f->out->next, sizeof(f->out->next), str_cut(&value, '>'));
        if (memmem(value.p, value.n, "next", 4) == NULL)
            f->out->next[0] = 0;
    } else if (str_ieq(name, "location")) {
        keep(f->out->location, sizeof(f->out->location), value);
    } else if (str_ieq(name, "www-authenticate")) {
        size_t have = strlen(f->out->challenge);
        if (have + value.n + 2 < sizeof(f->out->challenge)) {
            memcpy(f->out->challenge + have, value.p, value.n);
            memcpy(f->out->challenge + have + value.n, "\n", 2);
        }
    }
    return size * count;
}

static size_t on_body(char *p, size_t size, size_t count, void *arg)
{
    struct flight *f = arg;
    size_t n = size * count;
    long status = 0;
    (void)curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    if (f->rq->sink == NULL || (status != 200 && status != 206)) {
        if (buf_add(&f->out->body, p, n) < 0 && status / 100 == 2) {
            err_set(&f->err, ERR_TOO_LARGE, "the registry's answer is too long");
            return 0;
        }
        return n;
    }
    if (!f->begun && f->rq->begin != NULL && f->rq->begin(f->rq->arg, (int)status, &f->err) < 0)
        return 0;
    f->begun = true;
    return f->rq->sink(f->rq->arg, p, n, &f->err) < 0 ? 0 : n;
}

static size_t on_read(char *p, size_t size, size_t count, void *arg)
{
    struct flight *f = arg;
    const struct http_body *b = f->rq->put;
    size_t n = (size_t)MIN((int64_t)(size * count), b->n - f->put_at);
    if (b->fd < 0) {
        memcpy(p, (const char *)b->p + f->put_at, n);
    } else if (n > 0) {
        ssize_t got = pread(b->fd, p, n, f->put_at);
        if (got <= 0) {
            if (got == 0)
                err_set(&f->err, ERR_DATA_LOSS, "a blob is shorter than it should be");
            else
                err_sys(&f->err, "read a blob");
            return CURL_READFUNC_ABORT;
        }
        n = (size_t)got;
    }
    f->put_at += (int64_t)n;
    return n;
}

/* A redirect or a lost connection: the body goes out again. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct flight *f = arg;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    f->put_at = offset;
    return CURL_SEEKFUNC_OK;
}

static int on_progress(void *arg, curl_off_t dl_total, curl_off_t dl, curl_off_t ul_total,
                       curl_off_t ul)
{
    struct flight *f = arg;
    struct pollfd p = {.fd = f->rq->cancel_fd, .events = POLLIN};
    (void)dl_total, (void)dl, (void)ul_total;
    if (f->rq->put != NULL && f->rq->put->sent != NULL)
        f->rq->put->sent(f->rq->put->arg, ul);
    if (f->rq->cancel_fd <= 0 || poll(&p, 1, 0) <= 0)
        return 0;
    err_set(&f->err, ERR_CANCELLED, "context canceled");
    return 1;
}

/* ---- the request ---- */

static struct curl_slist *header_list(const struct http_request *rq)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; rq->headers != NULL && rq->headers[i] != NULL; i++)
        list = curl_slist_append(list, rq->headers[i]);
    if (rq->put != NULL)
        list = curl_slist_append(list, "Expect:");
    if (rq->authorization != NULL) {
        auto_free char *line = mem_printf("Authorization: %s", rq->authorization);
        list = curl_slist_append(list, line);
    }
    return list;
}

static void set_method(struct flight *f)
{
    const struct http_request *rq = f->rq;
    CURL *c = f->curl;
    if (strcmp(rq->method, "HEAD") == 0) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else if (strcmp(rq->method, "POST") == 0) {
        curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, rq->form != NULL ? rq->form : "");
    } else if (rq->put != NULL) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)rq->put->n);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(c, CURLOPT_READDATA, f);
        curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(c, CURLOPT_SEEKDATA, f);
        curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
    }
}

static void set_tls(struct flight *f)
{
    const struct http_request *rq = f->rq;
    CURL *c = f->curl;
    if (rq->ca != NULL) { /* the directory of the system's stays in use beside it */
        struct curl_blob blob = {(void *)(uintptr_t)rq->ca, strlen(rq->ca), CURL_BLOB_NOCOPY};
        curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
    }
    if (rq->cert_file != NULL) {
        curl_easy_setopt(c, CURLOPT_SSLCERT, rq->cert_file);
        curl_easy_setopt(c, CURLOPT_SSLKEY, rq->key_file);
    }
    if (rq->insecure) {
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://");
    if (host == NULL)
        return false;
    host += 3;
    auto_free char *domain = mem_strndup(host, strcspn(host, "/?"));
    return ref_domain_is_loopback(domain);
}

static const char *given(const char *s)
{
    return s != NULL && s[0] != 0 ? s : NULL;
}

static void set_proxy(struct flight *f)
{
    const struct http_request *rq = f->rq;
    const struct registry_proxies *p = rq->proxies;
    if (is_loopback(rq->url)) {
        curl_easy_setopt(f->curl, CURLOPT_NOPROXY, "*");
        return;
    }
    if (p == NULL)
        return;
    const char *proxy = given(strncmp(rq->url, "https://", 8) == 0 ? p->https : p->http);
    if (proxy != NULL)
        curl_easy_setopt(f->curl, CURLOPT_PROXY, proxy);
    if (given(p->none) != NULL)
        curl_easy_setopt(f->curl, CURLOPT_NOPROXY, p->none);
}

static void set_options(struct flight *f, struct curl_slist *headers)
{
    const struct http_request *rq = f->rq;
    CURL *c = f->curl;
    curl_easy_setopt(c, CURLOPT_URL, rq->url);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, 10L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "hull/" HULL_VERSION);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(rq->connect_ms > 0 ? rq->connect_ms : 30000));
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME,
                     (long)((rq->stall_ms > 0 ? rq->stall_ms : 60000) + 999) / 1000);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, f);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 256L << 10);
    set_method(f);
    set_tls(f);
    set_proxy(f);
    if (rq->user != NULL) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(c, CURLOPT_USERNAME, rq->user);
        curl_easy_setopt(c, CURLOPT_PASSWORD, rq->password != NULL ? rq->password : "");
    }
    if (rq->offset > 0)
        curl_easy_setopt(c, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)rq->offset);
}

/* An address in an answer that is only a path belongs to the host that was asked last. */
static void make_absolute(CURL *c, char *io, size_t size)
{
    const char *asked = NULL;
    char *whole = NULL;
    if (io[0] == 0)
        return;
    CURLU *u = curl_url();
    (void)curl_easy_getinfo(c, CURLINFO_EFFECTIVE_URL, &asked);
    if (u == NULL || curl_url_set(u, CURLUPART_URL, asked, 0) != CURLUE_OK ||
        curl_url_set(u, CURLUPART_URL, io, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_URL, &whole, 0) != CURLUE_OK || strlen(whole) >= size)
        io[0] = 0;
    else
        memcpy(io, whole, strlen(whole) + 1);
    curl_free(whole);
    curl_url_cleanup(u);
}

/* Get "URL": dial tcp: connect: connection refused: as Go names a method in an error. */
static const char *go_method(const char *method)
{
    static const char *const names[][2] = {{"HEAD", "Head"}, {"POST", "Post"}, {"PUT", "Put"}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(method, names[i][0]) == 0)
            return names[i][1];
    return "Get";
}

static enum http_failure failure_of(CURLcode r, const char *text)
{
    if (r == CURLE_PEER_FAILED_VERIFICATION || r == CURLE_SSL_CACERT_BADFILE ||
        r == CURLE_SSL_CERTPROBLEM)
        return HTTP_FAIL_TRUST;
    if (r == CURLE_SSL_CONNECT_ERROR && strstr(text, "wrong version number") != NULL)
        return HTTP_FAIL_PLAIN;
    return r == CURLE_SSL_CONNECT_ERROR || r == CURLE_COULDNT_CONNECT ? HTTP_FAIL_CONNECT
                                                                      : HTTP_FAIL_OTHER;
}

/* What Go says of a certificate, as far as OpenSSL's verdict tells it; else NULL. */
static const char *distrust(long verdict)
{
    switch (verdict) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "tls: failed to verify certificate: x509: certificate has expired or is not yet "
               "valid";
    default:
        return NULL;
    }
}

static int failed(const struct flight *f, CURLcode r, const char *text, struct err *e)
{
    long status = 0, os_error = 0, verdict = 0;
    const char *method = go_method(f->rq->method), *why = NULL;
    (void)curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(f->curl, CURLINFO_OS_ERRNO, &os_error);
    (void)curl_easy_getinfo(f->curl, CURLINFO_SSL_VERIFYRESULT, &verdict);
    if (r == CURLE_COULDNT_CONNECT && os_error != 0) {
        err_set(e, ERR_UNAVAILABLE, "%s \"%s\": dial tcp: connect: %s", method, f->rq->url,
                strerrordesc_np((int)os_error));
        for (char *c = strstr(e->msg, "connect: "); c != NULL && *c != 0; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
        return -1;
    }
    if (failure_of(r, text) == HTTP_FAIL_PLAIN)
        why = "http: server gave HTTP response to HTTPS client";
    else if (failure_of(r, text) == HTTP_FAIL_TRUST)
        why = distrust(verdict);
    else if (r == CURLE_OPERATION_TIMEDOUT && status != 0)
        why = "the registry stalled";
    if (why == NULL)
        why = text[0] != 0 ? text : curl_easy_strerror(r);
    return err_set(e, ERR_UNAVAILABLE, "%s \"%s\": %s", method, f->rq->url, why);
}

int http_do(struct http_pool *p, const struct http_request *rq, struct http_reply *out,
            enum http_failure *out_why, struct err *e)
{
    struct flight f = {.curl = take(p), .rq = rq, .out = out};
    char text[CURL_ERROR_SIZE] = "";
    long status = 0;
    curl_off_t wait_s = 0;
    *out = (struct http_reply){.length = -1, .body = BUF_MAX(BODY_MAX)};
    struct curl_slist *headers = header_list(rq);
    set_options(&f, headers);
    curl_easy_setopt(f.curl, CURLOPT_ERRORBUFFER, text);
    CURLcode r = curl_easy_perform(f.curl);
    (void)curl_easy_getinfo(f.curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(f.curl, CURLINFO_RETRY_AFTER, &wait_s);
    out->status = (int)status;
    out->retry_after_s = (int)MIN(wait_s, (curl_off_t)3600);
    make_absolute(f.curl, out->location, sizeof(out->location));
    make_absolute(f.curl, out->next, sizeof(out->next));
    curl_slist_free_all(headers);
    if (out_why != NULL)
        *out_why = failure_of(r, text);
    bool fine = r == CURLE_OK || (r == CURLE_RANGE_ERROR && status == 416);
    if (f.err.kind != ERR_NONE)
        *e = f.err;
    else if (!fine)
        (void)failed(&f, r, text, e);
    give_back(p, f.curl);
    return f.err.kind == ERR_NONE && fine ? 0 : -1;
}
