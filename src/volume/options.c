/* The local driver's options; see options.h. Words that are flags of mount(2) become flags, all
 * others go to the file system. */
#include "volume/options.h"

#include <errno.h>
#include <sys/mount.h>

#include "base/str.h"

#define DATA_MAX 4095 /* the kernel takes one page */

static const struct {
    const char *word;
    unsigned long set, clear;
} flag_words[] = {
    {"defaults", 0, 0},
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"nosuid", MS_NOSUID, 0},
    {"suid", 0, MS_NOSUID},
    {"nodev", MS_NODEV, 0},
    {"dev", 0, MS_NODEV},
    {"noexec", MS_NOEXEC, 0},
    {"exec", 0, MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS, 0},
    {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC, 0},
    {"remount", MS_REMOUNT, 0},
    {"mand", MS_MANDLOCK, 0},
    {"nomand", 0, MS_MANDLOCK},
    {"atime", 0, MS_NOATIME},
    {"noatime", MS_NOATIME, 0},
    {"diratime", 0, MS_NODIRATIME},
    {"nodiratime", MS_NODIRATIME, 0},
    {"relatime", MS_RELATIME, 0},
    {"norelatime", 0, MS_RELATIME},
    {"strictatime", MS_STRICTATIME, 0},
    {"nostrictatime", 0, MS_STRICTATIME},
    {"bind", MS_BIND, 0},
    {"rbind", MS_BIND | MS_REC, 0},
};
static const struct {
    const char *word;
    unsigned long flags;
} propagation_words[] = {
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

/* True when the word was a flag. */
static bool take_flag(struct str word, struct volume_mount *m)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_words); i++) {
        if (str_eq(word, flag_words[i].word)) {
            m->flags = (m->flags | flag_words[i].set) & ~flag_words[i].clear;
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(propagation_words); i++) {
        if (str_eq(word, propagation_words[i].word)) {
            m->propagation = propagation_words[i].flags;
            return true;
        }
    }
    return false;
}

static int read_words(const char *o, struct arena *a, struct volume_mount *m, struct err *e)
{
    auto_buf struct buf data = BUF_MAX(DATA_MAX);
    struct str all = str_of(o);

    while (all.n > 0) {
        struct str word = str_cut(&all, ',');
        if (word.n == 0 || take_flag(word, m))
            continue;
        (void)buf_printf(&data, "%s%.*s", data.n > 0 ? "," : "", STR_ARG(word));
    }
    if (data.over)
        return err_set(e, ERR_INVALID, "option \"o\" is too long");
    m->data = arena_strdup(a, buf_cstr(&data));
    return 0;
}

int volume_options_parse(const struct strmap *options, struct arena *a, struct volume_mount *out,
                         struct err *e)
{
    const char *type = strmap_get(options, "type"), *device = strmap_get(options, "device"),
               *o = strmap_get(options, "o");
    struct volume_mount m = {0};

    for (size_t i = 0; i < options->n; i++) {
        const char *key = options->v[i].key;
        if (strcmp(key, "size") == 0)
            return err_set(e, ERR_UNIMPLEMENTED, "quota size requested but no quota support");
        if (strcmp(key, "type") != 0 && strcmp(key, "device") != 0 && strcmp(key, "o") != 0)
            return err_set(e, ERR_INVALID, "invalid option: \"%s\"", key);
    }
    if ((o != NULL || type != NULL) && (device == NULL || device[0] == '\0'))
        return err_set(e, ERR_INVALID, "missing required option: \"device\"");
    if ((o != NULL || device != NULL) && (type == NULL || type[0] == '\0'))
        return err_set(e, ERR_INVALID, "missing required option: \"type\"");
    if (device != NULL) {
        m.type = arena_strdup(a, type);
        m.device = arena_strdup(a, device);
        TRY(read_words(o != NULL ? o : "", a, &m, e));
    }
    *out = m;
    return 0;
}

int volume_options_mount(const struct volume_mount *m, const char *dir, struct err *e)
{
    const unsigned long bind_ro = MS_BIND | MS_RDONLY;

    if (mount(m->device, dir, m->type, m->flags, m->data) < 0)
        return err_sys(e, "failed to mount local volume: mount %s:%s, flags: 0x%lx, data: %s",
                       m->device, dir, m->flags, m->data);
    /* the kernel ignores all flags but REC in the first mount of a bind */
    if ((m->flags & bind_ro) == bind_ro && mount(NULL, dir, NULL, m->flags | MS_REMOUNT, NULL) < 0)
        (void)err_sys(e, "failed to remount local volume: %s", dir);
    else if (m->propagation != 0 && mount(NULL, dir, NULL, m->propagation, NULL) < 0)
        (void)err_sys(e, "failed to set propagation of local volume: %s", dir);
    else
        return 0;
    (void)umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW); /* the first error is the one to tell */
    return -1;
}
