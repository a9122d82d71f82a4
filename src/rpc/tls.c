/*
 * TLS streams over OpenSSL.
 *
 * The socket is non-blocking and the SSL object is used by one thread only; what OpenSSL wants to
 * wait for becomes the events that stream.c polls. The error queue is emptied into our err at each
 * failure, or a later call would report this one's.
 */
#include "rpc/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <arpa/inet.h>

#include "base/mem.h"
#include "sys/fd.h"

struct tls {
    struct stream_wrap wrap; /* first */
    SSL_CTX *ctx;
    bool verify;
};

struct tls_stream {
    struct stream s; /* first */
    SSL *ssl;
};

static SSL *ssl_of(const struct stream *s)
{
    return ((const struct tls_stream *)s)->ssl;
}

/* The first reason in OpenSSL's queue, which is the cause; empties the queue. */
static int tls_error(struct err *e, enum err_kind kind, const char *what)
{
    char text[256] = "";
    unsigned long code = ERR_get_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    if (reason != NULL)
        snprintf(text, sizeof(text), "%s", reason);
    else if (errno != 0)
        snprintf(text, sizeof(text), "%s", strerrordesc_np(errno));
    else
        snprintf(text, sizeof(text), "the connection ended");
    ERR_clear_error();
    return err_set(e, kind, "%s: %s", what, text);
}

/* What a result <= 0 of an SSL call means: 0 at the end, STREAM_AGAIN, or -1. */
static int outcome(struct tls_stream *t, int r, short *want, const char *what, struct err *e)
{
    int no = errno;
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        *want = POLLIN;
        return STREAM_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        *want = POLLOUT;
        return STREAM_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        errno = no;
        return tls_error(e, ERR_UNAVAILABLE, what);
    }
}

static ssize_t tls_try_read(struct stream *s, void *p, size_t n, struct err *e)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_read(ssl_of(s), p, (int)MIN(n, 1u << 20));
    return r > 0 ? r
                 : outcome((struct tls_stream *)s, r, &s->want_r, "read from TLS connection", e);
}

static ssize_t tls_try_write(struct stream *s, const void *p, size_t n, struct err *e)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_write(ssl_of(s), p, (int)MIN(n, 1u << 20));
    if (r > 0)
        return r;
    int end = outcome((struct tls_stream *)s, r, &s->want_w, "write to TLS connection", e);
    return end == 0 ? err_set(e, ERR_UNAVAILABLE, "write to TLS connection: closed") : end;
}

static int tls_try_shut(struct stream *s, struct err *e)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_shutdown(ssl_of(s)); /* 0: our side is closed, the peer's is open */
    return r >= 0 ? 0 : outcome((struct tls_stream *)s, r, &s->want_w, "close TLS connection", e);
}

static size_t tls_pending(const struct stream *s)
{
    /* SSL_has_pending also counts bytes of a record that is not whole, which no read could return
     */
    return (size_t)SSL_pending(ssl_of(s));
}

static void tls_close(struct stream *s)
{
    struct err e;
    if (SSL_is_init_finished(ssl_of(s)) && (SSL_get_shutdown(ssl_of(s)) & SSL_SENT_SHUTDOWN) == 0)
        (void)tls_try_shut(s, &e); /* as far as it goes without waiting */
    SSL_free(ssl_of(s));
    ERR_clear_error();
    fd_close(s->rfd);
}

static const struct stream_ops tls_ops = {
    .try_read = tls_try_read,
    .try_write = tls_try_write,
    .try_shut = tls_try_shut,
    .pending = tls_pending,
    .close = tls_close,
};

static int shake_hands(struct tls_stream *t, struct err *e)
{
    for (;;) {
        ERR_clear_error();
        errno = 0;
        int r = SSL_do_handshake(t->ssl);
        if (r == 1)
            return 0;
        long why = SSL_get_verify_result(t->ssl);
        if (why != X509_V_OK) {
            ERR_clear_error();
            return err_set(e, ERR_UNAVAILABLE, "TLS handshake: %s",
                           X509_verify_cert_error_string(why));
        }
        r = outcome(t, r, &t->s.want_r, "TLS handshake", e);
        if (r == 0)
            return err_set(e, ERR_UNAVAILABLE, "TLS handshake: the connection ended");
        if (r != STREAM_AGAIN)
            return -1;
        TRY(stream_wait_read(&t->s, e));
    }
}

static int name_peer(SSL *ssl, const char *host, struct err *e)
{
    unsigned char addr[sizeof(struct in6_addr)];
    bool is_addr = inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
    int ok = is_addr ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host)
                     : SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host);
    return ok ? 0 : tls_error(e, ERR_INVALID, host);
}

