/**
 * Putting the entries of a tar into a directory, by *at calls below descriptors that we hold. One
 * engine for a layer on its own, a layer on the merged view of the layers below, and Docker's
 * archive PUT.
 */
#ifndef HULL_ARCHIVE_EXTRACT_H
#define HULL_ARCHIVE_EXTRACT_H

#include "archive/tar_in.h"
#include "types/unpack_job.h"

enum extract_kind {
    EXTRACT_LAYER,  /* its own directory: whiteouts become 0:0 nodes, lower layers are not seen */
    EXTRACT_MERGED, /* an overlay of all lower layers: whiteouts are deletions */
    EXTRACT_COPY,   /* no whiteouts; below job->path */
};

/**
 * Extract everything from input into root_fd as the job says; fills *out (memory from the arena).
 *
 * An EXTRACT_LAYER that depends on a lower layer ends early with out->needs_merge and 0.
 * Errors: INVALID (hostile or damaged archive), NOT_FOUND (job->path), INTERNAL (disk full, …);
 * what was written stays: the caller throws the directory away.
 */
int extract(enum extract_kind kind, int root_fd, int input_fd, const struct unpack_job *job,
            struct arena *a, struct unpack_result *out, struct err *e);

#endif
