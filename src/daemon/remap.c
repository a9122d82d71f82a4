/* Users, groups and their subordinate ids: see remap.h. Source: subuid(5), dockerd's manual. */
#include "daemon/remap.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>

#include "base/log.h"
#include "base/mem.h"
#include "sys/path.h"
#include "sys/spawn.h"

enum { SUBID_MAX = 1 << 20, ENTRY_MAX = 64 << 10, FIRST_SUBID = 100000, SUBID_COUNT = 65536 };

static const char subuid_file[] = "/etc/subuid", subgid_file[] = "/etc/subgid";

/* ---- /etc/subuid and /etc/subgid ---- */

struct subid {
    struct str owner;
    uint64_t start, count;
};
typedef VEC(struct subid) subid_list;

static subid_list subid_parse(const char *text, struct arena *a)
{
    subid_list list = {0};

    for (struct str rest = str_of(text); rest.n > 0;) {
        struct str line = str_cut(&rest, '\n'), owner = str_cut(&line, ':');
        struct subid s = {.owner = owner};

        if (owner.n > 0 && str_to_u64(str_cut(&line, ':'), 0, UINT32_MAX, &s.start) &&
            str_to_u64(str_trim(line), 1, UINT32_MAX - s.start, &s.count))
            vec_push_in(a, &list, s);
    }
    return list;
}

