/** The event stream of containerd. It is lossy by nature: after every (re)connection the subscriber
 * looks at the present state again. */
#ifndef HULL_CLIENT_EVENTS_H
#define HULL_CLIENT_EVENTS_H

#include "client/ctd.h"

enum ctd_event_kind { CTD_TASK_EXIT, CTD_TASK_OOM, CTD_TASK_PAUSED, CTD_TASK_RESUMED, CTD_OTHER };

struct ctd_event {
    enum ctd_event_kind kind;
    int64_t time_ns;
    const char *topic;
    const char *container_id;
    const char
        *process_id; /* CTD_TASK_EXIT: the container's id for its first process, else an exec id */
    uint32_t pid, exit_status;
    int64_t exited_ns;
};

struct ctd_events;

/** Subscribe to the task events of the client's namespace. The subscription stands when this
 * returns. */
int ctd_events_open(struct ctd *c, struct ctd_events **out, struct err *e);
/** Wait for the next event: 1 event, -1 the stream is lost (UNAVAILABLE) or was cancelled. */
int ctd_events_next(struct ctd_events *s, struct arena *a, struct ctd_event *out, struct err *e);
/** Readable when ctd_events_next would not wait. */
int ctd_events_fd(const struct ctd_events *s);
/** Let a waiting ctd_events_next return CANCELLED; any thread. */
void ctd_events_cancel(struct ctd_events *s);
void ctd_events_free(struct ctd_events *s);

#endif
