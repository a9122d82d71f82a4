/**
 * What a checkpoint and a restore have in common: the directories that criu reads and writes, its
 * settings, and its log, of which the errors are quoted when it fails.
 */
#ifndef HULL_RUNTIME_CRIU_WORK_H
#define HULL_RUNTIME_CRIU_WORK_H

#include "runtime/criu.h"
#include "types/oci_runtime.h"

/* In the image directory: what stdio of the container was connected to. */
#define CRIU_DESCRIPTORS "descriptors.json"

struct criu_work {
    const struct hullrun_criu_opts *o;
    const struct hullrun_log *log;
    struct arena *a;
    const char *log_file; /* "dump.log", "restore.log" */
    int images, logs;     /* directories; logs is -1 when they are the same */
    struct criu_settings settings;
};
#define CRIU_WORK_NONE .images = -1, .logs = -1, .settings = {CRIU_SETTINGS_NONE}

/**
 * Open the directories and fill in the settings that follow from the options and from annotations.
 * make: the image directory is made when missing, the log's always is. NOT_FOUND in runc's words
 * without criu.
 */
int criu_work_open(struct criu_work *w, const struct strmap *annotations, bool make, struct err *e);

/** As criu_perform; a failure's error names criu's log, whose errors go to the operator's. */
int criu_work_perform(struct criu_work *w, struct criu *c, enum criu_type type,
                      const struct criu_listener *listener, pid_t *out_pid, struct err *e);

/** The name that a namespace from outside has in the images: "extRootNetNS". NULL for a kind that
 * criu does not take from outside. */
const char *criu_external_ns(const char *oci);

void criu_work_done(struct criu_work *w);

#endif
