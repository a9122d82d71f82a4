/* Changing a container that exists: its name, its limits; and looking at its processes. */
#include <ctype.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/config.h"
#include "engine/core.h"
#include "engine/names.h"
#include "engine/spec.h"
#include "sys/fd.h"
#include "sys/spawn.h"

enum { PS_MAX = 8 << 20 };

/* ---- rename ---- */

static int publish_name(struct container *c, const char *old, const char *name, struct err *e)
{
    struct engine *g = c->g;
    struct record *r = record_edit(c);

    r->d.name = arena_strdup(r->arena, name);
    record_publish(c, r);
    if (container_save(c, true, e) < 0) {
        r = record_edit(c);
        r->d.name = arena_strdup(r->arena, old);
        record_publish(c, r);
        return -1;
    }
    pthread_mutex_lock(&g->lock);
    map_del(&g->by_name, old);
    map_del(&g->reserved, name);
    map_put(&g->by_name, name, c);
    pthread_mutex_unlock(&g->lock);
    return 0;
}

int container_rename(struct container *c, const char *new_name, struct err *e)
{
    auto_gate struct gate *gate = NULL;
    auto_free char *old_name = NULL;
    const char *name = new_name[0] == '/' ? new_name + 1 : new_name;

    if (name[0] == '\0')
        return err_set(e, ERR_INVALID, "Neither old nor new names may be empty");
    TRY(name_check(name, e));
    TRY(gate_enter(&c->gate, -1, e));
    gate = &c->gate;
    auto_view struct view v = container_view(c);
    if (strcmp(v.rec->name, name) == 0)
        return err_set(e, ERR_INVALID,
                       "Renaming a container with the same name as its current name");
    TRY(name_reserve(c->g, name, c->id, e));
    if (publish_name(c, v.rec->name, name, e) < 0) {
        name_unreserve(c->g, name);
        return -1;
    }
    if (v.state->sandbox != NULL)
        net_sandbox_rename(c->g->net, v.state->sandbox->id, name);
    old_name = mem_printf("/%s", v.rec->name);
    container_event(c, "rename", "oldName", old_name, NULL);
    return 0;
}

/* ---- update ---- */

/* Take over what the request sets. */
static void merge_resources(struct resources *to, const struct resources *from)
{
#define TAKE(member)       \
    if (from->member != 0) \
    to->member = from->member
    TAKE(cpu_shares);
    TAKE(memory_bytes);
    TAKE(nano_cpus);
    TAKE(blkio_weight);
    TAKE(cpu_period_us);
    TAKE(cpu_quota_us);
    TAKE(cpu_rt_period_us);
    TAKE(cpu_rt_runtime_us);
    TAKE(memory_reservation);
    TAKE(memory_swap);
    TAKE(memory_swappiness);
    TAKE(pids_limit);
#undef TAKE
    if (from->cpuset_cpus != NULL && from->cpuset_cpus[0] != '\0')
        to->cpuset_cpus = from->cpuset_cpus;
    if (from->cpuset_mems != NULL && from->cpuset_mems[0] != '\0')
        to->cpuset_mems = from->cpuset_mems;
}

/* Tell the running task. */
static int apply_resources(struct container *c, const struct resources *r, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf b = BUF_MAX(1 << 20);
    struct oci_resources o;

    TRY(spec_resources(r, a, &o, e));
    json_write(&oci_resources_json, &o, &b);
    return ctd_task_update(c->g->ctd, c->id, buf_cstr(&b), e);
}

static int check_update(const struct container_record *rec, const struct container_update *u,
                        struct resources *merged, struct err *e)
{
    *merged = rec->host.resources;
    merge_resources(merged, &u->resources);
    if (u->resources.memory_bytes > 0 && u->resources.memory_swap == 0 &&
        rec->host.resources.memory_swap > 0 &&
        u->resources.memory_bytes > rec->host.resources.memory_swap)
        return err_set(e, ERR_INVALID,
                       "Memory limit should be smaller than already set memoryswap limit, update "
                       "the memoryswap at the same time");
    TRY(resources_check(merged, e));
    if (u->restart.name != NULL && u->restart.name[0] != '\0') {
        TRY(restart_policy_check(&u->restart, false, e));
        if (rec->host.auto_remove && strcmp(u->restart.name, "no") != 0)
            return err_set(e, ERR_INVALID,
                           "Restart policy cannot be updated because AutoRemove is enabled for the "
                           "container");
    }
    return 0;
}

