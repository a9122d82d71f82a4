/** The progress of pull, load and import: JSON lines from the daemon, shown as docker shows them.
 */
#ifndef HULL_CLI_PROGRESS_H
#define HULL_CLI_PROGRESS_H

#include <stdio.h>

#include "cli/cli.h"

/**
 * Show a progress stream until its end. On a terminal each id owns a row that is rewritten; else
 * each change is a line and pure counting is left out.
 *
 * to     where; quiet: shows nothing, errors still count.
 *
 * Errors: the stream's own error text, or a broken stream.
 */
int progress_show(struct cli *c, struct http_resp *r, FILE *to, bool quiet, struct err *e);

/** As progress_show; aux gets the text of each aux object. */
typedef void progress_aux_fn(void *arg, const char *json);
int progress_show_aux(struct cli *c, struct http_resp *r, FILE *to, bool quiet,
                      progress_aux_fn *aux, void *arg, struct err *e);

#endif
