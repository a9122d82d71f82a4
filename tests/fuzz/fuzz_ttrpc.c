/*
 * ttrpc: the bytes of a connection, given to a server, and to a client that has calls under way
 * (the first byte chooses). Both must end with the connection and leave nothing behind.
 */
#include <assert.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "proto/shim.pb-c.h"
#include "rpc/ttrpc.h"
#include "sys/fd.h"

#define SERVICE "containerd.task.v2.Task"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int state(struct ttrpc_call *c, const void *req, struct err *e)
{
    const Shim__StateRequest *r = req;
    Shim__StateResponse resp = SHIM__STATE_RESPONSE__INIT;

    if (r->id[0] == '\0')
        return err_set(e, ERR_NOT_FOUND, "task not found");
    resp.id = r->id;
    return ttrpc_call_reply(c, &resp.base);
}

static const struct ttrpc_method methods[] = {
    {SERVICE, "State", &shim__state_request__descriptor, state},
};

static void drain(struct source *s, int fd, uint32_t events, void *arg)
{
    char bytes[65536];

    (void)s;
    (void)events;
    if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) == 0)
        loop_stop(arg);
}

static void done(void *arg, const void *resp, const struct err *e)
{
    assert((resp == NULL) != (e == NULL));
    ++*(int *)arg;
}

static void lost(void *arg)
{
    loop_stop(arg);
}

static void client_starts(struct loop *loop, int fd, struct ttrpc_client **out, int *n_done)
{
    Shim__StateRequest req = SHIM__STATE_REQUEST__INIT;
    struct ttrpc_request r = {SERVICE, "State", &req.base, &shim__state_response__descriptor,
                              NULL,    0};
    struct err e;

    assert(ttrpc_client_adopt(loop, fd, out, &e) == 0);
    for (int i = 0; i < 3; i++)
        assert(ttrpc_client_call(*out, &r, done, n_done, NULL, &e) == 0);
    ttrpc_client_on_close(*out, lost, loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ttrpc_server *server = NULL;
    struct ttrpc_client *client = NULL;
    struct err e;
    int fds[2], n_done = 0;

    if (size < 1 || size > 100000) /* what a socket's buffer takes at once */
        return 0;
    struct loop *loop = loop_new(&e);
    assert(loop != NULL);
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    assert(send(fds[1], data + 1, size - 1, 0) == (ssize_t)size - 1);
    if (data[0] % 2 == 0) {
        server = ttrpc_server_new(loop, methods, ARRAY_LEN(methods), NULL);
        assert(ttrpc_server_adopt(server, fds[0], &e) == 0);
        assert(loop_add_fd(loop, fds[1], EPOLLIN, drain, loop, &e) != NULL);
    } else {
        client_starts(loop, fds[0], &client, &n_done);
    }
    assert(shutdown(fds[1], SHUT_WR) == 0);
    assert(loop_run(loop, &e) == 0);
    assert(server != NULL || n_done == 3);
    ttrpc_client_free(client);
    ttrpc_server_free(server);
    loop_free(loop);
    fd_close(fds[1]);
    return 0;
}
