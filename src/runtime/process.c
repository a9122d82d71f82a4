/*
 * From a prepared namespace to the user's program: see process.h. Privileges go away in the order
 * in which each step still needs the next ones; the file name is looked up last, as the user, so
 * that its error is the one the user's shell would give.
 */
#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/launch.h"
#include "runtime/mempolicy.h"
#include "runtime/oplog.h"
#include "runtime/spec.h"
#include "sys/caps.h"
#include "sys/fd.h"
#include "sys/oom_score.h"
#include "sys/path.h"

/* ---- descriptors -------------------------------------------------------------------------- */

static int compare_int(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return x < y ? -1 : x > y;
}

void process_close_fds(size_t preserve, const int *keep, size_t n_keep)
{
    int sorted[64];
    size_t n = 0;
    unsigned from = 3 + (unsigned)preserve;
    for (size_t i = 0; i < n_keep && n < ARRAY_LEN(sorted); i++)
        if (keep[i] >= (int)from)
            sorted[n++] = keep[i];
    qsort(sorted, n, sizeof(sorted[0]), compare_int);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned)sorted[i] > from)
            (void)close_range(from, (unsigned)sorted[i] - 1, 0);
        from = (unsigned)sorted[i] + 1;
    }
    (void)close_range(from, ~0U, 0);
}

