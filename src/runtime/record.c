/* The state directory: see record.h. State lives in /run, so nothing is synced to disk. */
#include "runtime/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "sys/fd.h"
#include "sys/path.h"

#define STATE_BYTES_MAX (4 << 20)

JSON_DESC(record_dir, RECORD_DIR)
JSON_DESC(record, RECORD)
JSON_DESC(hullrun_state, HULLRUN_STATE)

static bool id_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '.' || c == '-';
}

int record_check_id(const char *id, struct err *e)
{
    if (id == NULL || !str_all(id, 255, id_char) || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
        return err_set(e, ERR_INVALID, "invalid container ID format");
    return 0;
}

static const char *root_of(const char *root)
{
    return root != NULL ? root : HULLRUN_DEFAULT_ROOT;
}

int record_make(const char *root, const char *id, struct err *e)
{
    TRY(record_check_id(id, e));
    auto_fd int root_fd = open(root_of(root), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        TRY(path_mkdirs(root_of(root), 0700, e));
        root_fd = open(root_of(root), O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root_fd < 0)
            return err_sys(e, "open %s", root_of(root));
    }
    if (mkdirat(root_fd, id, 0711) < 0)
        return errno == EEXIST ? err_set(e, ERR_EXISTS, "container with given ID already exists")
                               : err_sys(e, "mkdir %s/%s", root_of(root), id);
    int fd = openat(root_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_sys(e, "open %s/%s", root_of(root), id) : fd;
}

int record_open(const char *root, const char *id, struct err *e)
{
    char path[4096];
    TRY(record_check_id(id, e));
    int n = snprintf(path, sizeof(path), "%s/%s", root_of(root), id);
    if (n < 0 || (size_t)n >= sizeof(path))
        return err_set(e, ERR_INVALID, "root path too long");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    return errno == ENOENT || errno == ENOTDIR
               ? err_set(e, ERR_NOT_FOUND, "container does not exist")
               : err_sys(e, "open %s", path);
}

int record_remove(const char *root, const char *id, struct err *e)
{
    auto_fd int root_fd = open(root_of(root), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return errno == ENOENT ? 0 : err_sys(e, "open %s", root_of(root));
    /* what we put there ourselves, by name: the few calls that cleaning up needs must not fail */
    static const char *const files[] = {"config.json", "state.json", ".state.json", "exec.fifo"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[300];
        (void)snprintf(path, sizeof(path), "%s/%s", id, files[i]);
        (void)unlinkat(root_fd, path, 0);
    }
    if (unlinkat(root_fd, id, AT_REMOVEDIR) == 0)
        return 0;
    return path_remove_tree(root_fd, id, e);
}

int record_load(int dir_fd, struct arena *a, struct record *out, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(STATE_BYTES_MAX);
    if (file_read(dir_fd, "state.json", &text, e) < 0)
        return e->kind == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "container does not exist")
                                        : -1;
    TRY(json_parse(&record_json, out, buf_cstr(&text), text.n, a, e));
    if (out->version > RECORD_VERSION)
        return err_set(e, ERR_INVALID, "state.json has version %lld, this hull-runc knows %d",
                       (long long)out->version, RECORD_VERSION);
    return 0;
}

int record_save(int dir_fd, const struct record *r, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(STATE_BYTES_MAX);
    json_write(&record_json, r, &text);
    if (text.over)
        return err_set(e, ERR_TOO_LARGE, "the container's state is too large");
    auto_fd int fd =
        openat(dir_fd, ".state.json", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -errno : fd_write_all(fd, text.p, text.n);
    if (rc == 0 && renameat(dir_fd, ".state.json", dir_fd, "state.json") < 0)
        rc = -errno;
    return rc < 0 ? err_neg(e, rc, "write state.json") : 0;
}

bool record_proc_stat(pid_t pid, char *out_state, uint64_t *out_start)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    auto_fd int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *after = strrchr(text, ')'); /* the name may hold anything */
    if (after == NULL || after[1] != ' ')
        return false;
    struct str rest = str_of(after + 2);
    *out_state = rest.p[0];
    for (int field = 3; field < 22; field++)
        str_cut(&rest, ' ');
    return str_to_u64(str_cut(&rest, ' '), 0, UINT64_MAX, out_start);
}

void record_cgroup(const struct record *r, struct arena *a, struct cgroup *out)
{
    memset(out, 0, sizeof(*out));
    out->mode = (enum cgroup_mode)r->cgroup_mode;
    vec_each(d, &r->cgroup) {
        struct cgroup_dir *to = vec_add_in(a, &out->dirs);
        *to = (struct cgroup_dir){d->controllers != NULL ? d->controllers : "", d->path, d->mount};
    }
}

enum hullrun_status record_status(int dir_fd, const struct record *r)
{
    auto_arena struct arena *a = arena_new();
    struct cgroup cg;
    char state;
    uint64_t start;
    record_cgroup(r, a, &cg);
    bool alive = record_proc_stat((pid_t)r->pid, &state, &start) && start == r->start_time &&
                 state != 'Z' && state != 'X';
    if (alive && cgroup_frozen(&cg))
        return HULLRUN_PAUSED;
    if (!alive)
        return HULLRUN_STOPPED;
    return faccessat(dir_fd, "exec.fifo", F_OK, 0) == 0 ? HULLRUN_CREATED : HULLRUN_RUNNING;
}

const char *hullrun_status_name(enum hullrun_status s)
{
    static const char *const names[] = {"created", "running", "paused", "stopped"};
    return names[s];
}

struct oci_state record_oci_state(const struct record *r, const char *status, pid_t pid)
{
    return (struct oci_state){.oci_version = HULLRUN_VERSION_SPEC,
                              .id = r->id,
                              .status = status,
                              .pid = pid,
                              .bundle = r->bundle,
                              .annotations = r->annotations};
}

void record_hook_state(const struct record *r, const char *status, pid_t pid, struct buf *out)
{
    struct oci_state s = record_oci_state(r, status, pid);
    json_write(&oci_state_json, &s, out);
}

void record_descriptors(const char *proc, const int fd[static 3], struct arena *a, struct strv *out)
{
    char path[64], name[4096];
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "/proc/%s/fd/%d", proc, fd[i]);
        ssize_t n = fd[i] < 0 ? -1 : readlink(path, name, sizeof(name));
        vec_push_in(a, out,
                    n < 0 ? arena_strdup(a, "/dev/null") : arena_strndup(a, name, (size_t)n));
    }
}

int record_pid_file(const char *path, pid_t pid, struct err *e)
{
    char text[24], tmp[4096];
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    int n = snprintf(tmp, sizeof(tmp), "%.*s.%s", (int)(name - path), path, name);
    if (n < 0 || (size_t)n >= sizeof(tmp))
        return err_set(e, ERR_INVALID, "pid file path too long");
    (void)snprintf(text, sizeof(text), "%d", (int)pid);
    (void)unlink(tmp); /* of a run that was killed */
    auto_fd int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_sys(e, "open %s", tmp);
    int r = fd_write_all(fd, text, strlen(text));
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(tmp);
    return r < 0 ? err_neg(e, r, "write %s", path) : 0;
}
