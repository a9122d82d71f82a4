/*
 * Emptying the trash: see trash.h. Giving a file's blocks back may wait for the disk, on some file
 * systems for each file (discards without a journal), so the work is cut into pieces for a crew of
 * threads: a piece is a directory to be read, or some of its entries to be unlinked. Who does the
 * last piece of a directory removes it, and so on upwards.
 */
#include "store/trash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

#include "base/mem.h"
#include "store/state.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/thread.h"

enum {
    CREW_MAX = 64,        /* they wait for the disk most of the time */
    PIECES_EACH = 4,      /* a backlog per member that makes the crew grow */
    BACKLOG_MAX = 512,    /* pieces; then each member goes depth first by itself */
    DEPTH_MAX = 64,       /* each level costs a descriptor; what is deeper moves up */
    ENTRIES_BYTES = 4096, /* about a hundred entries */
};

struct dir {
    struct dir *parent; /* NULL: the trash folder itself */
    int fd;             /* -1: not opened yet */
    unsigned depth;
    size_t pending; /* pieces and directories of it that are not done; guarded by the crew's lock */
    char name[];
};

struct piece {
    struct dir *dir;
    char *entries; /* of getdents; NULL: the directory is still to be read */
    size_t n;
};

struct crew {
    struct dir *root;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t turn;
    VEC(struct piece) todo; /* last in, first out, so that few directories are open at a time */
    pthread_t members[CREW_MAX];
    size_t n;
    unsigned long long moved;
    bool done;
    struct err why; /* the first error */
};

static void *member_main(void *crew);

/* Called with the lock held. A thread that cannot be had is not missed: the caller works, too. */
static void grow(struct crew *c)
{
    if (c->n < CREW_MAX && c->todo.n > PIECES_EACH * (c->n + 1) &&
        thread_start(&c->members[c->n], THREAD_STACK, member_main, c) == 0)
        c->n++;
}

/* One thing more is to be done before d may go. */
static void hold(struct crew *c, struct dir *d)
{
    pthread_mutex_lock(&c->lock);
    d->pending++;
    pthread_mutex_unlock(&c->lock);
}

static void hand_out(struct crew *c, struct piece p)
{
    pthread_mutex_lock(&c->lock);
    vec_push(&c->todo, p);
    grow(c);
    pthread_cond_signal(&c->turn);
    pthread_mutex_unlock(&c->lock);
}

static void failed(struct crew *c, const char *what, const char *name, int no)
{
    pthread_mutex_lock(&c->lock);
    if (c->why.kind == ERR_NONE)
        (void)err_neg(&c->why, -no, "%s %s", what, name);
    pthread_mutex_unlock(&c->lock);
}