static int by_start(const void *a, const void *b)
{
    const struct subid *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

static void subid_sort(subid_list *list)
{
    if (list->n > 1)
        qsort(list->v, list->n, sizeof(list->v[0]), by_start);
}

const char *subid_ranges(const char *text, const char *name, unsigned id, struct arena *a)
{
    subid_list all = subid_parse(text, a);
    const char *number = arena_printf(a, "%u", id), *out = "";
    uint64_t inside = 0;

    subid_sort(&all);
    vec_each(s, &all) {
        if (!str_eq(s->owner, name) && !str_eq(s->owner, number))
            continue;
        out = arena_printf(a, "%s%s%llu:%llu:%llu", out, out[0] != '\0' ? "," : "",
                           (unsigned long long)inside, (unsigned long long)s->start,
                           (unsigned long long)s->count);
        inside += s->count;
    }
    return out;
}

uint32_t subid_free(const char *text)
{
    auto_arena struct arena *a = arena_new();
    subid_list all = subid_parse(text, a);
    uint64_t at = FIRST_SUBID;

    subid_sort(&all);
    vec_each(s, &all)
        if (s->start < at + SUBID_COUNT && at < s->start + s->count)
            at = s->start + s->count;
    return (uint32_t)MIN(at, UINT32_MAX);
}

static const char *read_file(const char *path, struct arena *a)
{
    auto_buf struct buf b = BUF_MAX(SUBID_MAX);
    struct err absent;

    return file_read(AT_FDCWD, path, &b, &absent) < 0 ? "" : arena_strdup(a, buf_cstr(&b));
}

/* ---- users and groups ---- */

struct entry {
    const char *name; /* NULL: there is none */
    unsigned id;
};

static struct entry find_user(const char *name, const uid_t *uid, struct arena *a)
{
    char *space = arena_alloc(a, ENTRY_MAX);
    struct passwd p, *found = NULL;

    if (uid != NULL)
        (void)getpwuid_r(*uid, &p, space, ENTRY_MAX, &found); /* an error is as good as none */
    else
        (void)getpwnam_r(name, &p, space, ENTRY_MAX, &found);
    return found != NULL ? (struct entry){p.pw_name, p.pw_uid} : (struct entry){NULL, 0};
}

static struct entry find_group(const char *name, const gid_t *gid, struct arena *a)
{
    char *space = arena_alloc(a, ENTRY_MAX);
    struct group g, *found = NULL;

    if (gid != NULL)
        (void)getgrgid_r(*gid, &g, space, ENTRY_MAX, &found);
    else
        (void)getgrnam_r(name, &g, space, ENTRY_MAX, &found);
    return found != NULL ? (struct entry){g.gr_name, g.gr_gid} : (struct entry){NULL, 0};
}

static bool is_number(const char *s, unsigned *out)
{
    uint64_t n;

    if (!str_to_u64(str_of(s), 0, INT_MAX, &n))
        return false;
    *out = (unsigned)n;
    return true;
}

static int user_of(const char *text, struct arena *a, struct entry *out, struct err *e)
{
    uid_t uid;
    bool number = is_number(text, &uid);

    *out = find_user(text, number ? &uid : NULL, a);
    if (out->name != NULL)
        return 0;
    if (number)
        return err_set(e, ERR_INVALID,
                       "Uid %u has no entry in /etc/passwd: getent unable to find entry \"%u\" in "
                       "passwd database",
                       uid, uid);
    return err_set(e, ERR_INVALID,
                   "Error during uid lookup for \"%s\": getent unable to find entry \"%s\" in "
                   "passwd database",
                   text, text);
}

/* The group of its own, or the one that is called as the user. */
static int group_of(const char *text, bool given, struct arena *a, struct entry *out, struct err *e)
{
    gid_t gid;
    bool number = is_number(text, &gid);

    *out = find_group(text, number ? &gid : NULL, a);
    if (out->name != NULL)
        return 0;
    if (number)
        return err_set(e, ERR_INVALID,
                       "Gid %u has no entry in %s: getent unable to find entry \"%u\" in group "
                       "database",
                       gid, given ? "/etc/passwd" : "/etc/group", gid);
    return err_set(e, ERR_INVALID,
                   "Error during %s lookup for \"%s\": getent unable to find entry \"%s\" in "
                   "group database",
                   given ? "groupname" : "gid", text, text);
}

/* ---- the default user ---- */

static int run_tool(const char *const *argv, struct err *e)
{
    auto_free char *path = path_find_program(argv[0], "/usr/sbin:/usr/bin:/sbin:/bin");
    struct spawn_fd said = {2, 2};
    struct proc child = PROC_NONE;
    int status = 0;

    if (path == NULL)
        return err_set(e, ERR_INVALID, "%s is not installed", argv[0]);
    const struct spawn_opts o = {.path = path, .argv = argv, .fds = &said, .n_fds = 1};
    TRY(spawn(&o, &child, e));
    int r = proc_wait(&child, -1, -1, &status, e);
    proc_done(&child);
    TRY(r);
    return status == 0 ? 0
                       : err_set(e, ERR_INVALID, "%s ended with exit status %d", argv[0], status);
}

static int add_range(const char *file, const char *flag, const struct entry *user, struct arena *a,
                     struct err *e)
{
    const char *text = read_file(file, a);
    uint32_t start = subid_free(text);

    if (subid_ranges(text, user->name, user->id, a)[0] != '\0')
        return 0;
    if (start > UINT32_MAX - SUBID_COUNT)
        return err_set(e, ERR_INVALID, "no %d subordinate ids are free in %s", SUBID_COUNT, file);
    return run_tool((const char *const[]){"usermod", flag,
                                          arena_printf(a, "%u-%u", start, start + SUBID_COUNT - 1),
                                          REMAP_DEFAULT_USER, NULL},
                    e);
}

static int make_default_user(struct arena *a, struct entry *out, struct err *e)
{
    TRY(run_tool((const char *const[]){"useradd", "--system", "--user-group", "--no-create-home",
                                       "--shell", "/bin/false", REMAP_DEFAULT_USER, NULL},
                 e));
    TRY(user_of(REMAP_DEFAULT_USER, a, out, e));
    TRY(add_range(subuid_file, "--add-subuids", out, a, e));
    return add_range(subgid_file, "--add-subgids", out, a, e);
}

/* ---- all of it ---- */

static int find_both(const char *spec, struct arena *a, struct entry *user, struct entry *group,
                     struct err *e)
{
    struct str rest = str_of(spec), first = str_cut(&rest, ':');
    bool given = strchr(spec, ':') != NULL;
    const char *name = arena_strndup(a, first.p, first.n);
    const char *of = given ? arena_strndup(a, rest.p, rest.n) : name;
    bool is_default = strcmp(name, "default") == 0;

    if (strchr(of, ':') != NULL)
        return err_set(e, ERR_INVALID, "Invalid user/group specification in --userns-remap: \"%s\"",
                       spec);
    if (is_default) {
        name = REMAP_DEFAULT_USER;
        of = given ? of : name;
    }
    if (is_default && find_user(name, NULL, a).name == NULL) {
        if (make_default_user(a, user, e) < 0)
            return err_wrap(e, "Error during \"%s\" user creation", name);
    } else {
        TRY(user_of(name, a, user, e));
    }
    return group_of(of, given, a, group, e);
}

int remap_resolve(const char *spec, struct arena *a, struct userns_maps *out, struct err *e)
{
    struct entry user, group;

    *out = (struct userns_maps){NULL, NULL};
    if (spec == NULL || spec[0] == '\0')
        return 0;
    TRY(find_both(spec, a, &user, &group, e));
    if (strcmp(user.name, "root") == 0) {
        log_warn("User namespaces: root cannot be remapped with itself; user namespaces are OFF",
                 NULL);
        return 0;
    }
    log_info("User namespaces: ID ranges will be mapped to subuid/subgid ranges", "user", user.name,
             "group", group.name, NULL);
    const char *uid = subid_ranges(read_file(subuid_file, a), user.name, user.id, a);
    const char *gid = subid_ranges(read_file(subgid_file, a), user.name, user.id, a);
    if (uid[0] == '\0' || gid[0] == '\0')
        return err_set(e, ERR_INVALID,
                       "Can't create ID mappings: no %s ranges found for user \"%s\"",
                       uid[0] == '\0' ? "subuid" : "subgid", user.name);
    *out = (struct userns_maps){uid, gid};
    return 0;
}
