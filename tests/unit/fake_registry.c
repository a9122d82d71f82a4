/* See fake_registry.h. One connection at a time per thread; every answer closes it. */
#include "fake_registry.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "types/digest.h"

struct fake_blob *fake_add(struct fake_registry *f, const char *kind, const char *name,
                           const char *media_type, const void *p, size_t n)
{
    struct fake_blob *b = mem_alloc(sizeof(*b));
    b->bytes = (struct buf)BUF_MAX(64 << 20);
    buf_add(&b->bytes, p, n);
    digest_of(p, n, b->digest);
    b->media_type = media_type;
    auto_free char *path = mem_printf("%s/%s", kind, name != NULL ? name : b->digest);
    pthread_mutex_lock(&f->lock);
    struct fake_blob *old = map_put(&f->blobs, path, b);
    pthread_mutex_unlock(&f->lock);
    if (old != NULL) {
        buf_done(&old->bytes);
        free(old);
    }
    return b;
}

static struct fake_blob *find(struct fake_registry *f, const char *path)
{
    pthread_mutex_lock(&f->lock);
    struct fake_blob *b = map_get(&f->blobs, path);
    pthread_mutex_unlock(&f->lock);
    return b;
}

static void answer(int fd, const char *status, const char *headers, const void *body, size_t n,
                   bool head)
{
    struct buf b = BUF_MAX(64 << 20);
    buf_printf(&b, "HTTP/1.1 %s\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n", status,
               headers, n);
    if (!head)
        buf_add(&b, body, n);
    (void)fd_write_all(fd, b.p, b.n);
    buf_done(&b);
}

static void text(int fd, const char *status, const char *headers, const char *body)
{
    answer(fd, status, headers, body, strlen(body), false);
}

static void challenge(struct fake_registry *f, int fd)
{
    auto_free char *h =
        f->need_basic ? mem_strdup("WWW-Authenticate: Basic realm=\"fake\"\r\n")
                      : mem_printf("WWW-Authenticate: Bearer "
                                   "realm=\"http://127.0.0.1:%d/"
                                   "token\",service=\"fake,\\\"x\",scope=\"%s\"\r\n",
                                   f->port, f->scope != NULL ? f->scope : "repository:app:pull");
    text(fd, "401 Unauthorized", h,
         "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"authentication required\"}]}");
}

static void send_blob(struct fake_registry *f, int fd, struct fake_blob *b, long range,
                      bool redirected)
{
    size_t n = b->bytes.n, from = range > 0 ? (size_t)range : 0;
    enum mischief m = redirected ? FAKE_HONEST : f->mischief;
    auto_free char *bytes = mem_alloc(n + 100);
    char headers[200] = "";
    memcpy(bytes, b->bytes.p, n);
    if (m == FAKE_CUT_ONCE || m == FAKE_BUSY_ONCE)
        f->mischief = FAKE_HONEST;
    if (m == FAKE_NO_RANGE && range > 0) {
        f->mischief = FAKE_HONEST;
        from = 0;
        range = -1;
        m = FAKE_HONEST;
    }
    if (m == FAKE_WRONG)
        bytes[n / 2] ^= 1;
    if (m == FAKE_LONGER)
        n += 50;
    if (m == FAKE_SHORTER)
        n -= 50;
    if (range > 0)
        (void)snprintf(headers, sizeof(headers), "Content-Range: bytes %ld-%zu/%zu\r\n", range,
                       n - 1, n);
    bool cut = m == FAKE_CUT || m == FAKE_CUT_ONCE || m == FAKE_STALL || m == FAKE_NO_RANGE;
    if (!cut) {
        answer(fd, range > 0 ? "206 Partial Content" : "200 OK", headers, bytes + from, n - from,
               false);
        return;
    }
    char head[300];
    int len = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n",
                       range > 0 ? "206 Partial Content" : "200 OK", headers, n - from);
    (void)fd_write_all(fd, head, (size_t)len);
    (void)fd_write_all(fd, bytes + from, m == FAKE_CUT ? 10 : (n - from) / 2);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (m == FAKE_STALL)
        (void)poll(&p, 1, 20000); /* until the client has had enough */
}

static void serve_blob(struct fake_registry *f, int fd, const char *path, struct fake_blob *b,
                       long range, bool auth)
{
    (void)auth;
    f->blob_requests++;
    f->last_range = (int)range;
    if (f->mischief == FAKE_BUSY_ONCE) {
        f->mischief = FAKE_HONEST;
        text(fd, "429 Too Many Requests", "Retry-After: 1\r\n",
             "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\"}]}");
    } else if (f->mischief == FAKE_BROKEN) {
        text(fd, "500 Internal Server Error", "", "oops");
    } else if (f->mischief == FAKE_GONE) {
        text(fd, "404 Not Found", "", "{\"errors\":[{\"code\":\"BLOB_UNKNOWN\"}]}");
    } else if (f->mischief == FAKE_REDIRECT) {
        auto_free char *h = mem_printf("Location: http://localhost:%d/cdn/%s\r\n", f->port, path);
        text(fd, "307 Temporary Redirect", h, "");
    } else {
        send_blob(f, fd, b, range, false);
    }
}

