/** Telling systemd how far we are. */
#ifndef HULL_SYS_NOTIFY_H
#define HULL_SYS_NOTIFY_H

/** Send "READY=1", "STOPPING=1" ... to NOTIFY_SOCKET; without it nothing happens. Main's thread
 * only (reads the environment). Source: sd_notify(3). */
void notify(const char *state);

/** A datagram socket connected to a service manager: address is the value of NOTIFY_SOCKET, a path
 * or "@" and an abstract name. -1 when nobody is there. */
int notify_dial(const char *address);

#endif
