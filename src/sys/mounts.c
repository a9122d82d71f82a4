/*
 * Mounts: see mounts.h. The option words are one table; what each does is a column. Source:
 * runtime-spec config-linux.md "Linux mount options", mount_setattr(2).
 */
#include "sys/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"

#define NOSYMFOLLOW 0x00200000 /* MOUNT_ATTR_NOSYMFOLLOW, Linux 5.14 */
#define ATIME MOUNT_ATTR__ATIME

const char *const mount_super_words[MOUNT_SUPER_WORDS] = {"sync", "dirsync", "mand", "lazytime",
                                                          "iversion"};
enum { S_SYNC = 1, S_DIRSYNC = 2, S_MAND = 4, S_LAZYTIME = 8, S_IVERSION = 16 };

/* The access time words of this mount; which of those that are left at the end wins is in
 * choose_atime. */
enum { A_NOATIME = 1, A_RELATIME = 2, A_STRICTATIME = 4 };

enum what { NONE, BIND, REMOUNT, ATTR, ACCESS, REC_ATTR, SUPER, PROPAGATION, COPYUP, IDMAP };

struct word {
    const char *name;
    enum what what;
    uint64_t set, clear;
};

/* sorted by name: looked up with bsearch */
static const struct word words_table[] = {
    {"async", SUPER, 0, S_SYNC},
    {"atime", ACCESS, 0, A_NOATIME},
    {"bind", BIND, 0, 0},
    {"defaults", NONE, 0, 0},
    {"dev", ATTR, 0, MOUNT_ATTR_NODEV},
    {"diratime", ATTR, 0, MOUNT_ATTR_NODIRATIME},
    {"dirsync", SUPER, S_DIRSYNC, 0},
    {"exec", ATTR, 0, MOUNT_ATTR_NOEXEC},
    {"idmap", IDMAP, 0, 0},
    {"iversion", SUPER, S_IVERSION, 0},
    {"lazytime", SUPER, S_LAZYTIME, 0},
    {"loud", NONE, 0, 0},
    {"mand", SUPER, S_MAND, 0},
    {"noatime", ACCESS, A_NOATIME, 0},
    {"nodev", ATTR, MOUNT_ATTR_NODEV, 0},
    {"nodiratime", ATTR, MOUNT_ATTR_NODIRATIME, 0},
    {"noexec", ATTR, MOUNT_ATTR_NOEXEC, 0},
    {"noiversion", SUPER, 0, S_IVERSION},
    {"nolazytime", SUPER, 0, S_LAZYTIME},
    {"nomand", SUPER, 0, S_MAND},
    {"norelatime", ACCESS, 0, A_RELATIME},
    {"nostrictatime", ACCESS, 0, A_STRICTATIME},
    {"nosuid", ATTR, MOUNT_ATTR_NOSUID, 0},
    {"nosymfollow", ATTR, NOSYMFOLLOW, 0},
    {"private", PROPAGATION, MS_PRIVATE, 0},
    {"ratime", REC_ATTR, 0, ATIME},
    {"rbind", BIND, 1, 0},
    {"rdev", REC_ATTR, 0, MOUNT_ATTR_NODEV},
    {"rdiratime", REC_ATTR, 0, MOUNT_ATTR_NODIRATIME},
    {"relatime", ACCESS, A_RELATIME, 0},
    {"remount", REMOUNT, 0, 0},
    {"rexec", REC_ATTR, 0, MOUNT_ATTR_NOEXEC},
    {"ridmap", IDMAP, 1, 0},
    {"rnoatime", REC_ATTR, MOUNT_ATTR_NOATIME, ATIME},
    {"rnodev", REC_ATTR, MOUNT_ATTR_NODEV, 0},
    {"rnodiratime", REC_ATTR, MOUNT_ATTR_NODIRATIME, 0},
    {"rnoexec", REC_ATTR, MOUNT_ATTR_NOEXEC, 0},
    {"rnorelatime", REC_ATTR, 0, ATIME},
    {"rnostrictatime", REC_ATTR, 0, ATIME},
    {"rnosuid", REC_ATTR, MOUNT_ATTR_NOSUID, 0},
    {"rnosymfollow", REC_ATTR, NOSYMFOLLOW, 0},
    {"ro", ATTR, MOUNT_ATTR_RDONLY, 0},
    {"rprivate", PROPAGATION, MS_PRIVATE | MS_REC, 0},
    {"rrelatime", REC_ATTR, 0, ATIME},
    {"rro", REC_ATTR, MOUNT_ATTR_RDONLY, 0},
    {"rrw", REC_ATTR, 0, MOUNT_ATTR_RDONLY},
    {"rshared", PROPAGATION, MS_SHARED | MS_REC, 0},
    {"rslave", PROPAGATION, MS_SLAVE | MS_REC, 0},
    {"rstrictatime", REC_ATTR, MOUNT_ATTR_STRICTATIME, ATIME},
    {"rsuid", REC_ATTR, 0, MOUNT_ATTR_NOSUID},
    {"rsymfollow", REC_ATTR, 0, NOSYMFOLLOW},
    {"runbindable", PROPAGATION, MS_UNBINDABLE | MS_REC, 0},
    {"rw", ATTR, 0, MOUNT_ATTR_RDONLY},
    {"shared", PROPAGATION, MS_SHARED, 0},
    {"silent", NONE, 0, 0},
    {"slave", PROPAGATION, MS_SLAVE, 0},
    {"strictatime", ACCESS, A_STRICTATIME, 0},
    {"suid", ATTR, 0, MOUNT_ATTR_NOSUID},
    {"symfollow", ATTR, 0, NOSYMFOLLOW},
    {"sync", SUPER, S_SYNC, 0},
    {"tmpcopyup", COPYUP, 0, 0},
    {"unbindable", PROPAGATION, MS_UNBINDABLE, 0},
};

