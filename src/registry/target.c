/*
 * A registry as the target of a push: see registry.h. A blob is looked for, then mounted from a
 * repository that has it, then sent in one piece; what fails on the way begins with a new upload.
 */
#include "base/mem.h"
#include "registry/session.h"
#include "types/digest.h"

/* ---- errors ---- */

static int refused(struct session *s, const struct http_reply *r, struct err *e)
{
    char name[REF_TEXT_MAX], why[640];
    ref_familiar_name(&s->ref, name);
    switch (r->status) {
    case 401:
        session_describe(r, "unauthorized: authentication required", why, sizeof(why));
        return err_set(e, ERR_UNAUTHORIZED, "%s", why);
    case 403:
        session_describe(r, "denied: requested access to the resource is denied", why, sizeof(why));
        return err_set(e, ERR_FORBIDDEN, "%s", why);
    case 404:
        session_describe(r, "name unknown: repository name not known to registry", why,
                         sizeof(why));
        return err_set(e, ERR_NOT_FOUND, "push %s: %s", name, why);
    default:
        return session_refused(r, e);
    }
}

/* A request without a body to a path of the repository. */
static int ask(struct session *s, const char *method, const char *path, struct http_reply *out,
               struct err *e)
{
    const struct session_call c = {.path = path, .can = HOST_PUSH, .first = true};
    struct http_request rq = session_request(s, method);
    return session_do(s, &rq, &c, out, e);
}

/* ---- blobs ---- */

/* 1: it is there. */
static int blob_exists(struct session *s, const struct oci_descriptor *d, struct err *e)
{
    auto_reply struct http_reply r = {.length = -1};
    auto_free char *path = mem_printf("/%s/blobs/%s", s->ref.path, d->digest);
    TRY(ask(s, "HEAD", path, &r, e));
    if (r.status / 100 == 2)
        return 1;
    /* who may not look may still write, and 405 knows no HEAD: the upload will tell */
    return r.status >= 500 || r.status == 429 ? refused(s, &r, e) : 0;
}

/* 1: mounted; 0: not, and where to upload is in *out_location when the registry said so. */
static int mount_blob(struct session *s, const char *digest, const char *from, char **out_location,
                      struct err *e)
{
    auto_reply struct http_reply r = {.length = -1};
    auto_free char *scope = mem_printf("repository:%s:pull", from);
    auto_free char *path =
        mem_printf("/%s/blobs/uploads/?mount=%s&from=%s", s->ref.path, digest, from);
    session_add_scope(s, scope);
    TRY(ask(s, "POST", path, &r, e));
    if (r.status == 201)
        return 1;
    if (r.status == 202 && r.location[0] != 0)
        *out_location = mem_strdup(r.location);
    return 0;
}

/* Where to upload to; NULL: it is refused. */
static char *begin_upload(struct session *s, struct err *e)
{
    auto_reply struct http_reply r = {.length = -1};
    auto_free char *path = mem_printf("/%s/blobs/uploads/", s->ref.path);
    if (ask(s, "POST", path, &r, e) < 0)
        return NULL;
    if (r.status / 100 == 2 && r.location[0] != 0)
        return mem_strdup(r.location);
    if (r.status / 100 == 2)
        (void)err_set(e, ERR_UNAVAILABLE, "the registry does not say where to upload to");
    else
        (void)refused(s, &r, e);
    return NULL;
}

/* One try. *out_again: another may go well; *out_after_s: but not before. */
static int upload_once(struct session *s, const struct push_blob *b, const char *location,
                       bool *out_again, int *out_after_s, struct err *e)
{
    static const char *const headers[] = {"Content-Type: application/octet-stream", NULL};
    auto_reply struct http_reply r = {.length = -1};
    auto_free char *url = mem_printf("%s%cdigest=%s", location,
                                     strchr(location, '?') != NULL ? '&' : '?', b->d->digest);
    const struct http_body body = {.fd = b->fd, .n = b->d->size, .sent = b->sent, .arg = b->arg};
    const struct session_call c = {.url = url, .can = HOST_PUSH, .once = true};
    struct http_request rq = session_request(s, "PUT");
    rq.headers = headers;
    rq.put = &body;
    *out_after_s = 0;
    if (session_do(s, &rq, &c, &r, e) < 0) {
        *out_again = e->kind == ERR_UNAVAILABLE;
        return -1;
    }
    if (r.status / 100 == 2)
        return 0;
    /* 404: the registry has forgotten the upload */
    *out_again = r.status == 429 || r.status == 408 || r.status == 404 || r.status >= 500;
    *out_after_s = r.retry_after_s;
    return refused(s, &r, e);
}

