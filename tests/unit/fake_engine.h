/**
 * An engine of a few lines, so that src/api can be tested alone: it has the container "web"
 * (running, no terminal), the image "team/app:1" and the exec "e1"; it notes the last call in
 * fake_call. What is not needed answers UNIMPLEMENTED "fake".
 */
#ifndef HULL_TESTS_UNIT_FAKE_ENGINE_H
#define HULL_TESTS_UNIT_FAKE_ENGINE_H

#include <poll.h>

#include "engine/archive.h"
#include "engine/attach.h"
#include "engine/container.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/exec.h"
#include "engine/image_commit.h"
#include "engine/images.h"
#include "engine/inspect.h"
#include "engine/logs.h"
#include "engine/networks.h"
#include "engine/registry.h"
#include "engine/stats.h"

struct container {
    int unused;
};
struct exec {
    int unused;
};
struct attachment {
    int unused;
};
struct container_wait {
    int unused;
};

static struct container fake_web;
static struct exec fake_exec;
static struct attachment fake_attachment;
static struct container_wait fake_wait;
static char fake_call[512]; /* written by the connection's thread, read after its answer */
static int fake_release_fd; /* eventfd: what waits goes on */

static inline int fake_absent(struct err *e)
{
    return err_set(e, ERR_UNIMPLEMENTED, "fake");
}

/* ---- what the tests look at ---- */

int container_find(struct engine *g, const char *name, struct container **out, struct err *e)
{
    (void)g;
    if (strcmp(name, "web") != 0)
        return err_set(e, ERR_NOT_FOUND, "No such container: %s", name);
    *out = &fake_web;
    return 0;
}

void container_unref(struct container *c)
{
    (void)c;
}

int container_create(struct engine *g, const struct create_opts *o, struct buf *out, struct err *e)
{
    (void)g;
    (void)e;
    snprintf(fake_call, sizeof(fake_call), "create %s %d %.*s", o->name == NULL ? "-" : o->name,
             o->api, (int)o->body_len, o->body);
    buf_adds(out, "{\"Id\":\"x\",\"Warnings\":[]}");
    return 0;
}

int container_stop(struct container *c, const char *signal, int timeout_s, struct err *e)
{
    (void)c;
    (void)e;
    snprintf(fake_call, sizeof(fake_call), "stop %s %d", signal == NULL ? "-" : signal, timeout_s);
    return 0;
}

int container_start(struct container *c, struct err *e)
{
    (void)c;
    return err_set(e, ERR_NOT_MODIFIED, "runs already");
}

int container_list(struct engine *g, const struct list_opts *o, struct buf *out, struct err *e)
{
    (void)g;
    (void)e;
    snprintf(fake_call, sizeof(fake_call), "list %d %d %d %s", o->all, o->size, o->limit,
             o->filters == NULL ? "-" : o->filters);
    buf_adds(out, "[]");
    return 0;
}

int wait_condition_parse(const char *s, enum wait_condition *out, struct err *e)
{
    *out = WAIT_NOT_RUNNING;
    return s == NULL || s[0] != 'x' ? 0 : err_set(e, ERR_INVALID, "invalid condition: %s", s);
}

int container_wait_begin(struct container *c, enum wait_condition cond, struct container_wait **out,
                         struct err *e)
{
    (void)c;
    (void)cond;
    (void)e;
    *out = &fake_wait;
    return 0;
}

int container_wait_end(struct container_wait *w, int cancel_fd, int *out_status,
                       const char **out_error, struct err *e)
{
    (void)w;
    struct pollfd p[] = {{.fd = fake_release_fd, .events = POLLIN},
                         {.fd = cancel_fd, .events = POLLIN}};
    (void)poll(p, 2, 20000);
    if (p[0].revents == 0)
        return err_set(e, ERR_CANCELLED, "the client is gone");
    *out_status = 137;
    *out_error = "it \"broke\"";
    return 0;
}

void container_wait_free(struct container_wait *w)
{
    (void)w;
}

