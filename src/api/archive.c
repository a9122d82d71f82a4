/* Files in and out of containers, and whole root file systems. */
#include "engine/archive.h"

#include "api/route.h"

#define TAR "application/x-tar"

/* The container and the path that all three calls name. */
static int target(struct req *rq, struct container **out, const char **path, struct err *e)
{
    *path = req_query(rq, "path");
    if (*path == NULL || (*path)[0] == '\0')
        return err_set(e, ERR_INVALID, "bad parameter: path cannot be empty");
    return container_find(rq->engine, rq->vars[0], out, e);
}

HANDLER(head_archive)
{
    auto_container struct container *c = NULL;
    auto_buf struct buf stat = BUF_MAX(32u << 10);
    const char *path;
    TRY(target(rq, &c, &path, e));
    TRY(archive_stat(c, path, &stat, e));
    http_req_header(rq->http, "X-Docker-Container-Path-Stat", buf_cstr(&stat));
    return req_status(rq, 200);
}

HANDLER(get_archive)
{
    auto_container struct container *c = NULL;
    auto_buf struct buf stat = BUF_MAX(32u << 10);
    struct archive *a = NULL;
    const char *path;
    TRY(target(rq, &c, &path, e));
    TRY(archive_open(c, path, &stat, &a, e));
    http_req_header(rq->http, "X-Docker-Container-Path-Stat", buf_cstr(&stat));
    struct sink sink = req_sink(rq, TAR);
    int r = archive_send(a, &sink, req_cancel_fd(rq), e);
    archive_free(a);
    return r;
}

HANDLER(put_archive)
{
    auto_container struct container *c = NULL;
    struct archive_put_opts o = {
        .no_overwrite_dir_non_dir = req_flag(rq, "noOverwriteDirNonDir"),
        .copy_uid_gid = req_flag(rq, "copyUIDGID"),
        .read = req_body_read,
        .arg = rq,
    };
    TRY(target(rq, &c, &o.path, e));
    o.cancel_fd = req_cancel_fd(rq);
    TRY(archive_put(c, &o, e));
    return req_status(rq, 200);
}

HANDLER(get_container_export)
{
    auto_container struct container *c = NULL;
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    struct sink sink = req_sink(rq, TAR);
    return container_export(c, &sink, req_cancel_fd(rq), e);
}
