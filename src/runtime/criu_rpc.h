/**
 * criu's requests and answers as bytes: the part of its RPC (protobuf, rpc.proto of criu 3.15 and
 * newer) that checkpoint and restore need, written and read by hand, since nothing else in this
 * program speaks protobuf. Pure functions.
 */
#ifndef HULL_RUNTIME_CRIU_RPC_H
#define HULL_RUNTIME_CRIU_RPC_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

enum criu_type {
    CRIU_DUMP = 1,
    CRIU_RESTORE = 2,
    CRIU_PRE_DUMP = 4,
    CRIU_NOTIFY = 6,
    CRIU_FEATURE_CHECK = 9,
    CRIU_VERSION = 10,
};

/** "DUMP" as criu names it; "UNKNOWN" for a type that we never send. */
const char *criu_type_name(int type);

/* criu's criu_cg_mode; absent is -1. */
enum criu_cgroups { CRIU_IGNORE = 0, CRIU_SOFT = 3, CRIU_FULL = 4, CRIU_STRICT = 5, CRIU_DEFAULT };

/** "soft", "full", "strict", "ignore", "": the default. INVALID in runc's words. */
int criu_cgroups_parse(const char *word, enum criu_cgroups *out, struct err *e);

struct criu_pair {
    const char *key, *val;
};
struct criu_pairs {
    struct criu_pair *v;
    size_t n, cap;
};
struct criu_number {
    const char *key;
    int64_t number;
};
struct criu_numbers {
    struct criu_number *v;
    size_t n, cap;
};

/* Settings of a dump or restore. A number below 0, a NULL, an empty list: not sent. Flags are
 * always sent, so that only criu's configuration of our own choice overrides them. */
struct criu_settings {
    int64_t images_dir_fd, work_dir_fd; /* descriptors of ours */
    int64_t pid, log_level, cgroups_mode, empty_ns;
    bool leave_running, ext_unix_sk, tcp_established, tcp_skip_in_flight, evasive_devices,
        shell_job, file_locks, notify_scripts, track_mem, auto_dedup, link_remap, manage_cgroups,
        rst_sibling, lazy_pages, orphan_pts_master;
    const char *log_file, *root, *parent_img, *freeze_cgroup, *config_file, *lsm_profile,
        *lsm_mount_context;
    struct criu_numbers page_server; /* at most one: address, port */
    struct criu_numbers inherit_fd;  /* descriptors of criu's */
    struct criu_pairs ext_mnt, cg_root, join_ns;
    struct strv external;
};
#define CRIU_SETTINGS_NONE                                                                  \
    .images_dir_fd = -1, .work_dir_fd = -1, .pid = -1, .log_level = -1, .cgroups_mode = -1, \
    .empty_ns = -1

/* What criu and the kernel below it are asked for, or said to have. */
struct criu_features {
    bool mem_track, lazy_pages;
};

struct criu_request {
    enum criu_type type;
    bool notify_success;                  /* only with CRIU_NOTIFY */
    bool keep_open;                       /* another request follows */
    const struct criu_settings *settings; /* or NULL */
    const struct criu_features *features; /* or NULL */
};

struct criu_answer {
    int type;
    bool success;
    int64_t error;      /* criu's errno, or 0 */
    struct str message; /* criu's reason; borrowed from the bytes */
    int64_t pid;        /* of a restored process */
    struct str script;  /* of a notification: what is about to happen; borrowed */
    int64_t notify_pid; /* and to whom */
    int version;        /* as 31701 for 3.17.1; 0: none */
    struct criu_features features;
};

/** Append the request's bytes; over the buffer's maximum is buf->over. */
void criu_request_write(const struct criu_request *r, struct buf *out);

/** Read an answer. INVALID when the bytes are none. */
int criu_answer_read(const void *p, size_t n, struct criu_answer *out, struct err *e);

#endif
