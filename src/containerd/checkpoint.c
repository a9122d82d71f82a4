/*
 * Checkpoints of tasks: images that the shim has written, as two blobs of the store (the images and
 * the container's spec) that a client makes an index of; and the way back. Private to the room.
 *
 * Source: containerd plugins/services/tasks/local.go; core/images/mediatypes.go.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "containerd/convert.h"
#include "containerd/task_create.h"
#include "proto/runc_options.pb-c.h"
#include "proto/tasks.pb-c.h"
#include "store/container.h"
#include "store/content.h"
#include "store/unpack.h"
#include "sys/fd.h"
#include "sys/path.h"

#define MEDIA_IMAGES "application/vnd.containerd.container.criu.checkpoint.criu.tar"
#define MEDIA_SPEC "application/vnd.containerd.container.checkpoint.config.v1+proto"
#define SPEC_MAX ((size_t)16 << 20)

enum { CHECKPOINT_MS = 600000 }; /* all memory goes to disk */

/* ---- into the store ---- */

/* A folder of the task's own: it lies on disk, and goes with the task if we are killed. */
static int make_folder(const struct task *t, struct arena *a, char **out, struct err *e)
{
    *out = arena_printf(a, "%s/work/checkpoint-XXXXXX", t->bundle);
    return mkdtemp(*out) == NULL ? err_sys(e, "mkdir %s", *out) : 0;
}

static void remove_folder(const struct task *t, const char *path)
{
    auto_free char *work = mem_printf("%s/work", t->bundle);
    struct err e = {0};
    auto_fd int dir = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || path_remove_tree(dir, strrchr(path, '/') + 1, &e) < 0)
        log_warn("the images of a checkpoint stay until the task goes", "path", path, NULL);
}

static int ask_shim(struct task *t, const Tasks__CheckpointTaskRequest *q, const char *folder,
                    int cancel_fd, struct arena *a, struct err *e)
{
    Shim__CheckpointTaskRequest m = SHIM__CHECKPOINT_TASK_REQUEST__INIT;
    void *empty;
    m.id = q->container_id;
    m.path = (char *)(uintptr_t)folder;
    m.options = q->options;
    const struct task_rpc call = {"Checkpoint", &m.base, &pb__empty__descriptor, CHECKPOINT_MS};
    return task_call_wait(t, &call, cancel_fd, a, &empty, e);
}

/* The folder that the caller wants the images in, if that is all that it wants; NULL: none. */
static const char *wanted_folder(const Pb__Any *options, struct arena *a)
{
    Runc__CheckpointOptions *o = NULL;
    struct err ignored = {0};
    bool known =
        pb_any_is(options, &runc__checkpoint_options__descriptor) &&
        pb_any_unpack(options, &runc__checkpoint_options__descriptor, a, &o, &ignored) == 0;
    return known && *o->image_path != '\0' ? o->image_path : NULL;
}

static int put_spec(struct store *s, const struct scope *sc, const struct any_value *spec,
                    struct arena *a, struct oci_descriptor *out, struct err *e)
{
    static const struct strmap no_labels;
    auto_buf struct buf bytes = BUF_MAX(SPEC_MAX);
    char digest[DIGEST_MAX];
    Pb__Any *any = any_to_pb(spec, a);
    if (any == NULL)
        return err_set(e, ERR_INVALID, "the container has no spec: invalid argument");
    TRY(pb_pack(&any->base, &bytes, e));
    TRY(content_put(s, sc, bytes.p, bytes.n, &no_labels, digest, e));
    *out = (struct oci_descriptor){
        .media_type = MEDIA_SPEC, .digest = arena_strdup(a, digest), .size = (int64_t)bytes.n};
    return 0;
}

static int store_checkpoint(struct grpc_call *c, const struct scope *sc, const char *folder,
                            const struct container_record *rec, struct err *e)
{
    struct store *s = ((struct ctd *)grpc_call_ctx(c))->store;
    struct arena *a = grpc_call_arena(c);
    struct oci_descriptor images, spec;
    Tasks__CheckpointTaskResponse r = TASKS__CHECKPOINT_TASK_RESPONSE__INIT;
    Types__Descriptor *descriptors[2];
    TRY(folder_pack(s, sc, folder, MEDIA_IMAGES, grpc_call_cancel_fd(c), a, &images, e));
    TRY(put_spec(s, sc, &rec->spec, a, &spec, e));
    descriptors[0] = descriptor_to_pb(&images, a);
    descriptors[1] = descriptor_to_pb(&spec, a);
    r.descriptors = descriptors;
    r.n_descriptors = ARRAY_LEN(descriptors);
    return grpc_call_reply(c, &r.base, e);
}

int task_checkpoint(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__CheckpointTaskRequest *q = req;
    struct ctd *d = grpc_call_ctx(c);
    struct arena *a = grpc_call_arena(c);
    int cancel_fd = grpc_call_cancel_fd(c);
    Tasks__CheckpointTaskResponse none = TASKS__CHECKPOINT_TASK_RESPONSE__INIT;
    struct container_record rec;
    auto_task struct task *t = NULL;
    struct scope sc;
    char *folder;
    TRY(call_scope(c, &sc, e));
    TRY(container_get(d->store, &sc, q->container_id, a, &rec, e));
    TRY(task_find(d->tasks, sc.ns, q->container_id, &t, e));
    const char *wanted = wanted_folder(q->options, a);
    if (wanted != NULL)
        return ask_shim(t, q, wanted, cancel_fd, a, e) < 0 ? -1 : grpc_call_reply(c, &none.base, e);
    TRY(make_folder(t, a, &folder, e));
    int r = ask_shim(t, q, folder, cancel_fd, a, e);
    if (r == 0)
        r = store_checkpoint(c, &sc, folder, &rec, e);
    remove_folder(t, folder);
    return r;
}

/* ---- and back ---- */

static const char *folder_of_options(const Pb__Any *options, struct arena *a)
{
    Runc__Options *o = NULL;
    struct err ignored = {0};
    bool known = pb_any_is(options, &runc__options__descriptor) &&
                 pb_any_unpack(options, &runc__options__descriptor, a, &o, &ignored) == 0;
    return known ? o->criu_image_path : "";
}

int checkpoint_folder(struct ctd *d, const struct scope *sc, const struct checkpoint_source *from,
                      int cancel_fd, struct arena *a, const char **out, struct err *e)
{
    const Types__Descriptor *blob = from->blob;
    const char *named = folder_of_options(from->options, a);
    if (*named != '\0' || blob == NULL || *blob->digest == '\0') {
        *out = named;
        return 0;
    }
    if (strcmp(blob->media_type, MEDIA_IMAGES) != 0)
        return err_set(e, ERR_INVALID, "unsupported checkpoint type \"%s\": invalid argument",
                       blob->media_type);
    const char *folder = arena_printf(a, "%s/work/restored", from->bundle);
    if (mkdir(folder, 0700) < 0)
        return err_sys(e, "mkdir %s", folder);
    TRY(folder_unpack(d->store, sc, blob->digest, folder, cancel_fd, e));
    *out = folder;
    return 0;
}
