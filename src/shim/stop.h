/** The end of a shim. */
#ifndef HULL_SHIM_STOP_H
#define HULL_SHIM_STOP_H

struct shim;

/** Leave the loop once everything that was answered and published is sent, a second from now at the
 * latest. */
void shim_stop(struct shim *s);

#endif
