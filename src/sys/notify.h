/** Telling systemd how far we are. */
#ifndef HULL_SYS_NOTIFY_H
#define HULL_SYS_NOTIFY_H

/** Send "READY=1", "STOPPING=1" ... to NOTIFY_SOCKET; without it nothing happens. Main's thread
 * only (reads the environment). Source: sd_notify(3). */
void notify(const char *state);

#endif
