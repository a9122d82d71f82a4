/** A container's changes as a new image. */
#ifndef HULL_ENGINE_IMAGE_COMMIT_H
#define HULL_ENGINE_IMAGE_COMMIT_H

#include "engine/container.h"
#include "engine/engine.h"

struct commit_opts {
    const char *repo, *tag; /* NULL or "": the image gets no name */
    const char *comment, *author;
    const char *body; /* ContainerConfig that goes before the container's own; "", "{}": none */
    size_t body_len;
    const struct strv *changes; /* Dockerfile words, see change_words.h */
    bool pause;                 /* while the changes are read */
    int cancel_fd;
};

/**
 * POST /commit: one layer of what the container changed, on top of its image; volumes stay out.
 * Appends {"Id":...}. Errors: CONFLICT (dead, being removed), INVALID (name, change). Nothing is
 * left behind then.
 */
int container_commit(struct container *c, const struct commit_opts *o, struct buf *out,
                     struct err *e);

/** Whether one is under way; else leases named COMMIT_LEASE… are what failed ones could not end. */
bool container_commit_runs(void);
#define COMMIT_LEASE "commit-"

#endif
