/* Directories, settings and log of a checkpoint or restore: see criu_work.h. */
#include "runtime/criu_work.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "runtime/oplog.h"
#include "sys/fd.h"
#include "sys/path.h"

#define LOG_LEVEL 4 /* everything */
#define LOG_BYTES_MAX (64 << 20)
#define CONFIG_FILE "/etc/criu/runc.conf" /* runc's, so that administrators need only one */
#define CONFIG_ANNOTATION "org.criu.config"

void criu_work_done(struct criu_work *w)
{
    fd_close(w->images);
    fd_close(w->logs);
    w->images = w->logs = -1;
}

static int open_dir(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    err_sys(e, "open %s", path);
    if (errno == ENOENT || errno == ENOTDIR)
        e->kind = ERR_NOT_FOUND;
    return -1;
}

static int open_dirs(struct criu_work *w, bool make, struct err *e)
{
    const struct hullrun_criu_opts *o = w->o;
    if (make)
        TRY(path_mkdirs(o->image_path, 0700, e));
    w->images = open_dir(o->image_path, e);
    TRY(w->images);
    w->settings.images_dir_fd = w->images;
    if (o->work_path == NULL)
        return 0;
    if (mkdir(o->work_path, 0700) < 0 && errno != EEXIST)
        return err_sys(e, "mkdir %s", o->work_path);
    w->logs = open_dir(o->work_path, e);
    TRY(w->logs);
    w->settings.work_dir_fd = w->logs;
    return 0;
}

/* The annotation names a file of the container's own; an empty one says that there is none. */
static const char *config_file(const struct strmap *annotations)
{
    const char *own = strmap_get(annotations, CONFIG_ANNOTATION);
    if (own == NULL)
        return CONFIG_FILE;
    return *own != '\0' ? own : NULL;
}

int criu_work_open(struct criu_work *w, const struct strmap *annotations, bool make, struct err *e)
{
    const struct hullrun_criu_opts *o = w->o;
    struct criu_settings *s = &w->settings;
    enum criu_cgroups mode;
    TRY(criu_find(e));
    TRY(criu_cgroups_parse(o->manage_cgroups, &mode, e));
    TRY(open_dirs(w, make, e));
    s->log_level = LOG_LEVEL;
    s->log_file = w->log_file;
    s->config_file = config_file(annotations);
    s->manage_cgroups = true; /* for releases that do not know the mode */
    s->cgroups_mode = mode;
    s->notify_scripts = true;
    s->orphan_pts_master = true; /* the other end of a terminal is not in the container */
    s->empty_ns = CLONE_NEWNET;  /* devices and addresses are not ours to keep */
    s->shell_job = o->shell_job;
    s->tcp_established = o->tcp_established;
    s->ext_unix_sk = o->ext_unix_sk;
    s->file_locks = o->file_locks;
    s->auto_dedup = o->auto_dedup;
    s->lazy_pages = o->lazy_pages;
    return 0;
}

/* ---- the log of a failure ------------------------------------------------------------------- */

#define BEFORE 5 /* lines that stand before one with an error are quoted as well */

/* As grep -n -B5 Error would show it. */
static void quote_errors(struct criu_work *w, const char *path, struct str text)
{
    struct str last[BEFORE + 1] = {{0}};
    size_t number = 0, quoted = 0;
    while (text.n > 0) {
        struct str line = str_cut(&text, '\n');
        last[number++ % ARRAY_LEN(last)] = line;
        if (memmem(line.p, line.n, "Error", strlen("Error")) == NULL)
            continue;
        size_t from = number > ARRAY_LEN(last) ? number - ARRAY_LEN(last) : 0;
        if (quoted == 0)
            oplog(w->log, HULLRUN_WARNING, "--- Quoting \"%s\"", path);
        else if (from > quoted)
            oplog(w->log, HULLRUN_WARNING, "...");
        for (size_t i = MAX(from, quoted); i < number; i++)
            oplog(w->log, HULLRUN_WARNING, "%zu:%.*s", i + 1, STR_ARG(last[i % ARRAY_LEN(last)]));
        quoted = number;
    }
    if (quoted > 0)
        oplog(w->log, HULLRUN_WARNING, "---");
}

int criu_work_perform(struct criu_work *w, struct criu *c, enum criu_type type,
                      const struct criu_listener *listener, pid_t *out_pid, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(LOG_BYTES_MAX);
    struct err unread = {0};
    if (criu_perform(c, type, &w->settings, listener, out_pid, e) == 0)
        return 0;
    const char *path =
        arena_printf(w->a, "%s/%s", w->logs >= 0 ? w->o->work_path : w->o->image_path, w->log_file);
    if (file_read(w->logs >= 0 ? w->logs : w->images, w->log_file, &text, &unread) < 0) {
        oplog(w->log, HULLRUN_WARNING, "%s", unread.msg); /* its configuration may name another */
        return -1;
    }
    quote_errors(w, path, str_of(buf_cstr(&text)));
    char reason[sizeof(e->msg)];
    memcpy(reason, e->msg, sizeof(reason));
    return err_set(e, e->kind, "%s: log file: %s", reason, path);
}

const char *criu_external_ns(const char *oci)
{
    if (strcmp(oci, "network") == 0)
        return "extRootNetNS";
    return strcmp(oci, "pid") == 0 ? "extRootPidNS" : NULL;
}
