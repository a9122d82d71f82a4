/* Diff and Apply; the diff id comes as a label of the new blob. */
#include "client/diff.h"

#include "client/images.h"
#include "proto/diff.pb-c.h"

#define DIFF "/containerd.services.diff.v1.Diff/"
#define LAYER_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"

/* NOLINTNEXTLINE(readability-function-size): two of them are answers */
int ctd_diff(struct ctd *c, const struct ctd_mounts *lower, const struct ctd_mounts *upper,
             const char *lease, int cancel_fd, struct arena *a, struct oci_descriptor *out,
             const char **out_diff_id, struct err *e)
{
    Diff__DiffRequest req = DIFF__DIFF_REQUEST__INIT;
    struct ctd_opts opts = CTD_OPTS(.lease = lease);
    Diff__DiffResponse *r;
    struct strmap labels = {0};
    int64_t size;

    opts.cancel_fd = cancel_fd;
    req.left = lower->v;
    req.n_left = lower->n;
    req.right = upper->v;
    req.n_right = upper->n;
    req.media_type = (char *)LAYER_GZIP;
    TRY(ctd_call(c, DIFF "Diff", &req.base, &opts, &diff__diff_response__descriptor, a, &r, e));
    if (r->diff == NULL)
        return err_set(e, ERR_INTERNAL, "containerd gave no layer");
    *out = (struct oci_descriptor){
        .media_type = r->diff->media_type, .digest = r->diff->digest, .size = r->diff->size};
    TRY(ctd_content_info(c, out->digest, a, &size, &labels, e));
    *out_diff_id = strmap_get(&labels, "containerd.io/uncompressed");
    return *out_diff_id != NULL ? 0
                                : err_set(e, ERR_INTERNAL, "layer %s has no diff id", out->digest);
}

int ctd_apply(struct ctd *c, const struct oci_descriptor *layer, const struct ctd_mounts *mounts,
              const char *lease, int cancel_fd, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Diff__ApplyRequest req = DIFF__APPLY_REQUEST__INIT;
    Types__Descriptor d = TYPES__DESCRIPTOR__INIT;
    struct ctd_opts opts = CTD_OPTS(.lease = lease);
    Diff__ApplyResponse *r;

    opts.cancel_fd = cancel_fd;
    d.media_type = (char *)layer->media_type;
    d.digest = (char *)layer->digest;
    d.size = layer->size;
    req.diff = &d;
    req.mounts = mounts->v;
    req.n_mounts = mounts->n;
    return ctd_call(c, DIFF "Apply", &req.base, &opts, &diff__apply_response__descriptor, a, &r, e);
}
