/** The user's ~/.docker: config.json, stored credentials, contexts. */
#ifndef HULL_CLI_CONFIG_H
#define HULL_CLI_CONFIG_H

#include "cli/cli.h"

/** config.json of dir; NULL when absent. A malformed one is warned of and ignored. */
struct json_object *config_load(const char *dir);

/** Write c->config back, mode 0600, through a link if the file is one. */
int config_save(struct cli *c, struct err *e);

/** Set host and TLS files from the context of c->context. NOT_FOUND when there is none of that
 * name. */
int context_load(struct cli *c, struct err *e);

#endif