/* ---- uploads ---- */

static void begin_upload(struct fake_registry *f, int fd, const char *path)
{
    const char *from = strstr(path, "&from=");
    if (from != NULL && f->mountable != NULL && strcmp(from + 6, f->mountable) == 0) {
        f->mounts++;
        text(fd, "201 Created", "", "");
        return;
    }
    auto_free char *h = f->mischief == FAKE_REDIRECT
                            ? mem_printf("Location: http://localhost:%d/up/1?x=y\r\n", f->port)
                            : mem_strdup("Location: /v2/app/blobs/uploads/1\r\n");
    text(fd, "202 Accepted", h, "");
}

/* The request's body; false when the client broke off. */
static bool read_body(int fd, struct buf *body, size_t n)
{
    char part[65536];
    while (body->n < n) {
        ssize_t got = read(fd, part, MIN(sizeof(part), n - body->n));
        if (got <= 0)
            return false;
        buf_add(body, part, (size_t)got);
    }
    return true;
}

static void end_upload(struct fake_registry *f, int fd, const char *digest, const struct buf *body)
{
    char real[72];
    enum mischief m = f->mischief;
    f->uploads++;
    if (m == FAKE_BUSY_ONCE) {
        f->mischief = FAKE_HONEST;
        text(fd, "429 Too Many Requests", "Retry-After: 1\r\n",
             "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\"}]}");
        return;
    }
    if (m == FAKE_BROKEN) {
        text(fd, "500 Internal Server Error", "", "oops");
        return;
    }
    digest_of(body->p, body->n, real);
    if (strcmp(real, digest) != 0) {
        text(fd, "400 Bad Request", "", "{\"errors\":[{\"code\":\"DIGEST_INVALID\"}]}");
        return;
    }
    fake_add(f, "blobs", NULL, "", body->p, body->n);
    text(fd, "201 Created", "", "");
}

static void put_manifest(struct fake_registry *f, int fd, const char *name, const char *type,
                         const struct buf *body)
{
    pthread_mutex_lock(&f->lock);
    (void)snprintf(f->last_type, sizeof(f->last_type), "%.*s", (int)strcspn(type, "\r"), type);
    pthread_mutex_unlock(&f->lock);
    struct fake_blob *b = fake_add(f, "manifests", name, f->last_type, body->p, body->n);
    auto_free char *h = mem_printf("Docker-Content-Digest: %s\r\n", b->digest);
    text(fd, "201 Created", h, "");
}

static void serve_put(struct fake_registry *f, int fd, const char *path, const char *head,
                      struct str begun)
{
    struct buf body = BUF_MAX(64 << 20);
    const char *digest = strstr(path, "digest="), *type = strcasestr(head, "\nContent-Type: ");
    const char *length = strcasestr(head, "\nContent-Length: ");
    size_t n = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
    buf_add(&body, begun.p, begun.n);
    bool cut = f->mischief == FAKE_CUT_ONCE && digest != NULL && n > 1000000;
    if (cut) {
        f->mischief = FAKE_HONEST;
        f->uploads++;
        (void)shutdown(fd, SHUT_RDWR);
    } else if (read_body(fd, &body, n)) {
        if (digest != NULL)
            end_upload(f, fd, digest + 7, &body);
        else
            put_manifest(f, fd, strrchr(path, '/') + 1, type != NULL ? type + 15 : "", &body);
    }
    buf_done(&body);
}

/* ---- one request ---- */

static void serve_token(struct fake_registry *f, int fd, const char *path)
{
    bool fine = strstr(path, "service=fake%2C%22x") != NULL &&
                strstr(path, "scope=repository%3Aapp%3Apull") != NULL;
    pthread_mutex_lock(&f->lock);
    (void)snprintf(f->last_token, sizeof(f->last_token), "%s", path);
    pthread_mutex_unlock(&f->lock);
    auto_free char *body = mem_printf("{\"token\":\"t0ken%d\"}", (int)f->generation);
    f->token_requests++;
    text(fd, fine ? "200 OK" : "400 Bad Request", "", body);
}

/* The Authorization is what the registry wants now. */
static bool is_allowed(struct fake_registry *f, const char *auth)
{
    char bearer[64];
    if (f->token_life > 0 && ++f->answers % f->token_life == 0)
        f->generation++; /* all tokens have expired */
    (void)snprintf(bearer, sizeof(bearer), "Bearer t0ken%d\r", (int)f->generation);
    return (!f->need_token || (auth != NULL && strncmp(auth, bearer, strlen(bearer)) == 0)) &&
           (!f->need_basic || (auth != NULL && strncmp(auth, "Basic dTpw\r", 11) == 0));
}

