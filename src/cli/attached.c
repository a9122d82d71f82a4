/* Our terminal joined to a container: see attached.h. */
#include "cli/attached.h"

#include <signal.h>

#include "base/mem.h"
#include "sys/fd.h"
#include "types/container.h"

int attached_open(struct attached *a, const char *detach_keys, struct err *e)
{
    struct cli *cli = a->cli;
    const char *path = cli_path(cli, "/containers/%s/attach", a->id);
    path = cli_query(cli, path, "stream", "1");
    path = cli_query(cli, path, "stdin", a->session.in ? "1" : NULL);
    path = cli_query(cli, path, "stdout", a->session.out ? "1" : NULL);
    path = cli_query(cli, path, "stderr", a->session.err ? "1" : NULL);
    path = cli_query(cli, path, "detachKeys", detach_keys);
    TRY(cli_connection(cli, &a->stream_client, e));
    struct cli_req rq = {.method = "POST", .path = path, .upgrade = "tcp", .via = a->stream_client};
    TRY(cli_call(cli, &rq, &a->stream_resp, e));
    return http_resp_hijack(a->stream_resp, &a->session.stream, e);
}

int attached_wait_begin(struct attached *a, const char *condition, struct err *e)
{
    const char *path = cli_path(a->cli, "/containers/%s/wait", a->id);
    TRY(cli_connection(a->cli, &a->wait_client, e));
    struct cli_req rq = {.method = "POST",
                         .path = cli_query(a->cli, path, "condition", condition),
                         .via = a->wait_client};
    return cli_call(a->cli, &rq, &a->wait_resp, e);
}

void cli_resize(struct cli *c, const char *path, unsigned extra)
{
    unsigned rows, cols;
    struct err e = {0};
    char text[16];
    term_size(1, &rows, &cols);
    if (rows == 0 || cols == 0)
        return;
    (void)snprintf(text, sizeof(text), "%u", rows + extra);
    path = cli_query(c, path, "h", text);
    (void)snprintf(text, sizeof(text), "%u", cols + extra);
    path = cli_query(c, path, "w", text);
    (void)cli_json(c, "POST", path, NULL, NULL, &e); /* not worth an error */
}

void attached_resize(struct attached *a, unsigned extra)
{
    cli_resize(a->cli, cli_path(a->cli, "/containers/%s/resize", a->id), extra);
}

static void pass_signal(int signo, void *arg)
{
    struct attached *a = arg;
    struct err e = {0};
    const char *name = signal_name(signo);
    if (signo == SIGWINCH && a->resize) {
        attached_resize(a, 0);
        return;
    }
    if (!a->proxy || name == NULL)
        return;
    const char *path = cli_path(a->cli, "/containers/%s/kill", a->id);
    /* a container that has just ended cannot be signalled; its exit code will tell */
    (void)cli_json(a->cli, "POST", cli_query(a->cli, path, "signal", name), NULL, NULL, &e);
}

int attached_run(struct attached *a, enum session_end *out, struct err *e)
{
    auto_term struct term_saved *in = a->session.tty && a->session.in ? term_raw(0) : NULL;
    auto_term struct term_saved *to = a->session.tty && a->session.out ? term_raw(1) : NULL;
    a->session.on_signal = pass_signal;
    a->session.arg = a;
    return session_run(&a->session, out, e);
}

int attached_exit_code(struct attached *a, int *out, struct err *e)
{
    auto_buf struct buf body = BUF_MAX(65536);
    struct container_waited w = {0};
    for (;;) {
        char bytes[4096];
        ssize_t n = http_resp_read_or(a->wait_resp, bytes, sizeof(bytes), a->session.signal_fd, e);
        if (n < 0 && e->kind == ERR_CANCELLED) {
            for (int signo; (signo = session_next_signal(a->session.signal_fd)) != 0;)
                pass_signal(signo, a);
            continue;
        }
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        buf_add(&body, bytes, (size_t)n);
    }
    TRY(json_parse(&container_waited_json, &w, buf_cstr(&body), body.n, a->cli->arena, e));
    if (w.error != NULL && w.error->message != NULL && *w.error->message != '\0')
        return err_set(e, ERR_INTERNAL, "%s", w.error->message);
    *out = (int)w.status_code;
    return 0;
}

void attached_done(struct attached *a)
{
    stream_close(a->session.stream);
    http_resp_free(a->stream_resp);
    http_resp_free(a->wait_resp);
    http_client_free(a->stream_client);
    http_client_free(a->wait_client);
    fd_close(a->session.signal_fd);
}
