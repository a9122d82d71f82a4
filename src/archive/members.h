/** Archives whose members come from and go to the parent: image archives in and out. */
#ifndef HULL_ARCHIVE_MEMBERS_H
#define HULL_ARCHIVE_MEMBERS_H

#include "archive/tar_out.h"
#include "types/unpack_job.h"

/** Ask the parent for each file, hard link and symbolic link in the archive where it goes. */
int members_read(int input_fd, const struct unpack_job *job, struct unpack_result *out,
                 struct err *e);

/** Write job->members, asking the parent for the bytes of each file. */
int members_write(struct tar_out *t, const struct unpack_job *job, struct err *e);

#endif
