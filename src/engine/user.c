/* passwd(5) and group(5), read by line; numbers that are not in them are taken as they are. */
#include "engine/user.h"

enum { ID_MAX = INT32_MAX, GROUPS_MAX = 4096 };

struct passwd_entry {
    struct str name, home;
    uint64_t uid, gid;
};

static bool passwd_line(struct str line, struct passwd_entry *out)
{
    struct str uid, gid;

    out->name = str_cut(&line, ':');
    (void)str_cut(&line, ':');
    uid = str_cut(&line, ':');
    gid = str_cut(&line, ':');
    (void)str_cut(&line, ':');
    out->home = str_cut(&line, ':');
    return out->name.n > 0 && str_to_u64(uid, 0, ID_MAX, &out->uid) &&
           str_to_u64(gid, 0, ID_MAX, &out->gid);
}

struct group_entry {
    struct str name, members;
    uint64_t gid;
};

static bool group_line(struct str line, struct group_entry *out)
{
    struct str gid;

    out->name = str_cut(&line, ':');
    (void)str_cut(&line, ':');
    gid = str_cut(&line, ':');
    out->members = line;
    return out->name.n > 0 && str_to_u64(gid, 0, ID_MAX, &out->gid);
}

static bool same(struct str a, struct str b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static bool has_member(struct str members, struct str name)
{
    while (members.n > 0)
        if (same(str_trim(str_cut(&members, ',')), name))
            return true;
    return false;
}

/* The entry with this name, or this number. */
static bool passwd_find(struct str text, struct str user, struct passwd_entry *out)
{
    uint64_t n = 0;
    bool number = str_to_u64(user, 0, ID_MAX, &n);

    while (text.n > 0) {
        struct str line = str_cut(&text, '\n');

        if (passwd_line(line, out) && (same(out->name, user) || (number && out->uid == n)))
            return true;
    }
    return false;
}

static int group_find(struct str text, struct str group, uint64_t *out_gid, struct err *e)
{
    uint64_t n = 0;
    bool number = str_to_u64(group, 0, ID_MAX, &n);
    struct group_entry g;

    while (text.n > 0) {
        struct str line = str_cut(&text, '\n');

        if (group_line(line, &g) && same(g.name, group)) {
            *out_gid = g.gid;
            return 0;
        }
    }
    if (!number)
        return err_set(e, ERR_INVALID,
                       "unable to find group %.*s: no matching entries in group file",
                       STR_ARG(group));
    *out_gid = n;
    return 0;
}

static void add_gid(struct oci_user *u, uint64_t gid, struct arena *a)
{
    vec_each(g, &u->additional_gids)
        if ((uint64_t)*g == gid)
            return;
    if (u->additional_gids.n < GROUPS_MAX)
        vec_push_in(a, &u->additional_gids, (int64_t)gid);
}

/* All groups that list the user. */
static void add_memberships(struct str text, struct str name, struct oci_user *u, struct arena *a)
{
    struct group_entry g;

    while (text.n > 0) {
        struct str line = str_cut(&text, '\n');

        if (group_line(line, &g) && has_member(g.members, name))
            add_gid(u, g.gid, a);
    }
}

int user_resolve(const char *user, struct str passwd, struct str group, const struct strv *extra,
                 struct arena *a, struct oci_user *out, const char **out_home, struct err *e)
{
    struct str grp = str_of(user), name = str_cut(&grp, ':');
    struct passwd_entry p = {0};
    bool root = name.n == 0, known;
    uint64_t gid;

    *out = (struct oci_user){0};
    *out_home = NULL;
    known = passwd_find(passwd, root ? STR("0") : name, &p);
    if (known) {
        out->uid = p.uid;
        out->gid = p.gid;
        *out_home = arena_strndup(a, p.home.p, p.home.n);
    } else if (!root && !str_to_u64(name, 0, ID_MAX, &out->uid)) {
        return err_set(e, ERR_INVALID,
                       "unable to find user %.*s: no matching entries in passwd file",
                       STR_ARG(name));
    }
    if (grp.n > 0) {
        TRY(group_find(group, grp, &gid, e));
        out->gid = gid;
    } else if (known) {
        add_memberships(group, p.name, out, a);
    }
    add_gid(out, out->gid, a);
    if (extra != NULL)
        vec_each(x, extra) {
            TRY(group_find(group, str_of(*x), &gid, e));
            add_gid(out, gid, a);
        }
    return 0;
}