int container_logs_check(struct container *c, const struct logs_opts *o, bool *out_multiplexed,
                         struct err *e)
{
    (void)c;
    *out_multiplexed = true;
    if (o->details)
        return err_set(e, ERR_UNIMPLEMENTED, "configured logging driver does not support reading");
    return 0;
}

int container_logs(struct container *c, const struct logs_opts *o, const struct sink *sink,
                   int cancel_fd, struct err *e)
{
    (void)c;
    (void)o;
    (void)cancel_fd;
    TRY(sink->write(sink->arg, "\1\0\0\0\0\0\0\3hi\n", 11, e));
    return err_set(e, ERR_INTERNAL, "disk");
}

int container_stats(struct container *c, bool stream, bool one_shot, int api,
                    const struct sink *sink, int cancel_fd, struct err *e)
{
    (void)c;
    (void)cancel_fd;
    snprintf(fake_call, sizeof(fake_call), "stats %d %d %d", stream, one_shot, api);
    return sink->write(sink->arg, "{}\n", 3, e);
}

int attachment_new(struct container *c, const struct attach_opts *o, struct attachment **out,
                   bool *out_multiplexed, struct err *e)
{
    (void)c;
    if (o->detach_keys != NULL)
        return err_set(e, ERR_INVALID, "Invalid detach keys");
    *out = &fake_attachment;
    *out_multiplexed = true;
    return 0;
}

int attachment_run(struct attachment *a, struct stream *client, struct err *e)
{
    (void)a;
    char byte;
    TRY(stream_write(client, "out:", 4, e));
    while (stream_read(client, &byte, 1, e) == 1)
        TRY(stream_write(client, &byte, 1, e));
    return err_set(e, ERR_INTERNAL, "shim is gone");
}

void attachment_free(struct attachment *a)
{
    (void)a;
}

int exec_find(struct engine *g, const char *id, struct exec **out, struct err *e)
{
    (void)g;
    if (strcmp(id, "e1") != 0)
        return err_set(e, ERR_NOT_FOUND, "No such exec instance: %s", id);
    *out = &fake_exec;
    return 0;
}

void exec_unref(struct exec *x)
{
    (void)x;
}

int exec_start_check(struct exec *x, const struct exec_start_opts *o, struct err *e)
{
    (void)x;
    (void)e;
    snprintf(fake_call, sizeof(fake_call), "exec %d %d %ux%u", o->detach, o->tty, o->width,
             o->height);
    return 0;
}

int exec_run(struct exec *x, const struct exec_start_opts *o, struct stream *client, struct err *e)
{
    (void)x;
    (void)o;
    TRY(stream_write(client, "run:", 4, e));
    return err_set(e, ERR_INTERNAL, "no such file");
}

int exec_run_detached(struct exec *x, const struct exec_start_opts *o, struct err *e)
{
    (void)x;
    (void)o;
    (void)e;
    return 0;
}

int image_pull(struct engine *g, const struct pull_opts *o, const struct sink *sink, struct err *e)
{
    (void)g;
    snprintf(fake_call, sizeof(fake_call), "pull %s %s %s", o->from_image,
             o->tag == NULL ? "-" : o->tag, o->auth == NULL ? "-" : o->auth);
    if (strcmp(o->from_image, "nothing") == 0)
        return err_set(e, ERR_NOT_FOUND, "pull access denied for nothing");
    return sink->write(sink->arg, "{\"status\":\"x\"}\r\n", 16, e);
}

int image_push(struct engine *g, const struct push_opts *o, const struct sink *sink, struct err *e)
{
    (void)g;
    snprintf(fake_call, sizeof(fake_call), "push %s %s %s %s", o->name,
             o->tag == NULL ? "-" : o->tag, o->platform == NULL ? "-" : o->platform,
             o->auth == NULL ? "-" : o->auth);
    return sink->write(sink->arg, "{\"status\":\"x\"}\r\n", 16, e);
}

