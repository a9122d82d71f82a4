/**
 * The session keyring of a container's processes: keys of its caller are not for them.
 */
#ifndef HULL_RUNTIME_KEYRING_H
#define HULL_RUNTIME_KEYRING_H

#include "base/err.h"

/**
 * Join the session keyring _ses.<id>, made when missing.
 *
 * label    the SELinux label that a new one gets; NULL or "": none.
 * proc_fd  a procfs that the container cannot redirect, for the label.
 *
 * A kernel without keys is fine.
 */
int keyring_join(const char *id, const char *label, int proc_fd, struct err *e);

/** Let later processes of the container, of other users too, find the keyring that we are in. */
void keyring_share(void);

#endif
