/*
 * Volumes of the local driver; see volume.h. The order of each change is what makes crashes
 * harmless: row, then directory; mark, then directory, then row. All calls share one lock, which is
 * not held while a tree is removed or measured: then the volume is marked busy.
 */
#include "volume/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/usage.h"
#include "volume/options.h"

#define NAME_MAX_BYTES 255
#define DATA "_data"

struct volume {
    struct arena *arena;
    struct volume_doc doc;    /* immutable */
    struct volume_mount plan; /* of its options; type NULL: a plain directory */
    struct map users;         /* container id -> not NULL */
    struct map mounts;        /* those of them that run */
    bool busy; /* being made, mounted, unmounted or removed by a call that does not hold the lock */
    bool removing;
};

struct volumes {
    pthread_mutex_t lock;   /* guards by_name and all volumes */
    pthread_cond_t changed; /* a volume is not busy any more */
    struct map by_name;
    char *root;
    int root_fd;
    struct volume_store store;
    uid_t owner_uid;
    gid_t owner_gid;
};

static void volume_free(struct volume *v)
{
    if (v == NULL)
        return;
    map_done(&v->users);
    map_done(&v->mounts);
    arena_free(v->arena);
    free(v);
}

static int volume_new(const struct volume_doc *doc, struct volume **out, struct err *e)
{
    struct volume *v = mem_alloc(sizeof(*v));

    v->arena = arena_new();
    json_copy(&volume_doc_json, &v->doc, doc, v->arena);
    if (volume_options_parse(&v->doc.options, v->arena, &v->plan, e) < 0) {
        volume_free(v);
        return -1;
    }
    *out = v;
    return 0;
}

/* ---- names ---- */