static void serve_get(struct fake_registry *f, int fd, const char *path, struct str method,
                      long range, bool auth)
{
    struct fake_blob *b = strncmp(path, "/v2/app/", 8) == 0 ? find(f, path + 8) : NULL;
    auto_free char *page_name = mem_printf("pages/%s", path);
    const struct fake_blob *page = find(f, page_name);
    bool head = str_eq(method, "HEAD");
    if (page != NULL) {
        answer(fd, "200 OK", page->media_type, page->bytes.p, page->bytes.n, head);
    } else if (b == NULL) {
        text(fd, "404 Not Found", "",
             "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}");
    } else if (strncmp(path + 8, "blobs/", 6) == 0 && !head) {
        serve_blob(f, fd, path + 8, b, range, auth);
    } else if (f->no_head && head) {
        text(fd, "405 Method Not Allowed", "", "");
    } else {
        auto_free char *h = mem_printf("Content-Type: %s\r\nDocker-Content-Digest: %s\r\n",
                                       b->media_type, b->digest);
        answer(fd, "200 OK", h, b->bytes.p, b->bytes.n, head);
    }
}

static void serve(struct fake_registry *f, int fd, struct str head, struct str body)
{
    struct str line = str_cut(&head, '\r'), method = str_cut(&line, ' ');
    auto_free char *path = str_dup(str_cut(&line, ' '));
    auto_free char *rest = str_dup(head);
    const char *range_at = strcasestr(rest, "\r\nRange: bytes=");
    const char *auth = strcasestr(rest, "\nAuthorization: ");
    long range = range_at != NULL ? strtol(range_at + 15, NULL, 10) : -1;
    bool elsewhere = strncmp(path, "/cdn/", 5) == 0 || strncmp(path, "/up/", 4) == 0;
    struct fake_blob *b = strncmp(path, "/cdn/", 5) == 0 ? find(f, path + 5) : NULL;
    f->requests++;
    if (strncmp(path, "/token?", 7) == 0)
        serve_token(f, fd, path);
    else if (elsewhere && auth != NULL)
        text(fd, "400 Bad Request", "", "Authorization came along");
    else if (b != NULL)
        send_blob(f, fd, b, range, true);
    else if (!elsewhere && !is_allowed(f, auth != NULL ? auth + 16 : NULL))
        challenge(f, fd);
    else if (str_eq(method, "POST"))
        begin_upload(f, fd, path);
    else if (str_eq(method, "PUT"))
        serve_put(f, fd, path, rest, body);
    else
        serve_get(f, fd, path, method, range, auth != NULL);
}

/* As servers do: what a client still sends when it has its answer is read until it ends, since
 * closing on it would be a reset, and the client might never see why it was refused. */
static void linger(int fd)
{
    char part[65536];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    (void)shutdown(fd, SHUT_WR);
    while (poll(&p, 1, 5000) > 0 && read(fd, part, sizeof(part)) > 0)
        continue;
}

static void *one_client(void *arg)
{
    struct fake_registry *f = ((void **)arg)[0];
    int fd = (int)(intptr_t)((void **)arg)[1];
    char head[8192];
    size_t n = 0;
    free(arg);
    while (n < sizeof(head) - 1) {
        ssize_t got = read(fd, head + n, sizeof(head) - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
        head[n] = 0;
        const char *end = strstr(head, "\r\n\r\n");
        if (end != NULL) {
            size_t n_head = (size_t)(end - head) + 4;
            if (head[0] >= 'A' && head[0] <= 'Z') /* else it is TLS */
                serve(f, fd, (struct str){head, n_head}, (struct str){head + n_head, n - n_head});
            break;
        }
        if (head[0] == 0x16)
            break;
    }
    linger(fd);
    close(fd);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct fake_registry *f = arg;
    while (!f->stop) {
        struct pollfd p = {.fd = f->listener, .events = POLLIN};
        if (poll(&p, 1, 50) <= 0)
            continue;
        int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        void **pair = mem_alloc_array(2, sizeof(void *));
        pthread_t t;
        pair[0] = f;
        pair[1] = (void *)(intptr_t)fd;
        if (pthread_create(&t, NULL, one_client, pair) != 0)
            abort();
        pthread_detach(t);
    }
    return NULL;
}

int fake_start(struct fake_registry *f)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    f->last_range = -1;
    pthread_mutex_init(&f->lock, NULL);
    if (f->listener < 0 || bind(f->listener, (struct sockaddr *)&sa, len) < 0 ||
        listen(f->listener, 64) < 0 || getsockname(f->listener, (struct sockaddr *)&sa, &len) < 0)
        return -1;
    f->port = ntohs(sa.sin_port);
    return pthread_create(&f->thread, NULL, accept_all, f) == 0 ? 0 : -1;
}

void fake_clear(struct fake_registry *f)
{
    map_each(ent, &f->blobs) {
        buf_done(&((struct fake_blob *)ent->val)->bytes);
        free(ent->val);
    }
    map_done(&f->blobs);
    f->blobs = (struct map){0};
}

void fake_stop(struct fake_registry *f)
{
    f->stop = true;
    pthread_join(f->thread, NULL);
    close(f->listener);
    fake_clear(f);
    pthread_mutex_destroy(&f->lock);
}
