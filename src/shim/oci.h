/**
 * A container's OCI runtime as the shim uses it: every operation is begun and answered later, from
 * the loop. Two kinds stand behind it: ours (libhullrun, in a child cloned from the shim), and any
 * other program with runc's command line.
 */
#ifndef HULL_SHIM_OCI_H
#define HULL_SHIM_OCI_H

#include "base/loop.h"
#include "shim/reaper.h"

struct oci_ops;

struct oci {
    const struct oci_ops *ops;
    struct loop *loop;
    struct reaper *reaper;
    /* all in the arena of the container */
    const char *binary; /* name or path of the program */
    const char *root;   /* its state folder */
    const char *id;
    const char *bundle;
    bool systemd_cgroup, no_pivot, no_new_keyring;
};

struct oci_result {
    pid_t pid;   /* create, exec: the new process */
    int console; /* the terminal's master, or -1; the callee's to close */
};

/** The operation is over: e is NULL when it worked. Called exactly once when the operation has
 * begun (0), for start perhaps before it returns. */
typedef void oci_done(void *arg, const struct oci_result *res, const struct err *e);

struct oci_io {
    int fd[3]; /* of the process; -1: /dev/null */
    bool terminal;
};

/* What a checkpoint, or the restore from it, is to do: containerd's CheckpointOptions. */
struct oci_images {
    const char *path;         /* directory of the images */
    const char *work_path;    /* of criu's log */
    const char *parent_path;  /* of the images before, relative; "": none */
    const char *cgroups_mode; /* "": the default */
    bool leave_running, open_tcp, external_unix_sockets, terminal, file_locks;
};

struct oci_ops {
    int (*create)(const struct oci *o, const struct oci_io *io, oci_done *done, void *arg,
                  struct err *e);
    int (*start)(const struct oci *o, oci_done *done, void *arg, struct err *e);
    /* spec: JSON of the process */
    int (*exec)(const struct oci *o, const char *exec_id, const char *spec, const struct oci_io *io,
                oci_done *done, void *arg, struct err *e);
    int (*kill_all)(const struct oci *o, int signo, oci_done *done, void *arg, struct err *e);
    int (*del)(const struct oci *o, oci_done *done, void *arg, struct err *e); /* with force */
    int (*pause)(const struct oci *o, bool pause, oci_done *done, void *arg, struct err *e);
    int (*checkpoint)(const struct oci *o, const struct oci_images *images, oci_done *done,
                      void *arg, struct err *e);
    /* create and start at once */
    int (*restore)(const struct oci *o, const struct oci_images *images, const struct oci_io *io,
                   oci_done *done, void *arg, struct err *e);
    /* resources: JSON of LinuxResources */
    int (*update)(const struct oci *o, const char *resources, oci_done *done, void *arg,
                  struct err *e);
    /* del to its end, blocking: for the short-lived `delete` */
    int (*delete_now)(const struct oci *o, struct err *e);
};

extern const struct oci_ops oci_runc;   /* the command line of runc */
extern const struct oci_ops oci_native; /* libhullrun */

/** The operations for a program: ours when it is hull-runc, else its command line. */
const struct oci_ops *oci_ops_for(const char *binary);

#endif