static bool is_first(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int check_name(const char *name, struct err *e)
{
    size_t n = strlen(name);

    if (n == 1)
        return err_set(
            e, ERR_INVALID,
            "volume name is too short, names should be at least two alphanumeric characters");
    if (n > NAME_MAX_BYTES)
        return err_set(e, ERR_INVALID, "volume name is too long, the limit is %d characters",
                       NAME_MAX_BYTES);
    for (size_t i = 0; i < n; i++) {
        bool ok =
            is_first(name[i]) || (i > 0 && (name[i] == '_' || name[i] == '.' || name[i] == '-'));
        if (!ok)
            return err_set(e, ERR_INVALID,
                           "\"%s\" includes invalid characters for a local volume name, only "
                           "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are "
                           "allowed. If you intended to pass a host directory, use absolute path",
                           name);
    }
    return 0;
}

static void random_name(char out[static 65])
{
    uint8_t bytes[32];
    ssize_t n = getrandom(bytes, sizeof(bytes), 0); /* up to 256 bytes never fail nor come short */

    (void)n;
    str_hex(bytes, sizeof(bytes), out);
}

/* ---- directories ---- */

/* NAME and NAME/_data; those that are there stay as they are. */
static int make_directory(struct volumes *vs, const char *name, struct err *e)
{
    auto_fd int dir = -1;

    if (mkdirat(vs->root_fd, name, 0701) < 0 && errno != EEXIST)
        return err_sys(e, "create %s/%s", vs->root, name);
    dir = path_open_beneath(vs->root_fd, name, O_RDONLY | O_DIRECTORY, 0, e);
    if (dir < 0)
        return -1;
    if (mkdirat(dir, DATA, 0755) < 0) {
        if (errno == EEXIST)
            return 0;
        return err_sys(e, "create %s/%s/" DATA, vs->root, name);
    }
    if (fchownat(dir, DATA, vs->owner_uid, vs->owner_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(dir, DATA, 0755, 0) < 0) /* whatever the umask is */
        return err_sys(e, "set owner and mode of %s/%s/" DATA, vs->root, name);
    return 0;
}

/* Remove what no row names, so that every byte has an owner. */
static int sweep(struct volumes *vs, struct err *e)
{
    int fd = fcntl(vs->root_fd, F_DUPFD_CLOEXEC, 3);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *ent;
    struct err err;

    if (d == NULL) {
        fd_close(fd);
        return err_sys(e, "open %s", vs->root);
    }
    rewinddir(d);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
    while ((ent = readdir(d)) != NULL) {
        if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0 ||
            map_has(&vs->by_name, ent->d_name))
            continue;
        if (path_remove_tree(vs->root_fd, ent->d_name, &err) < 0)
            log_warn("directory of no volume stays", "name", ent->d_name, "error", err.msg, NULL);
    }
    closedir(d);
    return 0;
}

static int remove_everything(struct volumes *vs, const struct volume *v, struct err *e)
{
    if (v->plan.device !=
        NULL) /* a mount of a daemon that was killed: never remove what is on it */
        (void)umount2(v->doc.mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
    if (path_remove_tree(vs->root_fd, v->doc.name, e) < 0 && e->kind != ERR_NOT_FOUND)
        return err_wrap(e, "remove %s", v->doc.name);
    return vs->store.del(vs->store.arg, v->doc.name, e);
}

/* ---- opening ---- */

static int adopt(struct volumes *vs, const struct volume_doc *doc, struct err *e)
{
    struct volume *v;

    TRY(check_name(doc->name, e));
    TRY(volume_new(doc, &v, e));
    if (doc->removing) { /* finish what a crash stopped */
        int r = remove_everything(vs, v, e);
        volume_free(v);
        return r;
    }
    if (make_directory(vs, doc->name, e) < 0) {
        volume_free(v);
        return -1;
    }
    (void)map_put(&vs->by_name, v->doc.name, v);
    return 0;
}

int volumes_open(const struct volumes_opts *o, const struct volume_doc *saved, size_t n_saved,
                 struct volumes **out, struct err *e)
{
    struct volumes *vs = mem_alloc(sizeof(*vs));
    int r;

    pthread_mutex_init(&vs->lock, NULL);
    pthread_cond_init(&vs->changed, NULL);
    vs->root = mem_strdup(o->root);
    vs->store = *o->store;
    vs->owner_uid = o->owner_uid;
    vs->owner_gid = o->owner_gid;
    vs->root_fd = -1;
    r = path_mkdirs(vs->root, 0701, e);
    if (r == 0) {
        vs->root_fd = open(vs->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = vs->root_fd < 0 ? err_sys(e, "open %s", vs->root) : 0;
    }
    for (size_t i = 0; r == 0 && i < n_saved; i++)
        r = adopt(vs, &saved[i], e);
    if (r < 0 || sweep(vs, e) < 0) {
        volumes_close(vs);
        return err_wrap(e, "open volumes");
    }
    *out = vs;
    return 0;
}

void volumes_close(struct volumes *vs)
{
    if (vs == NULL)
        return;
    map_each(ent, &vs->by_name)
        volume_free(ent->val);
    map_done(&vs->by_name);
    fd_close(vs->root_fd);
    free(vs->root);
    pthread_cond_destroy(&vs->changed);
    pthread_mutex_destroy(&vs->lock);
    free(vs);
}

/* ---- looking ---- */

/* Under the lock. */
static int find(struct volumes *vs, const char *name, struct volume **out, struct err *e)
{
    struct volume *v;

    while ((v = map_get(&vs->by_name, name)) != NULL && v->busy)
        pthread_cond_wait(&vs->changed, &vs->lock);
    if (v == NULL)
        return err_set(e, ERR_NOT_FOUND, "get %s: no such volume", name);
    *out = v;
    return 0;
}

/* Under the lock. */
static void set_idle(struct volumes *vs, struct volume *v)
{
    v->busy = false;
    pthread_cond_broadcast(&vs->changed);
}

int volume_get(struct volumes *vs, const char *name, struct arena *a, struct volume_doc *out,
               struct err *e)
{
    struct volume *v;
    int r;

    pthread_mutex_lock(&vs->lock);
    r = find(vs, name, &v, e);
    if (r == 0)
        json_copy(&volume_doc_json, out, &v->doc, a);
    pthread_mutex_unlock(&vs->lock);
    return r;
}

void volumes_list(struct volumes *vs, struct arena *a, struct volume_row **out, size_t *out_n)
{
    const struct map_ent **sorted;
    size_t n = 0;

    pthread_mutex_lock(&vs->lock);
    sorted = map_sorted(&vs->by_name);
    *out = arena_alloc_array(a, vs->by_name.n, sizeof(**out));
    for (size_t i = 0; i < vs->by_name.n; i++) {
        const struct volume *v = sorted[i]->val;
        if (v->removing)
            continue;
        json_copy(&volume_doc_json, &(*out)[n].doc, &v->doc, a);
        (*out)[n++].refs = (int64_t)v->users.n;
    }
    *out_n = n;
    pthread_mutex_unlock(&vs->lock);
    free(sorted);
}

bool volume_is_anonymous(const struct volume_doc *v)
{
    return strmap_get(&v->labels, VOLUME_ANONYMOUS_LABEL) != NULL;
}

struct strv volume_users(struct volumes *vs, const char *name, struct arena *a)
{
    const struct volume *v;
    struct strv ids = {0};

    pthread_mutex_lock(&vs->lock);
    v = map_get(&vs->by_name, name);
    if (v != NULL) {
        map_each(ent, &v->users)
            vec_push_in(a, &ids, arena_strdup(a, ent->key));
    }
    pthread_mutex_unlock(&vs->lock);
    return ids;
}

/* ---- making and removing ---- */

static int fill_doc(struct volumes *vs, const struct volume_rq *rq, struct arena *a,
                    struct volume_doc *doc, struct err *e)
{
    bool anonymous = rq->name == NULL || rq->name[0] == '\0';
    struct volume_mount plan;
    char name[65];

    if (rq->driver != NULL && rq->driver[0] != '\0' && strcmp(rq->driver, "local") != 0)
        return err_set(e, ERR_NOT_FOUND,
                       "error looking up volume plugin %s: plugin \"%s\" not found", rq->driver,
                       rq->driver);
    if (anonymous)
        random_name(name);
    else
        TRY(check_name(rq->name, e));
    *doc = (struct volume_doc){.name = arena_strdup(a, anonymous ? name : rq->name),
                               .driver = "local",
                               .created_ns = time_now_ns()};
    doc->mountpoint = arena_printf(a, "%s/%s/" DATA, vs->root, doc->name);
    for (size_t i = 0; i < rq->labels.n; i++)
        strmap_set(&doc->labels, a, rq->labels.v[i].key, rq->labels.v[i].val);
    for (size_t i = 0; i < rq->options.n; i++)
        strmap_set(&doc->options, a, rq->options.v[i].key, rq->options.v[i].val);
    if (anonymous)
        strmap_set(&doc->labels, a, VOLUME_ANONYMOUS_LABEL, "");
    return volume_options_parse(&doc->options, a, &plan, e);
}

/* The existing volume of a name: 1, 0 when there is none, -1 when it is of another driver. Under
 * the lock. */
static int existing(struct volumes *vs, const struct volume_rq *rq, struct arena *a,
                    struct volume_doc *out, struct err *e)
{
    struct volume *v;
    struct err ignored;

    if (rq->name == NULL || rq->name[0] == '\0' || find(vs, rq->name, &v, &ignored) < 0)
        return 0;
    if (rq->driver != NULL && rq->driver[0] != '\0' && strcmp(rq->driver, v->doc.driver) != 0)
        return err_set(e, ERR_CONFLICT, "create %s: conflict: volume name must be unique",
                       rq->name);
    json_copy(&volume_doc_json, out, &v->doc, a);
    return 1;
}

int volume_create(struct volumes *vs, const struct volume_rq *rq, struct arena *a,
                  struct volume_doc *out, bool *out_new, struct err *e)
{
    struct volume *v = NULL;
    struct volume_doc doc;
    struct err undo;
    int have, r;

    if (out_new != NULL)
        *out_new = false;
    pthread_mutex_lock(&vs->lock);
    have = existing(vs, rq, a, out, e);
    if (have == 0 && fill_doc(vs, rq, a, &doc, e) == 0)
        (void)volume_new(&doc, &v, e); /* v tells */
    if (v != NULL) {
        v->busy = true;
        (void)map_put(&vs->by_name, v->doc.name, v);
    }
    pthread_mutex_unlock(&vs->lock);
    if (have > 0)
        return 0;
    if (v == NULL)
        return err_wrap(e, "create %s", rq->name != NULL ? rq->name : "");
    r = vs->store.put(vs->store.arg, &v->doc, e);
    if (r == 0 && make_directory(vs, v->doc.name, e) < 0) {
        r = -1;
        (void)remove_everything(vs, v, &undo); /* the next start finishes what this leaves */
    }
    pthread_mutex_lock(&vs->lock);
    if (r < 0)
        (void)map_del(&vs->by_name, v->doc.name);
    set_idle(vs, v);
    pthread_mutex_unlock(&vs->lock);
    if (r < 0) {
        volume_free(v);
        return -1;
    }
    *out = doc;
    if (out_new != NULL)
        *out_new = true;
    return 0;
}

/* `remove x: volume is in use - [ids]`; under the lock. */
static int in_use(const struct volume *v, struct err *e)
{
    auto_buf struct buf ids = BUF_MAX(1500);

    map_each(ent, &v->users)
        (void)buf_printf(&ids, "%s%s", ids.n > 0 ? ", " : "", ent->key);
    return err_set(e, ERR_CONFLICT, "remove %s: volume is in use - [%s]", v->doc.name,
                   buf_cstr(&ids));
}

int volume_remove(struct volumes *vs, const char *name, bool force, struct err *e)
{
    struct volume_doc marked;
    struct volume *v = NULL;
    int r;

    pthread_mutex_lock(&vs->lock);
    r = find(vs, name, &v, e);
    if (r == 0 && v->users.n > 0)
        r = in_use(v, e);
    if (r == 0)
        v->busy = v->removing = true;
    pthread_mutex_unlock(&vs->lock);
    if (r < 0)
        return force && e->kind == ERR_NOT_FOUND ? 0 : -1;
    marked = v->doc;
    marked.removing = true;
    r = vs->store.put(vs->store.arg, &marked, e);
    if (r == 0)
        r = remove_everything(vs, v, e);
    pthread_mutex_lock(&vs->lock);
    v->removing = false;
    if (r == 0)
        (void)map_del(&vs->by_name, name);
    set_idle(vs, v);
    pthread_mutex_unlock(&vs->lock);
    if (r == 0)
        volume_free(v);
    return r;
}

/* ---- use ---- */

int volume_ref(struct volumes *vs, const char *name, const char *container_id, struct err *e)
{
    struct volume *v;
    int r;

    pthread_mutex_lock(&vs->lock);
    r = find(vs, name, &v, e);
    if (r == 0)
        (void)map_put(&v->users, container_id, v);
    pthread_mutex_unlock(&vs->lock);
    return r;
}

void volume_unref(struct volumes *vs, const char *name, const char *container_id)
{
    struct volume *v;

    pthread_mutex_lock(&vs->lock);
    v = map_get(&vs->by_name, name);
    if (v != NULL)
        (void)map_del(&v->users, container_id);
    pthread_mutex_unlock(&vs->lock);
}

/* A mount of a daemon that was killed is still there, for containers that run on. */
static bool is_mounted(const char *path)
{
    struct statx stx;

    return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx) == 0 &&
           (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

int volume_mount(struct volumes *vs, const char *name, const char *container_id, struct arena *a,
                 const char **out_path, struct err *e)
{
    struct volume *v;
    int r;

    pthread_mutex_lock(&vs->lock);
    r = find(vs, name, &v, e);
    if (r == 0 && v->plan.device != NULL && v->mounts.n == 0 && !is_mounted(v->doc.mountpoint)) {
        v->busy = true;
        pthread_mutex_unlock(&vs->lock);
        r = volume_options_mount(&v->plan, v->doc.mountpoint, e);
        if (r < 0)
            (void)err_wrap(e, "error while mounting volume '%s'", v->doc.mountpoint);
        pthread_mutex_lock(&vs->lock);
        set_idle(vs, v);
    }
    if (r == 0) {
        (void)map_put(&v->mounts, container_id, v);
        *out_path = arena_strdup(a, v->doc.mountpoint);
    }
    pthread_mutex_unlock(&vs->lock);
    return r;
}

int volume_unmount(struct volumes *vs, const char *name, const char *container_id, struct err *e)
{
    struct volume *v;
    int r = 0;

    pthread_mutex_lock(&vs->lock);
    if (find(vs, name, &v, e) == 0 && map_del(&v->mounts, container_id) != NULL &&
        v->mounts.n == 0 && v->plan.device != NULL) {
        v->busy = true;
        pthread_mutex_unlock(&vs->lock);
        if (umount2(v->doc.mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL)
            r = err_sys(e, "error while unmounting volume '%s'", v->doc.mountpoint);
        pthread_mutex_lock(&vs->lock);
        set_idle(vs, v);
    }
    pthread_mutex_unlock(&vs->lock);
    return r;
}

/* ---- content ---- */

/* The directory of a volume: a descriptor, or -1. */
static int open_data(struct volumes *vs, const char *name, struct err *e)
{
    auto_free char *path = mem_printf("%s/" DATA, name);
    struct volume *v;
    int r;

    pthread_mutex_lock(&vs->lock);
    r = find(vs, name, &v, e);
    pthread_mutex_unlock(&vs->lock);
    return r < 0 ? -1 : path_open_beneath(vs->root_fd, path, O_RDONLY | O_DIRECTORY, 0, e);
}

int volume_is_empty(struct volumes *vs, const char *name, bool *out, struct err *e)
{
    int fd = open_data(vs, name, e);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *ent;
    bool empty = true;

    if (d == NULL) {
        if (fd >= 0)
            (void)err_sys(e, "read volume %s", name);
        fd_close(fd);
        return -1;
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
    while (empty && (ent = readdir(d)) != NULL)
        empty = strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0;
    closedir(d);
    *out = empty;
    return 0;
}

int volume_usage(struct volumes *vs, const char *name, int64_t *out_bytes, struct err *e)
{
    auto_fd int fd = open_data(vs, name, e);

    if (fd < 0)
        return -1;
    return usage_of_tree(fd, NULL, out_bytes, NULL, e);
}