int process_stdio(const int fd[3], struct err *e)
{
    int safe[3] = {-1, -1, -1};
    auto_fd int null = -1;
    for (int i = 0; i < 3; i++) { /* first out of the way, then into place */
        if (fd[i] == i)
            continue;
        if (fd[i] < 0 && null < 0 && (null = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
            return err_sys(e, "open /dev/null");
        safe[i] = fcntl(fd[i] >= 0 ? fd[i] : null, F_DUPFD_CLOEXEC, 3);
        if (safe[i] < 0)
            return err_sys(e, "duplicate descriptor %d", fd[i]);
    }
    for (int i = 0; i < 3; i++) {
        if (safe[i] < 0)
            continue;
        if (dup2(safe[i], i) < 0)
            return err_sys(e, "duplicate descriptor %d", fd[i]);
        fd_close(safe[i]);
    }
    return 0;
}

/* ---- attributes --------------------------------------------------------------------------- */

static int set_scheduler(const struct oci_scheduler *s, struct err *e)
{
    static const struct {
        const char *name;
        uint32_t value;
    } policies[] = {{"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},      {"SCHED_BATCH", 3},
                    {"SCHED_ISO", 4},   {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6}},
      flags[] = {{"SCHED_FLAG_RESET_ON_FORK", 1},  {"SCHED_FLAG_RECLAIM", 2},
                 {"SCHED_FLAG_DL_OVERRUN", 4},     {"SCHED_FLAG_KEEP_POLICY", 8},
                 {"SCHED_FLAG_KEEP_PARAMS", 16},   {"SCHED_FLAG_UTIL_CLAMP_MIN", 32},
                 {"SCHED_FLAG_UTIL_CLAMP_MAX", 64}};
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = {.size = 48,
              .nice = (int32_t)s->nice,
              .priority = (uint32_t)s->priority,
              .runtime = s->runtime,
              .deadline = s->deadline,
              .period = s->period};
    bool found = false;
    for (size_t i = 0; i < ARRAY_LEN(policies); i++)
        if (s->policy != NULL && strcmp(policies[i].name, s->policy) == 0) {
            attr.policy = policies[i].value;
            found = true;
        }
    if (!found)
        return err_set(e, ERR_INVALID, "scheduler policy is required");
    for (size_t k = 0; k < s->flags.n; k++)
        for (size_t i = 0; i < ARRAY_LEN(flags); i++)
            if (strcmp(flags[i].name, s->flags.v[k]) == 0)
                attr.flags |= flags[i].value;
    if (syscall(SYS_sched_setattr, 0, &attr, 0) == 0)
        return 0;
    /* sched_setattr(2): a deadline wants every CPU of the system */
    return errno == EPERM && attr.policy == SCHED_DEADLINE
               ? err_sys(e, "process scheduler can't be used together with AllowedCPUs "
                            "(or without CAP_SYS_NICE)")
               : err_sys(e, "error setting scheduler");
}

static int set_io_priority(const struct oci_io_priority *p, struct err *e)
{
    static const char *const classes[] = {"", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE",
                                          "IOPRIO_CLASS_IDLE"};
    if (p->priority < 0 || p->priority > 7)
        return err_set(e, ERR_INVALID, "invalid ioPriority.Priority: %lld", (long long)p->priority);
    for (size_t i = 1; i < ARRAY_LEN(classes); i++)
        if (p->class != NULL && strcmp(classes[i], p->class) == 0) {
            long value = (long)(i << 13) | (long)p->priority;
            return syscall(SYS_ioprio_set, 1, 0, value) < 0
                       ? err_sys(e, "failed to set io priority")
                       : 0;
        }
    return err_set(e, ERR_INVALID, "invalid ioPriority.Class: %s",
                   p->class != NULL ? p->class : "");
}

static bool given(const char *s)
{
    return s != NULL && *s != '\0';
}

static int set_labels(const struct process *p, struct err *e)
{
    const char *profile = p->spec->apparmor_profile, *label = p->spec->selinux_label;
    if (given(label)) {
        int rc = file_put(p->proc_fd, "self/attr/exec", label);
        if (rc < 0)
            return err_neg(e, rc, "set selinux label");
    }
    if (given(profile)) {
        const char *text = arena_printf(p->a, "exec %s", profile);
        int rc = file_put(p->proc_fd, "self/attr/apparmor/exec", text);
        if (rc == -ENOENT)
            rc = file_put(p->proc_fd, "self/attr/exec", text);
        if (rc < 0)
            return err_neg(e, rc,
                           "unable to apply apparmor profile: apparmor failed to apply profile: "
                           "write attr/exec");
    }
    return 0;
}

static int set_personality(const struct oci_personality *p, struct err *e)
{
    bool is32 = strcmp(p->domain, "LINUX32") == 0;
    if (!is32 && strcmp(p->domain, "LINUX") != 0)
        return err_set(e, ERR_INVALID, "invalid personality domain %s", p->domain);
    return personality(is32 ? PER_LINUX32 : PER_LINUX) < 0 ? err_sys(e, "set personality") : 0;
}

int process_attributes(struct process *p, const struct oci_linux *l, struct err *e)
{
    struct mempolicy policy;
    TRY(set_labels(p, e));
    if (p->spec->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(e, "set no_new_privs");
    if (p->spec->scheduler != NULL)
        TRY(set_scheduler(p->spec->scheduler, e));
    if (p->spec->io_priority != NULL)
        TRY(set_io_priority(p->spec->io_priority, e));
    if (l->personality != NULL && given(l->personality->domain))
        TRY(set_personality(l->personality, e));
    if (l->memory_policy == NULL)
        return 0;
    TRY(mempolicy_parse(l->memory_policy, &policy, e));
    return mempolicy_apply(&policy, e);
}

/* ---- environment -------------------------------------------------------------------------- */

/* The home directory of uid in the container's /etc/passwd; "/" when it is not there. */
static const char *home_of(uint64_t uid, struct arena *a)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(1 << 20);
    struct err ignored = {0};
    auto_fd int fd = open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fd_read_to_end(fd, &text) < 0)
        return "/";
    (void)ignored;
    for (struct str rest = str_of(buf_cstr(&text)); rest.n > 0;) {
        struct str line = str_cut(&rest, '\n');
        uint64_t id;
        str_cut(&line, ':');
        str_cut(&line, ':');
        struct str number = str_cut(&line, ':');
        if (!str_to_u64(number, 0, UINT32_MAX, &id) || id != uid)
            continue;
        str_cut(&line, ':');
        str_cut(&line, ':');
        struct str home = str_cut(&line, ':');
        return home.n > 0 ? arena_strndup(a, home.p, home.n) : "/";
    }
    return "/";
}

static size_t name_length(const char *entry)
{
    return strcspn(entry, "=");
}

static bool same_name(const char *a, const char *b)
{
    size_t n = name_length(a);
    return n == name_length(b) && strncmp(a, b, n) == 0;
}

/* Of entries with one name the last stays, at its place; HOME is filled in when it is not given. */
static void make_environment(struct process *p)
{
    const struct strv *env = &p->spec->env;
    char **out = arena_alloc_array(p->a, env->n + 2, sizeof(*out));
    size_t n = 0;
    bool home = false;
    for (size_t i = 0; i < env->n; i++) {
        bool later = false;
        for (size_t k = i + 1; k < env->n && !later; k++)
            later = same_name(env->v[i], env->v[k]);
        if (later || strcmp(env->v[i], "HOME=") == 0)
            continue;
        home |= strncmp(env->v[i], "HOME=", 5) == 0;
        out[n++] = env->v[i];
    }
    if (!home)
        out[n++] = arena_printf(p->a, "HOME=%s", home_of(p->spec->user.uid, p->a));
    p->envp = out;
}

/* ---- the program -------------------------------------------------------------------------- */

static int not_executable(const char *name, const char *why, struct err *e)
{
    return err_set(e, ERR_INVALID, "exec: \"%s\": %s", name, why);
}

static int check_file(const char *path, bool *out_found)
{
    struct stat st;
    *out_found = false;
    if (stat(path, &st) < 0)
        return -errno;
    *out_found = true;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static int find_program(struct process *p, struct err *e)
{
    const char *name = p->spec->args.v[0], *path = "";
    bool found;
    if (strchr(name, '/') != NULL) {
        int r = check_file(name, &found);
        p->path = name;
        if (r == 0)
            return 0;
        if (r == -EISDIR)
            return not_executable(name, "is a directory", e);
        if (r == -ENOENT || r == -ENOTDIR)
            return err_set(e, ERR_NOT_FOUND, "exec: \"%s\": stat %s: %s", name, name,
                           r == -ENOENT ? "no such file or directory" : "not a directory");
        return not_executable(name, "permission denied", e);
    }
    for (char **entry = p->envp; *entry != NULL; entry++)
        if (strncmp(*entry, "PATH=", 5) == 0)
            path = *entry + 5;
    for (struct str rest = str_of(path); rest.n > 0;) {
        struct str dir = str_cut(&rest, ':');
        const char *at = arena_printf(p->a, "%.*s/%s", dir.n > 0 ? (int)dir.n : 1,
                                      dir.n > 0 ? dir.p : ".", name);
        if (check_file(at, &found) == 0) {
            p->path = at;
            return 0;
        }
    }
    return err_set(e, ERR_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH", name);
}

/* ---- identity ----------------------------------------------------------------------------- */

/* Names as the specification has them, and nothing looser: what one runtime does not know it must
 * not get from another. The unknown are collected, each once. */
static uint64_t mask_of(const struct strv *names, uint64_t available, struct buf *unknown)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < names->n; i++) {
        const char *name = names->v[i];
        int n = caps_number(name);
        if (n >= 0 && strcmp(caps_name(n), name) == 0 && (available >> n & 1) != 0)
            mask |= (uint64_t)1 << n;
        else if (strstr(buf_cstr(unknown), name) == NULL)
            buf_printf(unknown, "%s%s", unknown->n > 0 ? " " : "", name);
    }
    return mask;
}

/* The kernel raises only what is permitted and inheritable too. */
static void limit_ambient(struct caps *c, const struct hullrun_log *log)
{
    uint64_t possible = c->permitted & c->inheritable;
    for (int cap = 0; cap < 64; cap++)
        if ((c->ambient & ~possible & (uint64_t)1 << cap) != 0)
            oplog(log, HULLRUN_WARNING,
                  "can't raise ambient capability %s: operation not permitted", caps_name(cap));
    c->ambient &= possible;
}

void process_caps(const struct oci_capabilities *c, uint64_t bounding,
                  const struct hullrun_log *log, struct caps *out)
{
    CLEANUP(buf_done) struct buf unknown = BUF_MAX(4096);
    memset(out, 0, sizeof(*out));
    if (c == NULL)
        return;
    out->bounding = mask_of(&c->bounding, bounding, &unknown);
    out->effective = mask_of(&c->effective, bounding, &unknown);
    out->inheritable = mask_of(&c->inheritable, bounding, &unknown);
    out->permitted = mask_of(&c->permitted, bounding, &unknown);
    out->ambient = mask_of(&c->ambient, bounding, &unknown);
    limit_ambient(out, log);
    if (unknown.n > 0)
        oplog(log, HULLRUN_WARNING, "ignoring unknown or unavailable capabilities: [%s]",
              buf_cstr(&unknown));
}

void process_warn_caps(const struct oci_capabilities *c, const struct hullrun_log *log)
{
    uint64_t bounding = 0;
    struct caps ignored;
    if (log->line != NULL && caps_bounding(&bounding) == 0)
        process_caps(c, bounding, log, &ignored);
}

/* 1: we are there; 0: only the user may enter, try again later. */
static int enter_cwd(const struct process *p, struct err *e)
{
    if (chdir(p->spec->cwd) == 0)
        return 1;
    if (errno == EACCES || errno == EPERM)
        return 0;
    return err_sys(e, "chdir to cwd (\"%s\") set in config.json failed", p->spec->cwd);
}

static int verify_cwd(struct err *e)
{
    char path[4096];
    /* the raw call: a directory outside of our root reads "(unreachable)..." (CVE-2024-21626) */
    if (syscall(SYS_getcwd, path, sizeof(path)) < 0)
        return errno == ENOENT
                   ? err_set(e, ERR_INVALID,
                             "current working directory is outside of container mount "
                             "namespace root -- possible container breakout detected")
                   : err_sys(e, "failed to verify if current working directory is safe");
    if (path[0] != '/')
        return err_set(e, ERR_INVALID,
                       "current working directory is outside of container mount namespace root -- "
                       "possible container breakout detected");
    return 0;
}

static int own_stdio(const struct process *p, struct err *e)
{
    for (int fd = 0; fd <= 2; fd++) {
        struct stat st;
        if (fstat(fd, &st) < 0)
            return err_sys(e, "fstat descriptor %d", fd);
        /* /dev/null may be the host's own inode: never change its owner */
        if (st.st_uid == p->spec->user.uid || (S_ISCHR(st.st_mode) && st.st_rdev == 0x103))
            continue;
        if (fchown(fd, (uid_t)p->spec->user.uid, (gid_t)-1) < 0 && errno != EPERM &&
            errno != EINVAL && errno != EROFS)
            return err_sys(e, "chown descriptor %d", fd);
    }
    return 0;
}

/* Who made this user namespace wanted that its groups cannot be changed. */
static bool setgroups_denied(void)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(64);
    struct err ignored = {0};
    return file_read(AT_FDCWD, "/proc/self/setgroups", &text, &ignored) == 0 &&
           strcmp(buf_cstr(&text), "deny\n") == 0;
}

static int set_groups(const struct process *p, struct err *e)
{
    const struct i64v *extra = &p->spec->user.additional_gids;
    gid_t *groups = arena_alloc_array(p->a, extra->n + 1, sizeof(*groups));
    for (size_t i = 0; i < extra->n; i++)
        groups[i] = (gid_t)extra->v[i];
    if (syscall(SYS_setgroups, extra->n, groups) == 0 || (errno == EPERM && extra->n == 0))
        return 0;
    if (errno == EPERM && p->rootless)
        return err_set(e, ERR_INVALID, "cannot set any additional groups in a rootless container");
    return errno == EPERM && setgroups_denied() ? 0 : err_sys(e, "setgroups");
}

static int become_user(const struct process *p, struct err *e)
{
    const struct oci_user *u = &p->spec->user;
    gid_t gid = (gid_t)u->gid;
    uid_t uid = (uid_t)u->uid;
    TRY(set_groups(p, e));
    if (syscall(SYS_setresgid, gid, gid, gid) < 0)
        return errno == EINVAL ? err_set(e, ERR_INVALID,
                                         "cannot setgid to unmapped gid %u in user namespace", gid)
                               : err_sys(e, "setgid %u", gid);
    if (syscall(SYS_setresuid, uid, uid, uid) < 0)
        return errno == EINVAL ? err_set(e, ERR_INVALID,
                                         "cannot setuid to unmapped uid %u in user namespace", uid)
                               : err_sys(e, "setuid %u", uid);
    return 0;
}

static int install_filter(const struct process *p, struct err *e)
{
    int listener = -1, rc = seccomp_install(p->filter, &listener);
    if (rc < 0)
        return err_neg(e, rc,
                       "unable to init seccomp: error loading seccomp filter into kernel: error "
                       "loading seccomp filter");
    if (listener < 0)
        return 0;
    TRY(sync_listener(p->sync, listener, e));
    fd_close(listener); /* the agent has it, and may be asked about this very call */
    return 0;
}

int process_prepare(struct process *p, struct err *e)
{
    uint64_t bounding = 0;
    struct caps caps;
    int rc = caps_bounding(&bounding);
    if (rc < 0)
        return err_neg(e, rc, "read capabilities");
    process_caps(p->spec->capabilities, bounding, NULL, &caps);
    p->argv = arena_alloc_array(p->a, p->spec->args.n + 1, sizeof(*p->argv));
    memcpy(p->argv, p->spec->args.v, p->spec->args.n * sizeof(*p->argv));
    make_environment(p);
    int there = enter_cwd(p, e);
    TRY(there);
    TRY(own_stdio(p, e));
    umask(p->spec->user.umask != NULL ? (mode_t)(*p->spec->user.umask & 0777) : 022);
    if (p->filter != NULL && !p->spec->no_new_privileges)
        TRY(install_filter(p, e)); /* needs CAP_SYS_ADMIN, so it stays in force from here on */
    if ((rc = caps_drop_bounding(caps.bounding)) < 0)
        return err_neg(e, rc, "drop bounding set");
    if ((rc = caps_keep(true)) < 0)
        return err_neg(e, rc, "keep capabilities");
    TRY(become_user(p, e));
    if (there == 0 && enter_cwd(p, e) <= 0)
        return e->kind != ERR_NONE
                   ? -1
                   : err_sys(e, "chdir to cwd (\"%s\") set in config.json failed", p->spec->cwd);
    TRY(verify_cwd(e));
    (void)caps_keep(false); /* execve clears it too */
    if ((rc = caps_apply(&caps)) < 0)
        return err_neg(e, rc, "apply caps");
    TRY(find_program(p, e));
    if (p->filter != NULL && p->spec->no_new_privileges)
        TRY(install_filter(p, e));
    return 0;
}

int process_exec(const struct process *p, struct err *e)
{
    execve(p->path, p->argv, p->envp);
    int saved = errno;
    if (saved == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "exec %s: no such file or directory", p->path);
    errno = saved;
    return err_sys(e, "exec %s", p->path);
}

/* ---- limits ------------------------------------------------------------------------------- */

int process_oom_score(pid_t pid, const struct oci_process *spec, struct err *e)
{
    if (spec->oom_score_adj == NULL)
        return 0;
    int rc = oom_score_set(pid, *spec->oom_score_adj);
    if ((rc == -EACCES || rc == -EPERM) && geteuid() != 0)
        return 0;
    return rc < 0 ? err_neg(e, rc, "failed to set oom_score_adj to %lld",
                            (long long)*spec->oom_score_adj)
                  : 0;
}

int process_rlimits(pid_t pid, const struct oci_process *spec, struct err *e)
{
    vec_each(l, &spec->rlimits) {
        int type = spec_rlimit(l->type);
        struct rlimit64 limit = {l->soft, l->hard};
        if (syscall(SYS_prlimit64, pid, type, &limit, NULL) < 0)
            return err_sys(
                e, "error setting rlimits for ready process: error setting rlimit type %d", type);
    }
    return 0;
}
