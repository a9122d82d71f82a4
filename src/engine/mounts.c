/* From Binds, Mounts and Config.Volumes to one list of mounts. */
#include <sys/stat.h>

#include "base/str.h"
#include "engine/config.h"

/* Lexical clean-up of an absolute path, as Go's path.Clean. */
static char *clean(struct str path, struct arena *a)
{
    char *out = arena_alloc(a, path.n + 2);
    size_t n = 0;

    while (path.n > 0) {
        struct str part = str_cut(&path, '/');

        if (part.n == 0 || str_eq(part, "."))
            continue;
        if (str_eq(part, "..")) {
            while (n > 0 && out[--n] != '/')
                ;
            continue;
        }
        out[n++] = '/';
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    if (n == 0)
        out[n++] = '/';
    out[n] = '\0';
    return out;
}

static int check_target(const char *spec, const char *target, const struct container_record *rec,
                        struct err *e)
{
    if (strcmp(target, "/") == 0)
        return err_set(e, ERR_INVALID,
                       "invalid volume specification: '%s': invalid specification: "
                       "destination can't be '/'",
                       spec);
    vec_each(m, &rec->mounts)
        if (strcmp(m->target, target) == 0)
            return err_set(e, ERR_INVALID, "Duplicate mount point: %s", target);
    return 0;
}

static const char *const propagations[] = {"rprivate", "private", "rshared",
                                           "shared",   "rslave",  "slave"};

static bool is_propagation(struct str s)
{
    for (size_t i = 0; i < ARRAY_LEN(propagations); i++)
        if (str_eq(s, propagations[i]))
            return true;
    return false;
}

/* The options of a bind: ro, z, rshared, nocopy ... False: one is unknown or contradicts another.
 */
static bool bind_options(struct str opts, struct mount_record *m, struct arena *a)
{
    bool mode = false;

    m->rw = true;
    while (opts.n > 0) {
        struct str o = str_cut(&opts, ',');

        if (str_eq(o, "ro") || str_eq(o, "rw")) {
            if (mode)
                return false;
            mode = true;
            m->rw = str_eq(o, "rw");
        } else if (str_eq(o, "nocopy")) {
            m->no_copy = true;
        } else if (is_propagation(o)) {
            m->propagation = arena_strndup(a, o.p, o.n);
        } else if (!str_eq(o, "z") && !str_eq(o, "Z") && !str_eq(o, "consistent") &&
                   !str_eq(o, "cached") && !str_eq(o, "delegated") && !str_eq(o, "copy")) {
            return false;
        }
    }
    return true;
}

static bool volume_name_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool alnum =
            (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');

        if (!alnum && (i == 0 || (ch != '_' && ch != '.' && ch != '-')))
            return false;
    }
    return s.n >= 2;
}

static int add_bind(const char *spec, struct arena *a, struct container_record *rec, struct err *e)
{
    struct str rest = str_of(spec), src = str_cut(&rest, ':'), dst = str_cut(&rest, ':');
    struct mount_record m = {.driver = "", .name = ""};

    if (src.n == 0 || dst.n == 0 || dst.p[0] != '/' || !bind_options(rest, &m, a))
        return err_set(e, ERR_INVALID, "invalid volume specification: '%s'%s", spec,
                       dst.n > 0 && dst.p[0] != '/' ? ": invalid mount path: must be absolute"
                                                    : "");
    m.mode = arena_strndup(a, rest.p != NULL ? rest.p : "", rest.n);
    m.target = clean(dst, a);
    TRY(check_target(spec, m.target, rec, e));
    if (src.p[0] == '/') {
        m.type = "bind";
        m.source = clean(src, a);
        m.create_source = true;
        if (m.propagation == NULL)
            m.propagation = "rprivate";
    } else {
        if (!volume_name_ok(src))
            return err_set(
                e, ERR_INVALID,
                "create %.*s: \"%.*s\" includes invalid characters for a local volume name, only "
                "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
                "directory, use absolute path",
                STR_ARG(src), STR_ARG(src));
        m.type = "volume";
        m.name = arena_strndup(a, src.p, src.n);
        m.driver = "local";
    }
    vec_push_in(a, &rec->mounts, m);
    return 0;
}

static int bind_mount(const struct mount_spec *s, struct mount_record *m, struct arena *a,
                      struct err *e)
{
    struct stat st;

    if (s->source == NULL || s->source[0] == '\0')
        return err_set(e, ERR_INVALID,
                       "invalid mount config for type \"bind\": field Source must not be empty");
    if (s->source[0] != '/')
        return err_set(
            e, ERR_INVALID,
            "invalid mount config for type \"bind\": invalid mount path: '%s' mount path must be "
            "absolute",
            s->source);
    if (s->volume != NULL || s->tmpfs != NULL)
        return err_set(e, ERR_INVALID,
                       "invalid mount config for type \"bind\": field %s must not be specified",
                       s->volume != NULL ? "VolumeOptions" : "TmpfsOptions");
    m->source = clean(str_of(s->source), a);
    m->create_source = s->bind != NULL && s->bind->create_mountpoint;
    m->non_recursive = s->bind != NULL && s->bind->non_recursive;
    m->propagation =
        s->bind != NULL && s->bind->propagation != NULL && s->bind->propagation[0] != '\0'
            ? s->bind->propagation
            : "rprivate";
    if (!is_propagation(str_of(m->propagation)))
        return err_set(e, ERR_INVALID,
                       "invalid mount config for type \"bind\": invalid propagation mode: %s",
                       m->propagation);
    if (!m->create_source && stat(m->source, &st) < 0)
        return err_set(
            e, ERR_INVALID,
            "invalid mount config for type \"bind\": bind source path does not exist: %s",
            m->source);
    return 0;
}