static int word_compare(const void *key, const void *item)
{
    return strcmp(key, ((const struct word *)item)->name);
}

/* A later word undoes an earlier one on the same bits, so "ro,rw" is rw. */
static void apply(const struct word *w, uint64_t *set, uint64_t *clear)
{
    *set = (*set & ~w->clear) | w->set;
    *clear = (*clear & ~(w->set & ~(uint64_t)ATIME)) | w->clear;
}

static int apply_word(const struct word *w, struct mount_options *o, uint64_t *access,
                      struct err *e)
{
    switch (w->what) {
    case NONE:
        break;
    case BIND:
        o->bind = true;
        o->recursive |= w->set != 0;
        break;
    case REMOUNT:
        o->remount = true;
        break;
    case ATTR:
        apply(w, &o->set, &o->clear);
        o->attributes = true;
        break;
    case ACCESS:
        *access = (*access & ~w->clear) | w->set;
        o->attributes = true;
        break;
    case REC_ATTR:
        apply(w, &o->rec_set, &o->rec_clear);
        break;
    case SUPER:
        o->super = (o->super & ~(unsigned)w->clear) | (unsigned)w->set;
        break;
    case PROPAGATION:
        if (o->n_propagation == ARRAY_LEN(o->propagation))
            return err_set(e, ERR_INVALID, "too many propagation options in one mount");
        o->propagation[o->n_propagation++] = w->set;
        break;
    case COPYUP:
        o->tmpcopyup = true;
        break;
    case IDMAP:
        o->idmap = true;
        o->ridmap |= w->set != 0;
        break;
    }
    return 0;
}

static void choose_atime(struct mount_options *o, uint64_t access)
{
    o->atime = access != 0 || (o->set & MOUNT_ATTR_NODIRATIME) != 0;
    if ((access & A_STRICTATIME) != 0)
        o->set |= MOUNT_ATTR_STRICTATIME;
    else if ((access & A_NOATIME) != 0)
        o->set |= MOUNT_ATTR_NOATIME; /* else relatime, whose value is 0 */
}

int mount_options_parse(const struct strv *words, struct arena *a, struct mount_options *out,
                        struct err *e)
{
    uint64_t access = 0;
    *out = (struct mount_options){.data = ""};
    for (size_t i = 0; i < words->n; i++) {
        const struct word *w = bsearch(words->v[i], words_table, ARRAY_LEN(words_table),
                                       sizeof(words_table[0]), word_compare);
        if (w != NULL)
            TRY(apply_word(w, out, &access, e));
        else if (*words->v[i] != '\0')
            out->data =
                *out->data == '\0' ? words->v[i] : arena_printf(a, "%s,%s", out->data, words->v[i]);
    }
    choose_atime(out, access);
    out->readonly = (out->set & MOUNT_ATTR_RDONLY) != 0;
    return 0;
}

size_t mount_option_words(const char *out[], size_t max)
{
    size_t n = 0;
    for (; n < ARRAY_LEN(words_table) && n < max; n++)
        out[n] = words_table[n].name;
    return n;
}

/* The kernel explains a refused option in lines "e text" that are read from the fs descriptor. */
static int fs_failed(int fs, struct err *e, const char *what, const char *name)
{
    int saved = errno;
    char text[256];
    ssize_t n = read(fs, text, sizeof(text) - 1);
    errno = saved;
    if (n <= 2)
        return err_sys(e, "%s %s", what, name);
    text[n] = '\0';
    while (n > 0 && text[n - 1] == '\n')
        text[--n] = '\0';
    errno = saved;
    return err_sys(e, "%s %s: %s", what, name, text + 2);
}

/* Take one "key", "key=value" or "key="quoted"" off the front. */
static struct str next_option(struct str *rest)
{
    bool quoted = false;
    size_t n = 0;
    for (; n < rest->n && (quoted || rest->p[n] != ','); n++)
        quoted ^= rest->p[n] == '"';
    struct str option = {rest->p, n};
    n += n < rest->n;
    rest->p += n;
    rest->n -= n;
    return option;
}

