/*
 * User namespaces: see userns.h. A daemon has threads, so it cannot enter or leave one;
 * hull-sandbox does, tells us when, and we open what it is in by its process id, which stays its
 * own as long as it waits for the answer.
 */
#include "sys/userns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "sys/fd.h"
#include "sys/job.h"
#include "sys/path.h"

/* ---- mappings ---- */

static bool next_number(struct str *rest, char sep, uint32_t *out)
{
    uint64_t n;
    if (!str_to_u64(str_cut(rest, sep), 0, UINT32_MAX, &n))
        return false;
    *out = (uint32_t)n;
    return true;
}

int id_range_next(struct str *rest, struct id_range *out, struct err *e)
{
    if (rest->n == 0)
        return 0;
    struct str range = str_cut(rest, ','), at = range;
    if (next_number(&at, ':', &out->inside) && next_number(&at, ':', &out->outside) &&
        next_number(&at, ':', &out->count) && at.n == 0 && out->count > 0 &&
        out->outside <= UINT32_MAX - out->count && out->inside <= UINT32_MAX - out->count)
        return 1;
    return err_set(e, ERR_INVALID, "invalid id mapping \"%.*s\"", (int)MIN(range.n, 100), range.p);
}

int userns_to_host(const char *ranges, uint32_t id, uint32_t *out, struct err *e)
{
    struct str rest = str_of(ranges);
    struct id_range r;
    int more;
    while ((more = id_range_next(&rest, &r, e)) > 0) {
        if (id < r.inside || id - r.inside >= r.count)
            continue;
        *out = r.outside + (id - r.inside);
        return 0;
    }
    return more < 0 ? -1
                    : err_set(e, ERR_INVALID, "Container ID %u cannot be mapped to a host ID", id);
}

int userns_root(const struct userns_maps *m, uid_t *out_uid, gid_t *out_gid, struct err *e)
{
    uint32_t uid, gid;
    TRY(userns_to_host(m->uid, 0, &uid, e));
    TRY(userns_to_host(m->gid, 0, &gid, e));
    *out_uid = uid;
    *out_gid = gid;
    return 0;
}

static int write_map(pid_t pid, const char *file, const char *ranges, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(4096); /* the kernel takes less than a page */
    auto_free char *path = mem_printf("/proc/%d/%s", pid, file);
    struct str rest = str_of(ranges);
    struct id_range r;
    int more;
    while ((more = id_range_next(&rest, &r, e)) > 0)
        buf_printf(&text, "%u %u %u\n", r.inside, r.outside, r.count);
    TRY(more);
    if (text.over || text.n == 0)
        return err_set(e, ERR_INVALID, "an id mapping of no ranges, or of too many");
    int rc = file_put(AT_FDCWD, path, buf_cstr(&text));
    return rc < 0 ? err_neg(e, rc, "write %s of a user namespace (%s)", file, ranges) : 0;
}

int userns_write(pid_t pid, const struct userns_maps *m, struct err *e)
{
    TRY(write_map(pid, "uid_map", m->uid, e));
    return write_map(pid, "gid_map", m->gid, e);
}

/* ---- the job ---- */

#define SANDBOX_JOB(T, F)       \
    F(T, bool, join, "join", 0) \
    F(T, bool, net, "net", 0)
JSON_TYPE(sandbox_job, SANDBOX_JOB)
JSON_DESC(sandbox_job, SANDBOX_JOB)

void userns_done(struct userns *u)
{
    fd_close(u->user_fd);
    fd_close(u->net_fd);
    *u = (struct userns)USERNS_NONE;
}

/* What our side of the job needs when the helper says that it is there. */
struct taking {
    const struct job *job;
    bool net;
    struct userns made;
};

static int open_ns(pid_t pid, const char *kind, int *out, struct err *e)
{
    auto_free char *path = mem_printf("/proc/%d/ns/%s", pid, kind);
    *out = open(path, O_RDONLY | O_CLOEXEC);
    return *out < 0 ? err_sys(e, "open %s", path) : 0;
}

static int take(void *arg, const char *question, size_t n, struct buf *answer, int *out_fd,
                struct err *e)
{
    struct taking *t = arg;
    (void)question;
    (void)n;
    (void)answer;
    (void)out_fd;
    TRY(open_ns(t->job->proc.pid, "user", &t->made.user_fd, e));
    return t->net ? open_ns(t->job->proc.pid, "net", &t->made.net_fd, e) : 0;
}

int userns_make(const struct userns_rq *rq, struct userns *out, struct err *e)
{
    auto_buf struct buf doc = BUF_MAX(256), result = BUF_MAX(256);
    auto_job struct job j = JOB_NONE;
    auto_fd int join = -1;
    struct taking t = {.job = &j, .net = rq->net, .made = USERNS_NONE};
    const struct sandbox_job job = {.join = rq->join != NULL, .net = rq->net};
    if (rq->join != NULL && (join = open(rq->join, O_RDONLY | O_CLOEXEC)) < 0)
        return err_sys(e, "open %s", rq->join);
    json_write(&sandbox_job_json, &job, &doc);
    const struct job_opts o = {.program = rq->helper,
                               .doc = doc.p,
                               .doc_len = doc.n,
                               .fds = &join,
                               .n_fds = join >= 0 ? 1 : 0,
                               .userns = join >= 0 ? NULL : &rq->maps,
                               .ask = take,
                               .arg = &t};
    TRY(job_start(&j, &o, e));
    if (job_finish(&j, &result, e) < 0) {
        userns_done(&t.made);
        return -1;
    }
    *out = t.made;
    return 0;
}

int userns_serve(struct err *e)
{
    auto_buf struct buf doc = BUF_MAX(256);
    auto_arena struct arena *a = arena_new();
    struct sandbox_job job;
    TRY(job_read(&doc, e));
    TRY(json_parse(&sandbox_job_json, &job, doc.p, doc.n, a, e));
    if (!job.join)
        TRY(job_enter_userns(e));
    else if (setns(JOB_FIRST_FD, CLONE_NEWUSER) < 0)
        return err_sys(e, "join a user namespace");
    if (job.net && unshare(CLONE_NEWNET) < 0)
        return err_sys(e, "make a network namespace");
    TRY(job_ask("", 0, NULL, NULL, e));
    return job_reply("", 0, e);
}