static int upload(struct session *s, const struct push_blob *b, char *location, struct err *e)
{
    auto_free char *at = location;
    for (int n = 0;; n++) {
        bool again = false;
        int after_s = 0;
        if (at == NULL)
            at = begin_upload(s, e);
        if (at == NULL)
            return -1;
        if (upload_once(s, b, at, &again, &after_s, e) == 0)
            return 0;
        if (!again || n + 1 >= session_attempts(s))
            return -1;
        err_clear(e);
        TRY(session_pause(s, n, after_s, e));
        free(TAKE_PTR(at));
    }
}

static int push_blob(struct image_target *base, const struct push_blob *b, enum push_how *out_how,
                     size_t *out_from, struct err *e)
{
    struct session *s = CONTAINER_OF(base, struct session, target);
    char *location = NULL;
    int there = blob_exists(s, b->d, e);
    TRY(there);
    *out_how = PUSH_EXISTED;
    if (there > 0)
        return 0;
    for (size_t i = 0; b->mount_from != NULL && b->mount_from[i] != NULL; i++) {
        free(TAKE_PTR(location)); /* an upload nobody needs: the registry forgets it */
        int mounted = mount_blob(s, b->d->digest, b->mount_from[i], &location, e);
        if (mounted == 0)
            continue;
        *out_how = PUSH_MOUNTED;
        *out_from = i;
        return mounted > 0 ? 0 : -1;
    }
    if (b->fd < 0) {
        free(location);
        return err_set(e, ERR_NOT_FOUND, "content digest %s: not found", b->d->digest);
    }
    *out_how = PUSH_SENT;
    return upload(s, b, location, e);
}

/* ---- manifests ---- */

static int push_manifest(struct image_target *base, const struct oci_descriptor *d, const void *p,
                         bool root, struct err *e)
{
    struct session *s = CONTAINER_OF(base, struct session, target);
    auto_reply struct http_reply r = {.length = -1};
    auto_free char *type = mem_printf("Content-Type: %s", d->media_type);
    auto_free char *path = mem_printf("/%s/manifests/%s", s->ref.path,
                                      root && s->ref.tag[0] != 0 ? s->ref.tag : d->digest);
    const char *const headers[] = {type, NULL};
    const struct http_body body = {.fd = -1, .p = p, .n = d->size};
    const struct session_call c = {.path = path, .can = HOST_PUSH};
    struct http_request rq = session_request(s, "PUT");
    rq.headers = headers;
    rq.put = &body;
    TRY(session_do(s, &rq, &c, &r, e));
    if (r.status / 100 != 2)
        return refused(s, &r, e);
    if (r.digest[0] != 0 && strcmp(r.digest, d->digest) != 0)
        return err_set(e, ERR_PRECONDITION, "the registry made %.100s of %s", r.digest, d->digest);
    return 0;
}

/* ---- open and close ---- */

int registry_target_open(const struct ref *ref, const struct registry_opts *opts,
                         struct image_target **out, struct err *e)
{
    struct session *s = session_new(ref, opts, "pull,push", e);
    if (s == NULL)
        return -1;
    s->target = (struct image_target){.push_blob = push_blob,
                                      .push_manifest = push_manifest,
                                      .origin = s->ref.domain,
                                      .repo = s->ref.path};
    *out = &s->target;
    return 0;
}

void registry_target_close(struct image_target *base)
{
    session_free(base != NULL ? CONTAINER_OF(base, struct session, target) : NULL);
}
