/* Diff: layers applied to mounts, and mounts compared into layers. */
#include "containerd/convert.h"
#include "containerd/ctd.h"
#include "proto/diff.pb-c.h"
#include "store/unpack.h"

static struct store *store_of(struct grpc_call *c)
{
    return ((struct ctd *)grpc_call_ctx(c))->store;
}

static int one_mount(size_t n, Types__Mount **v, struct mount_spec *out, struct err *e)
{
    if (n != 1)
        return err_set(e, ERR_INVALID, "expected one mount, got %zu: invalid argument", n);
    *out = mount_from_pb(v[0]);
    return 0;
}

static int apply(struct grpc_call *c, const void *req, struct err *e)
{
    const Diff__ApplyRequest *q = req;
    Diff__ApplyResponse r = DIFF__APPLY_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct oci_descriptor layer = descriptor_from_pb(q->diff, a), done;
    struct scope sc;
    struct mount_spec m;
    TRY(call_scope(c, &sc, e));
    TRY(one_mount(q->n_mounts, q->mounts, &m, e));
    TRY(layer_apply(store_of(c), &sc, &layer, &m, grpc_call_cancel_fd(c), a, &done, e));
    r.applied = descriptor_to_pb(&done, a);
    return grpc_call_reply(c, &r.base, e);
}

static int diff(struct grpc_call *c, const void *req, struct err *e)
{
    const Diff__DiffRequest *q = req;
    Diff__DiffResponse r = DIFF__DIFF_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct diff_opts o = {.media_type = q->media_type,
                          .ref = q->ref,
                          .labels = map_from_pb(q->n_labels, q->labels, a),
                          .cancel_fd = grpc_call_cancel_fd(c)};
    struct scope sc;
    struct mount_spec lower, upper;
    struct oci_descriptor done;
    TRY(call_scope(c, &sc, e));
    TRY(one_mount(q->n_left, q->left, &lower, e));
    TRY(one_mount(q->n_right, q->right, &upper, e));
    TRY(layer_diff(store_of(c), &sc, &lower, &upper, &o, a, &done, e));
    r.diff = descriptor_to_pb(&done, a);
    return grpc_call_reply(c, &r.base, e);
}

#define DIFF "containerd.services.diff.v1.Diff"

static const struct grpc_method methods[] = {
    {DIFF, "Apply", &diff__apply_request__descriptor, &diff__apply_response__descriptor, GRPC_UNARY,
     GRPC_SLOW, apply},
    {DIFF, "Diff", &diff__diff_request__descriptor, &diff__diff_response__descriptor, GRPC_UNARY,
     GRPC_SLOW, diff},
};

void service_diff_add(struct grpc_server *s)
{
    grpc_server_add(s, methods, ARRAY_LEN(methods));
}