int container_update(struct container *c, const char *body, size_t len, struct buf *out,
                     struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_gate struct gate *gate = NULL;
    struct container_updated reply = {0};
    struct container_update u;
    struct resources merged;
    struct record *r;

    TRY(json_parse(&container_update_json, &u, body, len, a, e));
    TRY(gate_enter(&c->gate, -1, e));
    gate = &c->gate;
    auto_view struct view v = container_view(c);
    TRY(check_update(v.rec, &u, &merged, e));
    if (v.state->running && !v.state->restarting && apply_resources(c, &merged, e) < 0)
        return err_wrap(e, "Cannot update container %s", c->id);
    r = record_edit(c);
    json_copy(&resources_json, &r->d.host.resources, &merged, r->arena);
    if (u.restart.name != NULL && u.restart.name[0] != '\0')
        json_copy(&restart_policy_json, &r->d.host.restart, &u.restart, r->arena);
    record_publish(c, r);
    TRY(container_save(c, true, e));
    container_event(c, "update", NULL);
    json_write(&container_updated_json, &reply, out);
    return 0;
}

/* ---- top ---- */

static int run_ps(const struct strv *args, struct buf *text, struct err *e)
{
    auto_fd int in = -1, out = -1;
    struct proc p = PROC_NONE;
    int status = 0, r = fd_pipe(&in, &out, 0);

    if (r < 0)
        return err_neg(e, r, "pipe");
    const struct spawn_fd fds[] = {{1, out}, {2, out}};
    const struct spawn_opts o = {
        .path = "ps", .argv = (const char *const *)args->v, .fds = fds, .n_fds = 2};
    TRY(spawn(&o, &p, e));
    fd_close(take_fd(&out));
    r = fd_read_to_end(in, text);
    if (r < 0)
        (void)err_neg(e, r, "read the output of ps");
    if (proc_wait(&p, 10000, -1, &status, e) < 0)
        r = -1;
    proc_done(&p);
    if (r < 0)
        return -1;
    return status == 0 ? 0 : err_set(e, ERR_INTERNAL, "ps: %s", buf_cstr(text));
}

static struct str next_word(struct str *line)
{
    struct str w;

    while (line->n > 0 && isspace((unsigned char)line->p[0])) {
        line->p++;
        line->n--;
    }
    w = *line;
    w.n = 0;
    while (w.n < line->n && !isspace((unsigned char)line->p[w.n]))
        w.n++;
    line->p += w.n;
    line->n -= w.n;
    return w;
}

static bool has_pid(const uint32_t *pids, size_t n, struct str s)
{
    uint64_t pid;

    if (!str_to_u64(s, 1, UINT32_MAX, &pid))
        return false;
    for (size_t i = 0; i < n; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* One process: as many columns as there are titles, the last takes the rest of the line. */
static void write_row(struct str line, size_t columns, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < columns; i++) {
        struct str w = i + 1 < columns ? next_word(&line) : str_trim(line);

        buf_adds(out, i > 0 ? "," : "");
        json_write_str(w.p, w.n, out);
    }
    buf_addc(out, ']');
}

static int write_top(struct str text, const uint32_t *pids, size_t n, struct arena *a,
                     struct buf *out, struct err *e)
{
    struct str head = str_cut(&text, '\n');
    struct container_top reply = {0};
    auto_buf struct buf rows = BUF_MAX(PS_MAX);
    size_t pid_column = SIZE_MAX;

    for (struct str w = next_word(&head); w.n > 0; w = next_word(&head)) {
        if (str_eq(w, "PID"))
            pid_column = reply.titles.n;
        vec_push_in(a, &reply.titles, arena_strndup(a, w.p, w.n));
    }
    if (pid_column == SIZE_MAX)
        return err_set(e, ERR_INTERNAL, "Couldn't find PID field in ps output");
    buf_addc(&rows, '[');
    while (text.n > 0) {
        struct str line = str_cut(&text, '\n'), rest = line, w = {0};

        for (size_t i = 0; i <= pid_column; i++)
            w = next_word(&rest);
        if (!has_pid(pids, n, w))
            continue;
        buf_adds(&rows, rows.n > 1 ? "," : "");
        write_row(line, reply.titles.n, &rows);
    }
    buf_addc(&rows, ']');
    reply.processes = buf_cstr(&rows);
    json_write(&container_top_json, &reply, out);
    return 0;
}

int container_top(struct container *c, const char *ps_args, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf text = BUF_MAX(PS_MAX);
    auto_view struct view v = container_view(c);
    struct str rest = str_of(ps_args != NULL && ps_args[0] != '\0' ? ps_args : "-ef");
    struct strv args = {0};
    uint32_t *pids;
    size_t n;

    if (!v.state->running)
        return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
    if (v.state->restarting)
        return err_set(e, ERR_CONFLICT,
                       "container %s is restarting, wait until the container is running", c->id);
    vec_push_in(a, &args, arena_strdup(a, "ps"));
    for (struct str w = next_word(&rest); w.n > 0; w = next_word(&rest))
        vec_push_in(a, &args, arena_strndup(a, w.p, w.n));
    vec_push_in(a, &args, NULL);
    TRY(ctd_task_pids(c->g->ctd, c->id, a, &pids, &n, e));
    TRY(run_ps(&args, &text, e));
    TRY(write_top(str_of(buf_cstr(&text)), pids, n, a, out, e));
    container_event(c, "top", NULL);
    return 0;
}
