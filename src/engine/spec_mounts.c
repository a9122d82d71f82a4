/* Mounts: Docker's defaults, minus what the container covers itself, plus its own, sorted by depth.
 */
#include "base/str.h"
#include "engine/spec.h"

static const struct default_mount {
    const char *destination, *type, *source, *options;
} defaults[] = {
    {"/proc", "proc", "proc", "nosuid noexec nodev"},
    {"/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"},
    {"/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"},
    {"/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"},
    {"/sys/fs/cgroup", "cgroup", "cgroup", "ro nosuid noexec nodev"},
    {"/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"},
};

static struct strv options_of(const char *text, char sep, struct arena *a)
{
    struct str rest = str_of(text);
    struct strv v = {0};

    while (rest.n > 0) {
        struct str o = str_cut(&rest, sep);

        if (o.n > 0)
            vec_push_in(a, &v, arena_strndup(a, o.p, o.n));
    }
    return v;
}

static struct oci_mount *add(struct oci_spec *s, const char *destination, const char *type,
                             const char *source, const char *options, struct arena *a)
{
    struct oci_mount *m = vec_add_in(a, &s->mounts);

    *m = (struct oci_mount){.destination = destination, .type = type, .source = source};
    m->options = options_of(options, ' ', a);
    return m;
}

/* True when the container brings its own mount for this place. */
static bool is_covered(const struct spec_inputs *in, const char *destination)
{
    for (size_t i = 0; i < in->n_mounts; i++)
        if (strcmp(in->mounts[i].destination, destination) == 0)
            return true;
    return strmap_get(&in->rec->host.tmpfs, destination) != NULL;
}

static bool is_below_dev(const char *destination)
{
    return strncmp(destination, "/dev/", 5) == 0;
}

static void default_mounts(const struct spec_inputs *in, const struct security_opts *sec,
                           struct arena *a, struct oci_spec *out)
{
    bool writable = in->rec->host.privileged;

    for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
        const struct default_mount *d = &defaults[i];
        struct oci_mount *m;
        bool rw = writable || (sec->writable_cgroups && strcmp(d->type, "cgroup") == 0);

        if (is_covered(in, d->destination) ||
            (is_below_dev(d->destination) && is_covered(in, "/dev")))
            continue;
        m = add(out, d->destination, d->type, d->source, d->options, a);
        for (size_t k = 0; rw && k < m->options.n; k++)
            if (strcmp(m->options.v[k], "ro") == 0)
                m->options.v[k] = (char *)"rw";
    }
}

static void shm_mount(const struct spec_inputs *in, struct arena *a, struct oci_spec *out)
{
    const char *mode = in->rec->host.ipc_mode;

    if (is_covered(in, "/dev/shm") || is_covered(in, "/dev") ||
        (mode != NULL && strcmp(mode, "none") == 0))
        return;
    if (in->shm != NULL)
        add(out, "/dev/shm", "bind", in->shm, "rbind rprivate", a);
    else
        add(out, "/dev/shm", "tmpfs", "shm",
            arena_printf(a, "nosuid noexec nodev mode=1777 size=%lld",
                         (long long)in->rec->host.shm_size_bytes),
            a);
}

static int depth(const char *path)
{
    int n = 0;

    for (; *path != '\0'; path++)
        n += *path == '/' && path[1] != '\0' && path[1] != '/';
    return n;
}

/* Put a mount behind all that are less deep or as deep, so that parents come first. */
static void add_sorted(struct oci_spec *s, size_t first, const struct oci_mount *m, struct arena *a)
{
    size_t i;

    (void)vec_add_in(a, &s->mounts);
    for (i = s->mounts.n - 1;
         i > first && depth(s->mounts.v[i - 1].destination) > depth(m->destination); i--)
        s->mounts.v[i] = s->mounts.v[i - 1];
    s->mounts.v[i] = *m;
}

static void tmpfs_mounts(const struct spec_inputs *in, size_t first, struct arena *a,
                         struct oci_spec *out)
{
    vec_each(t, &in->rec->host.tmpfs) {
        struct oci_mount m = {.destination = t->key, .type = "tmpfs", .source = "tmpfs"};

        m.options = options_of("noexec nosuid nodev rprivate", ' ', a);
        struct strv more = options_of(t->val, ',', a);
        vec_each(o, &more) {
            /* "exec" takes back the default "noexec", and so on */
            for (size_t i = 0; i < m.options.n; i++)
                if (strncmp(m.options.v[i], "no", 2) == 0 && strcmp(m.options.v[i] + 2, *o) == 0)
                    vec_remove(&m.options, i);
            if (!strv_has(&m.options, *o))
                vec_push_in(a, &m.options, *o);
        }
        add_sorted(out, first, &m, a);
    }
}

static void file_mounts(const struct spec_inputs *in, size_t first, struct arena *a,
                        struct oci_spec *out)
{
    const struct {
        const char *destination, *source;
    } files[] = {{"/etc/resolv.conf", in->resolv_conf},
                 {"/etc/hostname", in->hostname_file},
                 {"/etc/hosts", in->hosts},
                 {"/sbin/docker-init", in->init}};

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct oci_mount m = {
            .destination = files[i].destination, .type = "bind", .source = files[i].source};

        if (m.source == NULL || is_covered(in, m.destination))
            continue;
        m.options = options_of(m.source == in->init ? "bind ro" : "rbind rprivate", ' ', a);
        add_sorted(out, first, &m, a);
    }
}

void spec_mounts(const struct spec_inputs *in, const struct security_opts *sec, struct arena *a,
                 struct oci_spec *out)
{
    size_t first;

    default_mounts(in, sec, a, out);
    shm_mount(in, a, out);
    first = out->mounts.n;
    for (size_t i = 0; i < in->n_mounts; i++)
        add_sorted(out, first, &in->mounts[i], a);
    tmpfs_mounts(in, first, a, out);
    file_mounts(in, first, a, out);
}
