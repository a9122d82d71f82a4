/**
 * One criu process that works for us: `criu swrk`, talked to over a SEQPACKET socket.
 *
 *     struct criu c = CRIU_NONE;
 *     TRY(criu_start(&c, stdio, 3, log, e));
 *     TRY(criu_perform(&c, CRIU_DUMP, &settings, &listener, NULL, e));
 *     criu_done(&c);
 */
#ifndef HULL_RUNTIME_CRIU_H
#define HULL_RUNTIME_CRIU_H

#include "runtime/criu_rpc.h"
#include "runtime/runtime.h"
#include "sys/spawn.h"

/* The oldest that has external pid namespaces and says when its page server is ready. */
#define CRIU_VERSION_MIN 31500
#define CRIU_VERSION_LSM 31600 /* a label other than the dumped one */

/* criu's end of the socket; what the caller gives it besides stdio comes behind. */
#define CRIU_SOCKET 3

struct criu {
    struct proc proc;
    int sock;
    int version; /* 31701 is 3.17.1 */
    const struct hullrun_log *log;
};
#define CRIU_NONE .proc = PROC_NONE, .sock = -1

/* Who hears what criu is about to do; criu waits for the return. -1 ends the work. */
struct criu_listener {
    int (*notice)(void *arg, struct str script, pid_t pid, int fd, struct err *e); /* fd: or -1 */
    void *arg;
};

/** NOT_FOUND in runc's words when no criu is installed. */
int criu_find(struct err *e);

/** Start criu with these descriptors (stdio not listed is /dev/null) and ask its version.
 * UNIMPLEMENTED when it is too old. log is borrowed. */
int criu_start(struct criu *c, const struct spawn_fd *fds, size_t n_fds,
               const struct hullrun_log *log, struct err *e);

/** UNIMPLEMENTED "criu is missing features: [...]" when criu, or the kernel, lacks one of them. */
int criu_require(struct criu *c, const struct criu_features *wanted, struct err *e);

/** Dump, pre-dump or restore, and wait until criu has ended. *out_pid (may be NULL): the restored
 * process. */
int criu_perform(struct criu *c, enum criu_type type, const struct criu_settings *settings,
                 const struct criu_listener *listener, pid_t *out_pid, struct err *e);

/** Kill and reap it if it still runs. */
void criu_done(struct criu *c);

#endif
