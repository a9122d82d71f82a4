/** What the files of this room share: messages that are needed in several places. */
#ifndef HULL_CLIENT_WIRE_H
#define HULL_CLIENT_WIRE_H

#include "base/json.h"
#include "client/tasks.h"

/** An Any in the arena that holds JSON (borrowed) of one of the runtime-spec's types. */
Pb__Any *wire_json_any(const char *type_url, const char *json, struct arena *a);

/** runc's options: which binary, where its state is. */
Pb__Any *wire_runtime_options(const struct ctd_runtime *r, struct arena *a);

/** A map<string, string> of an answer as a strmap. */
struct strmap wire_labels(size_t n, const void *entries, struct arena *a);

#endif