/* A piece of d is done, or it was read: with the last one it goes, and is a done piece itself. */
static void piece_done(struct crew *c, struct dir *d)
{
    while (d != NULL) {
        struct dir *parent = d->parent;
        pthread_mutex_lock(&c->lock);
        bool last = --d->pending == 0;
        if (last && parent == NULL) {
            c->done = true;
            pthread_cond_broadcast(&c->turn);
        }
        pthread_mutex_unlock(&c->lock);
        if (!last || parent == NULL)
            return;
        fd_close(d->fd);
        if (unlinkat(parent->fd, d->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
            failed(c, "remove", d->name, errno);
        free(d);
        d = parent;
    }
}

static struct dir *dir_new(struct dir *parent, const char *name)
{
    size_t n = strlen(name) + 1;
    struct dir *d = mem_alloc(sizeof(*d) + n);
    *d = (struct dir){.parent = parent,
                      .fd = -1,
                      .depth = parent != NULL ? parent->depth + 1 : 0,
                      .pending = 1}; /* its reading */
    memcpy(d->name, name, n);
    return d;
}

static bool is_busy(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    bool busy = c->todo.n >= BACKLOG_MAX;
    pthread_mutex_unlock(&c->lock);
    return busy;
}

/* Each level costs a descriptor: what is deep becomes a child of the trash folder. */
static void move_up(struct crew *c, struct dir *parent, const char *name)
{
    char up[32];
    pthread_mutex_lock(&c->lock);
    (void)snprintf(up, sizeof(up), "deep-%llu", c->moved++);
    pthread_mutex_unlock(&c->lock);
    if (renameat(parent->fd, name, c->root->fd, up) < 0) {
        failed(c, "move", name, errno);
        return;
    }
    hold(c, c->root);
    hand_out(c, (struct piece){.dir = dir_new(c->root, up)});
}

static void read_dir(struct crew *c, struct dir *d);

static void found_dir(struct crew *c, struct dir *parent, const char *name)
{
    if (parent->depth >= DEPTH_MAX) {
        move_up(c, parent, name);
        return;
    }
    struct dir *d = dir_new(parent, name);
    hold(c, parent);
    if (is_busy(c)) {
        read_dir(c, d);
        piece_done(c, d);
    } else {
        hand_out(c, (struct piece){.dir = d});
    }
}

static void unlink_entries(struct crew *c, struct dir *d, const char *entries, size_t n)
{
    for (size_t at = 0; at < n;) {
        const struct dirent64 *ent = (const void *)(entries + at);
        at += ent->d_reclen;
        if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
            continue;
        if (ent->d_type == DT_DIR)
            found_dir(c, d, ent->d_name);
        else if (unlinkat(d->fd, ent->d_name, 0) == 0 || errno == ENOENT)
            continue;
        else if (errno == EISDIR) /* a file system that does not tell types */
            found_dir(c, d, ent->d_name);
        else
            failed(c, "remove", ent->d_name, errno);
    }
}

static int open_dir(struct dir *d)
{
    if (d->fd < 0)
        d->fd = path_openat2(d->parent->fd, d->name, O_RDONLY | O_DIRECTORY, 0,
                             RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    return d->fd;
}

static void read_dir(struct crew *c, struct dir *d)
{
    if (open_dir(d) < 0) {
        if (d->fd != -ENOENT)
            failed(c, "open", d->name, -d->fd);
        return;
    }
    for (;;) {
        char *entries = mem_alloc(ENTRIES_BYTES);
        ssize_t n = getdents64(d->fd, entries, ENTRIES_BYTES);
        if (n > 0 && !is_busy(c)) {
            hold(c, d);
            hand_out(c, (struct piece){.dir = d, .entries = entries, .n = (size_t)n});
            continue;
        }
        if (n > 0)
            unlink_entries(c, d, entries, (size_t)n);
        else if (n < 0)
            failed(c, "read", d->name, errno);
        free(entries);
        if (n <= 0)
            return;
    }
}

/* False when all is done. */
static bool next_piece(struct crew *c, struct piece *out)
{
    pthread_mutex_lock(&c->lock);
    while (c->todo.n == 0 && !c->done)
        (void)pthread_cond_wait(&c->turn, &c->lock);
    bool more = c->todo.n > 0;
    if (more)
        *out = c->todo.v[--c->todo.n];
    pthread_mutex_unlock(&c->lock);
    return more;
}

static void *member_main(void *crew)
{
    struct crew *c = crew;
    struct piece p;
    while (next_piece(c, &p)) {
        if (p.entries != NULL)
            unlink_entries(c, p.dir, p.entries, p.n);
        else
            read_dir(c, p.dir);
        free(p.entries);
        piece_done(c, p.dir);
    }
    return NULL;
}

static int empty_dir(int fd, struct err *e)
{
    struct crew c = {.root = dir_new(NULL, "trash")};
    c.root->fd = fd;
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.turn, NULL);
    hand_out(&c, (struct piece){.dir = c.root});
    (void)member_main(&c);
    for (size_t i = 0; i < c.n; i++) /* it grows no more: all is done */
        (void)pthread_join(c.members[i], NULL);
    pthread_cond_destroy(&c.turn);
    pthread_mutex_destroy(&c.lock);
    vec_done(&c.todo);
    free(c.root);
    if (c.why.kind == ERR_NONE)
        return 0;
    *e = c.why;
    return -1;
}

int trash_empty(struct store *s, struct err *e)
{
    pthread_mutex_lock(&s->emptying);
    auto_fd int fd = path_open_beneath(s->trash_fd, ".", O_RDONLY | O_DIRECTORY, 0, e);
    int r = fd < 0 ? -1 : empty_dir(fd, e);
    pthread_mutex_unlock(&s->emptying);
    return r < 0 ? err_wrap(e, "empty the trash") : 0;
}

void trash_put(struct store *s, int dir_fd, const char *name)
{
    struct err ignored = {0};
    char to[24];
    (void)snprintf(to, sizeof(to), "%llx", (unsigned long long)atomic_fetch_add(&s->trash_next, 1));
    if (renameat(dir_fd, name, s->trash_fd, to) < 0 && errno != ENOENT)
        (void)path_remove_tree(dir_fd, name, &ignored); /* else the next start does it */
}
