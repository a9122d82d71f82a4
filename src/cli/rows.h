/** Rows that more than one command shows: images and containers. */
#ifndef HULL_CLI_ROWS_H
#define HULL_CLI_ROWS_H

#include "cli/table.h"
#include "types/container.h"
#include "types/image.h"

/** A row for each name of the image, with the fields of `images`. */
void image_rows(struct table *t, const struct image_summary *s, bool no_trunc);

/** One row with the fields of `ps`; the size without the virtual part when size_root_fs is 0. */
void container_row(struct table *t, struct container_summary *s, bool no_trunc);

#endif