static int set_option(int fs, struct str option, const char *type, struct err *e)
{
    if (option.n == 0)
        return 0;
    struct str value = option, key = str_cut(&value, '=');
    bool has_value = key.n < option.n;
    if (has_value && value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
        value = (struct str){value.p + 1, value.n - 2};
    if (value.n > 255)
        return err_set(e, ERR_INVALID, "mount option %.*s of %s is longer than 255 bytes",
                       STR_ARG(key), type);
    auto_free char *k = str_dup(key);
    auto_free char *v = has_value ? str_dup(value) : NULL;
    if (fsconfig(fs, has_value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, k, v, 0) < 0)
        return fs_failed(fs, e, "mount option", k);
    return 0;
}

/* Flags and data for a file system context, before FSCONFIG_CMD_CREATE or _RECONFIGURE. */
static int set_options(int fs, const char *type, const char *data, unsigned super, struct err *e)
{
    for (size_t i = 0; i < MOUNT_SUPER_WORDS; i++)
        if ((super >> i & 1) != 0 &&
            fsconfig(fs, FSCONFIG_SET_FLAG, mount_super_words[i], NULL, 0) < 0)
            return fs_failed(fs, e, "mount option", mount_super_words[i]);
    for (struct str rest = str_of(data); rest.n > 0;)
        TRY(set_option(fs, next_option(&rest), type, e));
    return 0;
}

int mount_new(const char *type, const char *source, const char *data, unsigned super, uint64_t attr,
              struct err *e)
{
    auto_fd int fs = fsopen(type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return err_sys(e, "file system %s", type);
    if (source != NULL && *source != '\0' &&
        fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
        return fs_failed(fs, e, "mount source", source);
    TRY(set_options(fs, type, data, super, e));
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return fs_failed(fs, e, "mount", type);
    int mnt = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attr);
    return mnt < 0 ? err_sys(e, "mount %s", type) : mnt;
}

int mount_clone(int dir_fd, const char *path, bool recursive)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
    int fd = open_tree(dir_fd, path, flags | (recursive ? AT_RECURSIVE : 0));
    return fd < 0 ? -errno : fd;
}

int mount_attach(int mount_fd, int target_fd)
{
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    return move_mount(mount_fd, "", target_fd, "", flags) < 0 ? -errno : 0;
}

int mount_change(int fd, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive)
{
    struct mount_attr attr = {.attr_set = set, .attr_clr = clear, .propagation = propagation};
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return mount_setattr(fd, "", flags, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int mount_reconfigure(int target_fd, const char *type, const struct mount_options *o, struct err *e)
{
    if (!o->bind) {
        auto_fd int fs = fspick(target_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
        if (fs < 0)
            return err_sys(e, "remount %s", type);
        if (fsconfig(fs, FSCONFIG_SET_FLAG, o->readonly ? "ro" : "rw", NULL, 0) < 0)
            return fs_failed(fs, e, "remount", type);
        TRY(set_options(fs, type, o->data, o->super, e));
        if (fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
            return fs_failed(fs, e, "remount", type);
    }
    uint64_t set, clear;
    mount_bind_attributes(o, &set, &clear);
    int rc = mount_change(target_fd, set, clear, 0, false);
    return rc < 0 ? err_neg(e, rc, "remount") : 0;
}

#define PLAIN                                                                       \
    (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | \
     (uint64_t)NOSYMFOLLOW)

void mount_bind_attributes(const struct mount_options *o, uint64_t *out_set, uint64_t *out_clear)
{
    uint64_t mine = PLAIN | (o->atime ? MOUNT_ATTR_NODIRATIME : 0);
    *out_set = o->set;
    *out_clear = (mine & ~o->set) | (o->atime ? (uint64_t)ATIME : 0);
}

int mount_attributes(int fd, uint64_t *out)
{
    static const struct {
        unsigned long st;
        uint64_t attr;
    } table[] = {{ST_RDONLY, MOUNT_ATTR_RDONLY},
                 {ST_NOSUID, MOUNT_ATTR_NOSUID},
                 {ST_NODEV, MOUNT_ATTR_NODEV},
                 {ST_NOEXEC, MOUNT_ATTR_NOEXEC},
                 {ST_NODIRATIME, MOUNT_ATTR_NODIRATIME},
                 {ST_NOATIME, MOUNT_ATTR_NOATIME},
                 {0x2000, NOSYMFOLLOW}}; /* ST_NOSYMFOLLOW */
    struct statvfs fs;
    if (fstatvfs(fd, &fs) < 0)
        return -errno;
    *out = 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if ((fs.f_flag & table[i].st) != 0)
            *out |= table[i].attr;
    if ((fs.f_flag & (ST_NOATIME | ST_RELATIME)) == 0)
        *out |= MOUNT_ATTR_STRICTATIME;
    return 0;
}

int mount_idmap(int fd, int userns_fd, bool recursive)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return mount_setattr(fd, "", flags, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

uint64_t mount_id_of(const char *path)
{
    struct statx st;
    return path != NULL && statx(AT_FDCWD, path, 0, STATX_MNT_ID, &st) == 0 ? st.stx_mnt_id : 0;
}
