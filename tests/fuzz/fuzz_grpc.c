/*
 * gRPC: the first byte chooses. 0: the body of a stream, cut into pieces of the size of the second
 * byte; 1: time-outs and texts; 2: all bytes of a connection to a server, after the preface; 3: to
 * a client with a call under way.
 */
#include <assert.h>
#include <sys/socket.h>

#include "proto/content.pb-c.h"
#include "rpc/grpc.h"
#include "rpc/grpc_wire.h"
#include "sys/fd.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void body(const uint8_t *data, size_t size)
{
    struct grpc_deframer d = {0};
    struct grpc_msg *m;
    size_t step = data[0] + 1, total = 0;
    struct err e;
    int r = 0;

    for (size_t at = 1; at < size && r >= 0; at += step) {
        struct str in = {(const char *)data + at, MIN(step, size - at)};
        while ((r = grpc_deframe(&d, &in, &m, &e)) == 1) {
            auto_arena struct arena *a = arena_new();
            Content__WriteContentRequest *req;
            total += GRPC_PREFIX + m->n;
            assert(total <= size - 1);
            (void)pb_unpack(&content__write_content_request__descriptor, m->bytes, m->n, a, &req,
                            &e);
            free(m);
        }
    }
    grpc_deframer_done(&d);
}

static void texts(const uint8_t *data, size_t size)
{
    auto_buf struct buf text = BUF_MAX(size), again = BUF_MAX(size * 3), back = BUF_MAX(size * 3);
    struct str s = {(const char *)data, size};
    char out[16];
    int64_t ns;

    if (grpc_timeout_parse(s, &ns) && ns > 0) {
        int64_t same;
        grpc_timeout_format(ns, out);
        assert(grpc_timeout_parse(str_of(out), &same) && same >= ns);
    }
    grpc_text_decode(s, &text);
    assert(!text.over);
    grpc_text_encode(buf_cstr(&text), &again);
    grpc_text_decode(str_of(buf_cstr(&again)), &back);
    assert(strcmp(buf_cstr(&back), buf_cstr(&text)) == 0);
}

static int info(struct grpc_call *c, const void *req, struct err *e)
{
    Content__InfoResponse resp = CONTENT__INFO_RESPONSE__INIT;

    (void)req;
    return grpc_call_reply(c, &resp.base, e);
}

static int write_blob(struct grpc_call *c, const void *req, struct err *e)
{
    Content__WriteContentResponse resp = CONTENT__WRITE_CONTENT_RESPONSE__INIT;

    return req != NULL ? grpc_call_send(c, &resp.base, e) : err_set(e, ERR_NOT_FOUND, "%s", "\xff");
}

static const struct grpc_method methods[] = {
    {"s", "i", &content__info_request__descriptor, &content__info_response__descriptor, GRPC_UNARY,
     0, info},
    {"s", "w", &content__write_content_request__descriptor,
     &content__write_content_response__descriptor, GRPC_BIDI, 0, write_blob},
};

/* Send all, and no more; read until the other side has closed. */
static void exchange(int fd, const char *front, const uint8_t *data, size_t size)
{
    char bytes[65536];

    assert(send(fd, front, strlen(front), MSG_NOSIGNAL) >= 0 || front[0] == '\0');
    (void)send(fd, data, size, MSG_NOSIGNAL); /* may be refused half way */
    (void)shutdown(fd, SHUT_WR);
    while (read(fd, bytes, sizeof(bytes)) > 0)
        ;
    fd_close(fd);
}

static void to_server(const uint8_t *data, size_t size)
{
    static struct grpc_server *server;
    struct err e;
    int fds[2];

    if (server == NULL) {
        assert(grpc_server_new(NULL, &server, &e) == 0);
        grpc_server_add(server, methods, ARRAY_LEN(methods));
    }
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    assert(grpc_server_adopt(server, fds[0], &e) == 0);
    exchange(fds[1], PREFACE, data, size);
}

static void to_client(const uint8_t *data, size_t size)
{
    auto_arena struct arena *a = arena_new();
    Content__InfoRequest req = CONTENT__INFO_REQUEST__INIT;
    Content__InfoResponse *resp;
    struct grpc_stream *s;
    struct grpc_client *c;
    struct err e;
    int fds[2], r;

    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    assert(grpc_client_adopt(fds[0], &c, &e) == 0);
    assert(grpc_stream_open(c, "/s/i", NULL, &s, &e) == 0);
    (void)grpc_stream_send(s, &req.base, &e);
    exchange(fds[1], "", data, size);
    while ((r = grpc_stream_recv(s, &content__info_response__descriptor, a, &resp, &e)) == 1)
        ;
    assert(r == 0 || e.kind != ERR_NONE);
    grpc_stream_free(s);
    grpc_client_unref(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const uint8_t *, size_t) = {body, texts, to_server, to_client};

    if (size < 2 || size > 100000) /* what a socket's buffer takes at once */
        return 0;
    targets[data[0] % ARRAY_LEN(targets)](data + 1, size - 1);
    return 0;
}
