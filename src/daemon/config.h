/**
 * hulld's configuration: flags and daemon.json, from one table of options. A file's key is the
 * flag's name unless the table says otherwise.
 */
#ifndef HULL_DAEMON_CONFIG_H
#define HULL_DAEMON_CONFIG_H

#include "base/json.h"
#include "base/str.h"
#include "engine/engine.h"
#include "types/registry_job.h"

struct daemon_config {
    struct arena *arena; /* everything below lives in it */
    bool help, version, validate;

    const char *config_file;
    struct strv hosts;
    const char *group;
    const char *pidfile;
    const char *data_root, *exec_root;
    const char *containerd, *containerd_namespace;
    bool debug;
    const char *log_level;
    int64_t shutdown_timeout_s;
    const char *min_api_version;
    bool experimental;

    bool tls, tlsverify;
    const char *tls_ca, *tls_cert, *tls_key;

    VEC(struct engine_runtime) runtimes;
    const char *default_runtime;
    const char *cgroup_parent;
    const char *log_driver;
    struct strmap log_opts;
    int64_t shm_bytes;
    int64_t stop_timeout_s;
    bool no_new_privileges;
    const char *seccomp_profile, *userns_remap;
    const char *signature_policy;
    struct registry_settings registry;
    struct strv labels, insecure_registries, registry_mirrors;

    const char *bridge, *bip, *fixed_cidr, *host_ip;
    struct strv address_pools; /* "base=...,size=..." */
    struct strv dns, dns_search, dns_opts;
    int64_t mtu;
    bool icc, ip_masq, ip_forward, iptables;
    bool respect_firewalls; /* our own: never insert into the tables of other firewalls */
};

/**
 * Read the flags, then the file they name, check, and fill in what was not given.
 *
 * out  freed with daemon_config_done, also after an error.
 *
 * Errors: INVALID with dockerd's texts: unknown flags and keys, a key given twice, values that are
 * not of their kind; UNIMPLEMENTED for options that Docker has and hulld does not.
 */
int daemon_config_read(int argc, char **argv, struct daemon_config *out, struct err *e);
void daemon_config_done(struct daemon_config *c);

/** Text for --help. */
void daemon_config_help(struct buf *out);

/* ---- between config.c, options.c and config_file.c ---- */

enum opt_kind {
    OPT_BOOL,
    OPT_STR,
    OPT_INT,
    OPT_SIZE, /* bytes: "64m", or a number */
    OPT_LIST,
    OPT_MAP,      /* key=value; an object in the file */
    OPT_RUNTIMES, /* name=path; an object of objects in the file */
    OPT_POOLS,    /* base=...,size=...; an array of objects in the file */
    OPT_PROXIES,  /* an object with the flags of the proxies, in the file only */
    OPT_ANY,      /* whatever it is: of options without effect */
};

enum opt_state {
    OPT_WORKS,
    OPT_IDLE,    /* accepted with a warning: what it tunes does not exist here */
    OPT_MISSING, /* refused: doing without it would not be what was asked for */
};

enum { OPT_FLAG = 1 << 0, OPT_FILE = 1 << 1 };

struct daemon_option {
    const char *flag;
    char shorthand;  /* 0: none */
    const char *key; /* in the file; NULL: as the flag */
    enum opt_kind kind;
    enum opt_state state;
    unsigned where;
    size_t off; /* in struct daemon_config, for OPT_WORKS */
    const char *help;
};

extern const struct daemon_option daemon_options[];
extern const size_t n_daemon_options;
enum { DAEMON_OPTIONS_MAX = 160 };

/** Set one option from text, as a flag gives it. */
int daemon_option_set(struct daemon_config *c, const struct daemon_option *o, const char *text,
                      struct err *e);

/** Read the file. from_flag: texts of the options that flags gave, by index, NULL: not given. */
int daemon_config_load(struct daemon_config *c, const char *const *from_flag, struct err *e);

#endif
