/**
 * Jobs: one slow or hostile piece of work done by a program of ours in libexec. The job goes in as
 * JSON in a memfd (descriptor 3), messages travel over a SEQPACKET socket (descriptor 4), the job's
 * own descriptors are 5, 6, … . Exactly one result or `struct err` comes back. The helper dies with
 * the thread that started it.
 *
 *     const struct job_opts o = {.program = unpack_path, .doc = doc.p, .doc_len = doc.n,
 *                                .fds = (int[]){root_fd, input_fd}, .n_fds = 2};
 *     TRY(job_run(&o, &result, e));
 */
#ifndef HULL_SYS_JOB_H
#define HULL_SYS_JOB_H

#include "base/buf.h"
#include "base/err.h"
#include "sys/proc.h"
#include "sys/userns.h"

enum {
    JOB_DOC_MAX = 64 << 20,  /* bytes of a job and of a result */
    JOB_MESSAGE_MAX = 60000, /* bytes of one notice, question or answer */
    JOB_FIRST_FD = 5,        /* number of the first of fds in the helper */
};

/**
 * The helper asks something. out_fd: a descriptor that is sent with the answer and then closed
 * here; stays -1 for none. answer: JSON, may stay empty. Returning -1 ends the job with e.
 */
typedef int job_ask_fn(void *arg, const char *question, size_t n, struct buf *answer, int *out_fd,
                       struct err *e);

struct job_opts {
    const char *program; /* absolute path of the helper */
    const char *doc;     /* the job, JSON */
    size_t doc_len;
    const int *fds; /* borrowed */
    size_t n_fds;   /* at most 16 */
    int timeout_ms; /* 0: none */
    int cancel_fd;  /* 0 or -1: none; else the job ends with CANCELLED when it becomes readable */
    const struct userns_maps *userns; /* the helper begins with job_enter_userns, which gets these;
                                         NULL, or without mappings: it does not */
    job_ask_fn *ask;                  /* NULL: questions are an error */
    void *arg;
};

/**
 * Run a job to its end. Blocks; any thread. out_result gets the result's JSON (its maximum is
 * obeyed).
 *
 * A helper that is cancelled, late or dead is killed and reaped before this returns. Errors: what
 * the helper answered (kind and text as they are), CANCELLED, TIMEOUT, NOT_FOUND (no such program),
 * INTERNAL ("hull-unpack ended with status 139 and no answer").
 */
int job_run(const struct job_opts *o, struct buf *out_result, struct err *e);

/* The same in two halves, for a parent that has something to tell while the job runs. */
struct job {
    struct proc proc;
    int sock;
    const struct job_opts *opts;
};
#define JOB_NONE                      \
    {                                 \
        .proc = PROC_NONE, .sock = -1 \
    }

/** Start. *o must outlive the job. */
int job_start(struct job *j, const struct job_opts *o, struct err *e);

/** Send a notice. must: wait until there is room; else a full socket drops it (0 all the same). A
 * helper that is gone is no error here: job_finish tells. */
void job_notify(struct job *j, const char *json, size_t n, bool must);

/** True when the helper has something to say (it failed early, say): call job_finish. */
bool job_has_news(const struct job *j);

/** Wait for the result and reap the helper. */
int job_finish(struct job *j, struct buf *out_result, struct err *e);

/** Kill and reap a job that was started and not finished; else nothing. For CLEANUP. */
void job_stop(struct job *j);
#define auto_job CLEANUP(job_stop)

/* ---- the helper's side; descriptors 3 and 4 ---- */

/** Read the job's document. INVALID when the program was not started as a job. */
int job_read(struct buf *out_doc, struct err *e);

/**
 * Become root of a new user namespace whose mappings the parent writes (job_opts.userns): from here
 * on files show the ids they have in there, and only what it maps can be touched. Single-threaded
 * programs only.
 */
int job_enter_userns(struct err *e);

/** Ask the parent and wait for the answer. *out_fd is -1 when no descriptor came. out_answer may be
 * NULL. */
int job_ask(const char *question, size_t n, struct buf *out_answer, int *out_fd, struct err *e);

/** Wait for a notice of the parent. CANCELLED when the parent is gone, or stop_fd (0: none) becomes
 * readable. */
int job_next_notice(struct buf *out, int stop_fd, struct err *e);

/** Send the result. */
int job_reply(const char *json, size_t n, struct err *e);

/** Send the error instead. */
void job_fail(const struct err *why);

#endif