int engine_login(struct engine *g, const struct auth_config *c, int cancel_fd, struct buf *out,
                 struct err *e)
{
    (void)g;
    (void)cancel_fd;
    if (c->password == NULL || strcmp(c->password, "right") != 0)
        return err_set(e, ERR_UNAUTHORIZED, "incorrect username or password");
    return buf_adds(out, "{}");
}

int engine_distribution(struct engine *g, const char *name, const char *auth, int cancel_fd,
                        struct buf *out, struct err *e)
{
    (void)g;
    (void)cancel_fd;
    (void)e;
    snprintf(fake_call, sizeof(fake_call), "distribution %s %s", name, auth == NULL ? "-" : auth);
    return buf_adds(out, "{}");
}

int engine_search(struct engine *g, const struct search_opts *o, struct buf *out, struct err *e)
{
    (void)g;
    (void)e;
    snprintf(fake_call, sizeof(fake_call), "search %s %d %s", o->term == NULL ? "-" : o->term,
             o->limit, o->filters == NULL ? "-" : o->filters);
    return buf_adds(out, "[]");
}

int image_load(struct engine *g, const struct load_opts *o, const struct source_stream *body,
               const struct sink *sink, struct err *e)
{
    (void)g;
    char part[7];
    size_t total = 0;
    for (;;) {
        ssize_t n = body->read(body->arg, part, sizeof(part), e);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        total += (size_t)n;
        if (!o->quiet)
            TRY(sink->write(sink->arg, ".", 1, e));
    }
    snprintf(fake_call, sizeof(fake_call), "load %d %zu", o->quiet, total);
    return 0;
}

int image_inspect(struct engine *g, const char *name, const struct oci_platform *platform, int api,
                  struct buf *out, struct err *e)
{
    (void)g;
    (void)platform;
    if (strcmp(name, "team/app:1") != 0)
        return err_set(e, ERR_NOT_FOUND, "No such image: %s", name);
    buf_printf(out, "{\"api\":%d}", api);
    return 0;
}

int image_tag(struct engine *g, const char *name, const char *repo, const char *tag, struct err *e)
{
    (void)g;
    (void)e;
    snprintf(fake_call, sizeof(fake_call), "tag %s %s %s", name, repo, tag == NULL ? "-" : tag);
    return 0;
}

int image_save(struct engine *g, const struct strv *names, const struct oci_platform *platform,
               const struct sink *sink, int cancel_fd, struct err *e)
{
    (void)g;
    (void)platform;
    (void)cancel_fd;
    fake_call[0] = '\0';
    for (size_t i = 0; i < names->n; i++)
        if (strlen(fake_call) + strlen(names->v[i]) + 2 < sizeof(fake_call))
            snprintf(fake_call + strlen(fake_call), sizeof(fake_call) - strlen(fake_call), "%s ",
                     names->v[i]);
    return sink->write(sink->arg, "tar", 3, e);
}

int events_check(const struct events_opts *o, struct err *e)
{
    return o->filters == NULL || o->filters[0] == '{' ? 0
                                                      : err_set(e, ERR_INVALID, "invalid filter");
}

int events_stream(struct engine *g, const struct events_opts *o, const struct sink *sink,
                  int cancel_fd, void (*flushed)(void *arg), void *arg, struct err *e)
{
    (void)g;
    (void)o;
    flushed(arg);
    struct pollfd p[] = {{.fd = fake_release_fd, .events = POLLIN},
                         {.fd = cancel_fd, .events = POLLIN}};
    (void)poll(p, 2, 20000);
    return sink->write(sink->arg, "{\"Type\":\"x\"}\n", 13, e);
}

int archive_stat(struct container *c, const char *path, struct buf *out, struct err *e)
{
    (void)c;
    if (strcmp(path, "/a b") != 0)
        return err_set(e, ERR_NOT_FOUND, "Could not find the file %s in container web", path);
    buf_adds(out, "e30=");
    return 0;
}

/* ---- the rest ---- */

