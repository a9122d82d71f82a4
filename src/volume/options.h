/** The local driver's options: type, device and o as `mount` takes them; checked when the volume is
 * made, used when it is mounted. */
#ifndef HULL_VOLUME_OPTIONS_H
#define HULL_VOLUME_OPTIONS_H

#include "base/json.h"

/** What to mount on a volume's directory; device NULL: nothing. */
struct volume_mount {
    const char *type, *device, *data; /* data: what mount(2) hands to the file system */
    unsigned long flags, propagation; /* MS_ flags; propagation is a mount of its own */
};

/**
 * options  the volume's; out's strings live in a.
 * Errors: INVALID `missing required option: "device"`, `invalid option: "x"`; UNIMPLEMENTED for
 * size.
 */
int volume_options_parse(const struct strmap *options, struct arena *a, struct volume_mount *out,
                         struct err *e);

/** Mount it on a directory. */
int volume_options_mount(const struct volume_mount *m, const char *dir, struct err *e);

#endif
