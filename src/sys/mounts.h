/**
 * Mounting by descriptors: fsopen, open_tree, mount_setattr, move_mount (Linux 5.12). A mount is
 * made detached, gets its attributes, and is then put onto a target that is held open, so no path
 * is walked twice and nothing has to be remounted. Also the option words of OCI mounts as one
 * table.
 */
#ifndef HULL_SYS_MOUNTS_H
#define HULL_SYS_MOUNTS_H

#include "base/err.h"
#include "base/vec.h"

/* What the words of mounts[].options mean together. */
struct mount_options {
    bool bind, recursive; /* bind; rbind sets both */
    bool remount;
    bool readonly;                /* the last of ro and rw was ro */
    bool attributes;              /* some word was about this mount's attributes */
    bool atime;                   /* an access time mode is chosen, and stands in set */
    uint64_t set, clear;          /* MOUNT_ATTR_* of this mount; clear: those denied by name */
    uint64_t rec_set, rec_clear;  /* MOUNT_ATTR_*, the whole tree: rro and such */
    unsigned super;               /* bits into mount_super_words */
    unsigned long propagation[8]; /* MS_PRIVATE ... | MS_REC, in order */
    size_t n_propagation;
    bool tmpcopyup, idmap, ridmap;
    const char *data; /* the other words joined with commas, "" when none; in the arena */
};

/* Words that set a flag of the super block ("sync"); bit i of `super` stands for word i. */
#define MOUNT_SUPER_WORDS 5
extern const char *const mount_super_words[MOUNT_SUPER_WORDS];

/** Read options in order, later ones win. Errors: INVALID (a NUL, more than 8 propagation words).
 */
int mount_options_parse(const struct strv *words, struct arena *a, struct mount_options *out,
                        struct err *e);

/** All words of the table, sorted, for `features`; the number of them. */
size_t mount_option_words(const char *out[], size_t max);

/**
 * Make a detached mount of a new file system. data: comma separated "key=value" or "flag", values
 * up to 255 bytes, "..." protects commas. The mount's descriptor, or -1 with the kernel's own text
 * when it gives one.
 */
int mount_new(const char *type, const char *source, const char *data, unsigned super, uint64_t attr,
              struct err *e);

/** A detached copy of the mount (recursive: tree) at path; path "" with dir_fd itself. The
 * descriptor or -errno. */
int mount_clone(int dir_fd, const char *path, bool recursive);

/** Put a detached mount onto the open directory or file. 0 or -errno. */
int mount_attach(int mount_fd, int target_fd);

/**
 * Change a mount that is in place, found by a descriptor of its root, as the option word "remount"
 * asks: data and super for its file system (unless bind), set for itself.
 */
int mount_reconfigure(int target_fd, const char *type, const struct mount_options *o,
                      struct err *e);

/** The attributes that a bind mount gets: all those of a mount without options, but for what was
 * asked. The access time mode stays as it is when none is chosen, as in mount(8). */
void mount_bind_attributes(const struct mount_options *o, uint64_t *out_set, uint64_t *out_clear);

/** The attributes that a mount has (MOUNT_ATTR_*). 0 or -errno. */
int mount_attributes(int fd, uint64_t *out);

/** mount_setattr on an open mount. propagation: 0 or MS_PRIVATE, MS_SLAVE ... 0 or -errno. */
int mount_change(int fd, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive);

/** Give a detached mount (recursive: tree) the id mapping of a user namespace. 0 or -errno. */
int mount_idmap(int fd, int userns_fd, bool recursive);

/** The number of the mount that path lies on, which tells mounts at one place apart; 0: unknown, or
 * path is NULL. */
uint64_t mount_id_of(const char *path);

#endif