/* fd becomes a TLS stream; host: NULL for the server's side. Owns fd. */
static int wrap_fd(struct tls *tls, int fd, const char *host, int64_t deadline_ns,
                   struct stream **out, struct err *e)
{
    struct tls_stream *t = mem_alloc(sizeof(*t));
    stream_init(&t->s, &tls_ops, fd, fd);
    t->s.deadline_ns = deadline_ns;
    t->ssl = SSL_new(tls->ctx);
    if (t->ssl == NULL || fd_set_nonblock(fd, true) < 0 || SSL_set_fd(t->ssl, fd) != 1) {
        tls_error(e, ERR_INTERNAL, "TLS");
        stream_close(&t->s);
        return -1;
    }
    int r = 0;
    if (host == NULL) {
        SSL_set_accept_state(t->ssl);
    } else {
        SSL_set_connect_state(t->ssl);
        r = tls->verify ? name_peer(t->ssl, host, e) : 0;
    }
    if (r == 0)
        r = shake_hands(t, e);
    if (r < 0) {
        stream_close(&t->s);
        return -1;
    }
    t->s.deadline_ns = 0;
    t->s.want_r = POLLIN;
    *out = &t->s;
    return 0;
}

static int wrap_server(struct stream_wrap *w, int fd, int64_t deadline_ns, struct stream **out,
                       struct err *e)
{
    return wrap_fd((struct tls *)w, fd, NULL, deadline_ns, out, e);
}

static int wrap_client(struct stream_wrap *w, int fd, const char *host, int64_t deadline_ns,
                       struct stream **out, struct err *e)
{
    return wrap_fd((struct tls *)w, fd, host, deadline_ns, out, e);
}

static void wrap_free(struct stream_wrap *w)
{
    struct tls *tls = (struct tls *)w;
    SSL_CTX_free(tls->ctx);
    free(tls);
}

/* ---- configuration ---- */

static int load_own(SSL_CTX *ctx, const struct tls_opts *o, struct err *e)
{
    if (o->cert == NULL)
        return 0;
    if (SSL_CTX_use_certificate_chain_file(ctx, o->cert) != 1)
        return tls_error(e, ERR_INVALID, o->cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, o->key, SSL_FILETYPE_PEM) != 1)
        return tls_error(e, ERR_INVALID, o->key);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return tls_error(e, ERR_INVALID, "certificate and private key");
    return 0;
}

static int load_authority(SSL_CTX *ctx, const struct tls_opts *o, bool server, struct err *e)
{
    if (!o->verify)
        return 0;
    if (o->ca == NULL && server)
        return err_set(e, ERR_INVALID, "verifying clients needs a CA certificate");
    if (o->ca != NULL ? SSL_CTX_load_verify_locations(ctx, o->ca, NULL) != 1
                      : SSL_CTX_set_default_verify_paths(ctx) != 1)
        return tls_error(e, ERR_INVALID, o->ca != NULL ? o->ca : "system certificates");
    if (server) /* tells clients whose certificates are wanted; freed with the context */
        SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(o->ca));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    return 0;
}

static int configure(SSL_CTX *ctx, const struct tls_opts *o, bool server, struct err *e)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_num_tickets(ctx, 0); /* a ticket nobody reads turns a close into a reset */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    TRY(load_own(ctx, o, e));
    return load_authority(ctx, o, server, e);
}

static int tls_new(const struct tls_opts *o, bool server, struct stream_wrap **out, struct err *e)
{
    struct tls *tls = mem_alloc(sizeof(*tls));
    tls->wrap =
        (struct stream_wrap){.server = wrap_server, .client = wrap_client, .free = wrap_free};
    tls->verify = o->verify;
    errno = 0;
    tls->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    int r =
        tls->ctx == NULL ? tls_error(e, ERR_INTERNAL, "TLS") : configure(tls->ctx, o, server, e);
    if (r < 0) {
        wrap_free(&tls->wrap);
        return -1;
    }
    *out = &tls->wrap;
    return 0;
}

int tls_server_new(const struct tls_opts *o, struct stream_wrap **out, struct err *e)
{
    if (o->cert == NULL || o->key == NULL)
        return err_set(e, ERR_INVALID, "a TLS server needs a certificate and a key");
    return tls_new(o, true, out, e);
}

int tls_client_new(const struct tls_opts *o, struct stream_wrap **out, struct err *e)
{
    return tls_new(o, false, out, e);
}