#define FAKE(name, ...)        \
    int name(__VA_ARGS__)      \
    {                          \
        return fake_absent(e); \
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
FAKE(engine_info, struct engine *g, int api, struct buf *out, struct err *e)
FAKE(engine_version, struct engine *g, int api, struct buf *out, struct err *e)
FAKE(engine_df, struct engine *g, int api, const struct strv *types, bool verbose, struct buf *out,
     struct err *e)
FAKE(container_restart, struct container *c, const char *signal, int timeout_s, struct err *e)
FAKE(container_kill, struct container *c, const char *signal, struct err *e)
FAKE(container_pause, struct container *c, struct err *e)
FAKE(container_unpause, struct container *c, struct err *e)
FAKE(container_rename, struct container *c, const char *new_name, struct err *e)
FAKE(container_remove, struct container *c, bool force, bool volumes, struct err *e)
FAKE(container_resize, struct container *c, uint32_t width, uint32_t height, struct err *e)
FAKE(container_update, struct container *c, const char *body, size_t len, struct buf *out,
     struct err *e)
FAKE(container_top, struct container *c, const char *ps_args, struct buf *out, struct err *e)
FAKE(container_prune, struct engine *g, const char *filters, int cancel_fd, struct buf *out,
     struct err *e)
FAKE(container_inspect, struct container *c, int api, bool size, struct buf *out, struct err *e)
FAKE(exec_create, struct container *c, const char *body, size_t len, struct buf *out, struct err *e)
FAKE(exec_resize, struct exec *x, uint32_t width, uint32_t height, struct err *e)
FAKE(exec_inspect, struct exec *x, struct buf *out, struct err *e)
FAKE(archive_open, struct container *c, const char *path, struct buf *out_stat,
     struct archive **out, struct err *e)
FAKE(archive_send, struct archive *a, const struct sink *sink, int cancel_fd, struct err *e)
FAKE(archive_put, struct container *c, const struct archive_put_opts *o, struct err *e)
FAKE(container_export, struct container *c, const struct sink *sink, int cancel_fd, struct err *e)
FAKE(image_import, struct engine *g, const struct import_opts *o, const struct source_stream *body,
     const struct sink *sink, struct err *e)
FAKE(image_list, struct engine *g, const struct image_list_opts *o, struct buf *out, struct err *e)
FAKE(image_history, struct engine *g, const char *name, const struct oci_platform *platform,
     struct buf *out, struct err *e)
FAKE(image_remove, struct engine *g, const char *name, const struct image_remove_opts *o,
     struct buf *out, struct err *e)
FAKE(container_commit, struct container *c, const struct commit_opts *o, struct buf *out,
     struct err *e)
FAKE(image_prune, struct engine *g, const char *filters, struct buf *out, struct err *e)
FAKE(engine_network_list, struct engine *g, const char *filters, int api, struct buf *out,
     struct err *e)
FAKE(engine_network_inspect, struct engine *g, const char *name, int api, struct buf *out,
     struct err *e)
FAKE(engine_network_create, struct engine *g, const char *body, size_t len, struct buf *out,
     struct err *e)
FAKE(engine_network_remove, struct engine *g, const char *name, struct err *e)
FAKE(engine_network_connect, struct engine *g, const char *name, const char *body, size_t len,
     struct err *e)
FAKE(engine_network_disconnect, struct engine *g, const char *name, const char *body, size_t len,
     struct err *e)
FAKE(engine_network_prune, struct engine *g, const char *filters, struct buf *out, struct err *e)
FAKE(engine_volume_list, struct engine *g, const char *filters, struct buf *out, struct err *e)
FAKE(engine_volume_inspect, struct engine *g, const char *name, struct buf *out, struct err *e)
FAKE(engine_volume_create, struct engine *g, const char *body, size_t len, struct buf *out,
     struct err *e)
FAKE(engine_volume_remove, struct engine *g, const char *name, bool force, struct err *e)
FAKE(engine_volume_prune, struct engine *g, const char *filters, int api, struct buf *out,
     struct err *e)
void archive_free(struct archive *a)
{
}
#pragma GCC diagnostic pop

#endif