static int volume_mount_of(const struct mount_spec *s, struct mount_record *m, struct err *e)
{
    if (s->bind != NULL || s->tmpfs != NULL)
        return err_set(e, ERR_INVALID,
                       "invalid mount config for type \"volume\": field %s must not be specified",
                       s->bind != NULL ? "BindOptions" : "TmpfsOptions");
    m->name = s->source != NULL ? s->source : "";
    m->anonymous = m->name[0] == '\0';
    m->driver = "local";
    if (s->volume != NULL) {
        if (s->volume->driver != NULL && s->volume->driver->name != NULL &&
            s->volume->driver->name[0] != '\0')
            m->driver = s->volume->driver->name;
        m->no_copy = s->volume->no_copy;
        m->subpath = s->volume->subpath;
    }
    if (!m->anonymous && !volume_name_ok(str_of(m->name)))
        return err_set(
            e, ERR_INVALID,
            "create %s: \"%s\" includes invalid characters for a local volume name, only "
            "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, "
            "use absolute path",
            m->name, m->name);
    return 0;
}

static int tmpfs_mount_of(const struct mount_spec *s, struct mount_record *m, struct arena *a,
                          struct err *e)
{
    long long size = s->tmpfs != NULL ? s->tmpfs->size_bytes : 0;
    unsigned mode = s->tmpfs != NULL && s->tmpfs->mode != 0 ? (unsigned)s->tmpfs->mode : 01777;

    if (s->source != NULL && s->source[0] != '\0')
        return err_set(
            e, ERR_INVALID,
            "invalid mount config for type \"tmpfs\": field Source must not be specified");
    if (size < 0)
        return err_set(e, ERR_INVALID,
                       "invalid mount config for type \"tmpfs\": invalid tmpfs size");
    m->options = size > 0 ? arena_printf(a, "mode=%o,size=%lld", mode, size)
                          : arena_printf(a, "mode=%o", mode);
    return 0;
}

static int add_mount(const struct mount_spec *s, struct arena *a, struct container_record *rec,
                     struct err *e)
{
    struct mount_record m = {
        .type = s->type, .rw = !s->read_only, .name = "", .driver = "", .mode = ""};

    if (s->target == NULL || s->target[0] == '\0')
        return err_set(e, ERR_INVALID,
                       "invalid mount config for type \"%s\": field Target must not be empty",
                       s->type != NULL ? s->type : "");
    if (s->target[0] != '/')
        return err_set(e, ERR_INVALID,
                       "invalid mount config for type \"%s\": invalid mount path: '%s' mount path "
                       "must be absolute",
                       s->type, s->target);
    m.target = clean(str_of(s->target), a);
    TRY(check_target(s->target, m.target, rec, e));
    if (strcmp(s->type, "bind") == 0)
        TRY(bind_mount(s, &m, a, e));
    else if (strcmp(s->type, "volume") == 0)
        TRY(volume_mount_of(s, &m, e));
    else if (strcmp(s->type, "tmpfs") == 0)
        TRY(tmpfs_mount_of(s, &m, a, e));
    else
        return err_set(e, strcmp(s->type, "image") == 0 ? ERR_UNIMPLEMENTED : ERR_INVALID,
                       "mount type \"%s\" unknown", s->type);
    vec_push_in(a, &rec->mounts, m);
    return 0;
}

static void add_anonymous(const char *path, struct arena *a, struct container_record *rec)
{
    struct mount_record m = {
        .type = "volume", .name = "", .driver = "local", .mode = "", .rw = true, .anonymous = true};

    m.target = clean(str_of(path), a);
    vec_each(have, &rec->mounts)
        if (strcmp(have->target, m.target) == 0)
            return;
    if (strmap_get(&rec->host.tmpfs, m.target) != NULL)
        return;
    vec_push_in(a, &rec->mounts, m);
}

int mounts_resolve(const struct container_config *c, const struct host_config *h, struct arena *a,
                   struct container_record *out, struct err *e)
{
    if (h->volumes_from.n > 0)
        return err_set(e, ERR_UNIMPLEMENTED,
                       "--volumes-from is not supported yet: name the volumes");
    vec_each(b, &h->binds)
        TRY(add_bind(*b, a, out, e));
    vec_each(m, &h->mounts)
        TRY(add_mount(m, a, out, e));
    vec_each(t, &h->tmpfs) {
        if (t->key[0] != '/')
            return err_set(e, ERR_INVALID, "invalid mount path: '%s' mount path must be absolute",
                           t->key);
        TRY(check_target(t->key, t->key, out, e));
    }
    vec_each(v, &c->volumes) {
        if ((*v)[0] != '/' || strchr(*v, ':') != NULL)
            return err_set(e, ERR_INVALID, "invalid volume specification: '%s'", *v);
        if (strcmp(*v, "/") == 0)
            return err_set(e, ERR_INVALID,
                           "invalid volume specification: '/': invalid specification: "
                           "destination can't be '/'");
        add_anonymous(*v, a, out);
    }
    return 0;
}
