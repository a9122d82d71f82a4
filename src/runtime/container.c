/* A container that exists: see container.h. */
#include "runtime/container.h"

#include <sys/pidfd.h>

#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/path.h"

void container_done(struct container *c)
{
    fd_close(c->dir_fd);
    arena_free(c->a);
}

int container_load(struct container *c, const char *root, const char *id, struct err *e)
{
    c->a = arena_new();
    c->dir_fd = record_open(root, id, e);
    TRY(c->dir_fd);
    TRY(record_load(c->dir_fd, c->a, &c->record, e));
    record_cgroup(&c->record, c->a, &c->cgroup);
    c->status = record_status(c->dir_fd, &c->record);
    return 0;
}

struct unit container_unit(const struct container *c)
{
    const char *name = c->record.unit;
    return (struct unit){.name = name != NULL && *name != '\0' ? name : NULL,
                         .manager = c->record.unit_manager};
}

int container_spec(struct container *c, struct oci_spec *out, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(SPEC_BYTES_MAX);
    TRY(file_read(c->dir_fd, "config.json", &text, e));
    return spec_parse(buf_cstr(&text), text.n, c->a, out, e);
}

int container_pidfd(const struct container *c)
{
    char state;
    uint64_t start;
    pid_t pid = (pid_t)c->record.pid;
    auto_fd int fd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (fd < 0 || !record_proc_stat(pid, &state, &start) || start != c->record.start_time ||
        state == 'Z' || state == 'X')
        return -1;
    return take_fd(&fd);
}

int container_not_running(struct err *e)
{
    return err_set(e, ERR_CONFLICT, "container not running");
}
