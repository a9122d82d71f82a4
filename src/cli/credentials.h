/**
 * Registry credentials as docker keeps them: in config.json, or with a credential helper
 * (docker-credential-NAME) that config.json names.
 */
#ifndef HULL_CLI_CREDENTIALS_H
#define HULL_CLI_CREDENTIALS_H

#include "cli/cli.h"
#include "types/system.h"

#define HUB_KEY "https://index.docker.io/v1/"

/** Under which name a server's credentials are kept: HUB_KEY, or host[:port]. server: as the user
 * types it, or a stored address; NULL: Docker Hub. */
const char *credentials_key(struct cli *c, const char *server);

/** What is stored under key; all members NULL or "" when there is nothing. */
int credentials_get(struct cli *c, const char *key, struct auth_config *out, struct err *e);

/** Store. *out_plain: they are readable in config.json now. */
int credentials_put(struct cli *c, const char *key, const struct auth_config *auth, bool *out_plain,
                    struct err *e);

/** Forget. Nothing stored is fine. */
int credentials_erase(struct cli *c, const char *key, struct err *e);

/** X-Registry-Auth for a registry's key; "" when nothing is stored. */
int credentials_header(struct cli *c, const char *key, const char **out, struct err *e);

#endif
