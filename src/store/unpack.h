/**
 * What hull-unpack does for the store: layers into directories, directories into layers, archives
 * of images in and out.
 */
#ifndef HULL_STORE_UNPACK_H
#define HULL_STORE_UNPACK_H

#include "store/image.h"
#include "store/snapshot.h"
#include "types/oci_image.h"

/**
 * Diff.Apply: apply a layer blob to a mount as snapshot_prepare returned it.
 *
 * out  descriptor of the uncompressed tar (digest is the DiffID); strings in the arena.
 */
int layer_apply(struct store *s, const struct scope *sc, const struct oci_descriptor *layer,
                const struct mount_spec *mount, int cancel_fd, struct arena *a,
                struct oci_descriptor *out, struct err *e);

struct diff_opts {
    const char *media_type; /* NULL or "": gzip */
    const char *ref;        /* name of the ingest; NULL: made up */
    struct strmap labels;   /* of the new blob; containerd.io/uncompressed is added */
    int cancel_fd;
};

/**
 * Diff.Diff: what lies between two mounts as a layer blob. Works for an active or view mount
 * `upper` over the snapshot that `lower` shows, as containerd's clients ask for it (commit).
 */
int layer_diff(struct store *s, const struct scope *sc, const struct mount_spec *lower,
               const struct mount_spec *upper, const struct diff_opts *o, struct arena *a,
               struct oci_descriptor *out, struct err *e);

/** A folder that is nobody's snapshot as an uncompressed tar blob of this media type; out's strings
 * in the arena. */
int folder_pack(struct store *s, const struct scope *sc, const char *path, const char *media_type,
                int cancel_fd, struct arena *a, struct oci_descriptor *out, struct err *e);

/** The way back: into a folder that is there. */
int folder_unpack(struct store *s, const struct scope *sc, const char *digest, const char *path,
                  int cancel_fd, struct err *e);

struct import_opts {
    const char *platform; /* to unpack; NULL: this machine */
    bool no_unpack;
    const char *name;               /* for an archive without names: this one; NULL: none */
    const char *const *extra_names; /* NULL-terminated; or NULL */
    int cancel_fd;
    /** A layer, config or manifest was read. May be NULL. */
    void (*progress)(void *arg, const char *digest, int64_t bytes);
    void *arg;
};

/**
 * Load a docker-archive or an OCI layout (tar, any compression) from a descriptor: blobs, records,
 * unpacked layers. out_v: the images, in the arena; those without a name have name "".
 *
 * Errors: INVALID ("invalid archive: does not contain a manifest.json", traversal, bad JSON),
 * PRECONDITION (digest mismatch).
 */
int image_import(struct store *s, const struct scope *sc, int fd, const struct import_opts *o,
                 struct arena *a, struct image_record **out_v, size_t *out_n, struct err *e);

struct export_opts {
    const char *platform; /* NULL: all that is there */
    int cancel_fd;
};

/**
 * Save images into a tar with both layouts (OCI and docker).
 *
 * images  records; a name of "" saves it without a tag.
 */
int image_export(struct store *s, const struct scope *sc, int fd, const struct image_record *images,
                 size_t n, const struct export_opts *o, struct err *e);

#endif
