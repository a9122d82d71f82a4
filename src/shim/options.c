/* Options of containers: see options.h. */
#include "shim/options.h"

#include <fcntl.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/path.h"

#define DEFAULT_RUNTIME "hull-runc"
#define OWN_ROOT "/run/hull-runc"
#define OTHER_ROOT "/run/containerd/runc"
#define CONFIG_MAX ((size_t)16 << 20)

#define SHIM_OPTIONS(T, F)                                       \
    F(T, bool, no_pivot_root, "no_pivot_root", JSON_OMITEMPTY)   \
    F(T, bool, no_new_keyring, "no_new_keyring", JSON_OMITEMPTY) \
    F(T, str, shim_cgroup, "shim_cgroup", JSON_OMITEMPTY)        \
    F(T, u64, io_uid, "io_uid", JSON_OMITEMPTY)                  \
    F(T, u64, io_gid, "io_gid", JSON_OMITEMPTY)                  \
    F(T, str, binary_name, "binary_name", JSON_OMITEMPTY)        \
    F(T, str, root, "root", JSON_OMITEMPTY)                      \
    F(T, bool, systemd_cgroup, "systemd_cgroup", JSON_OMITEMPTY)
JSON_TYPE(shim_options, SHIM_OPTIONS)
JSON_DESC(shim_options, SHIM_OPTIONS)

#define SPEC_NAMESPACE(T, F)   \
    F(T, str, type, "type", 0) \
    F(T, str, path, "path", 0)
JSON_TYPE(spec_namespace, SPEC_NAMESPACE)
JSON_DESC(spec_namespace, SPEC_NAMESPACE)

#define SPEC_LINUX(T, F) F(T, list, namespaces, "namespaces", 0, spec_namespace)
JSON_TYPE(spec_linux, SPEC_LINUX)
JSON_DESC(spec_linux, SPEC_LINUX)

#define SPEC_HEAD(T, F)                       \
    F(T, val, linux_, "linux", 0, spec_linux) \
    F(T, map, annotations, "annotations", 0)
JSON_TYPE(spec_head, SPEC_HEAD)
JSON_DESC(spec_head, SPEC_HEAD)

static bool is_set(const char *s)
{
    return s != NULL && s[0] != '\0'; /* an absent string of a document is NULL */
}

static const char *const group_keys[] = {"io.containerd.runc.v2.group",
                                         "io.kubernetes.cri.sandbox-id"};

static int write_file(const char *bundle, const char *name, const char *text, size_t n,
                      struct err *e)
{
    auto_fd int dir = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(e, "bundle %s", bundle);
    auto_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r = fd < 0 ? -1 : fd_write_all(fd, text, n);
    return fd < 0  ? err_sys(e, "write %s/%s", bundle, name)
           : r < 0 ? err_neg(e, r, "write %s/%s", bundle, name)
                   : 0;
}

/* The runtime that was asked for. Callers that never heard of us ask for "runc": where it is not
 * installed, ours is what stands in for it. */
static const char *runtime_of(const struct shim_options *opts)
{
    if (!is_set(opts->binary_name))
        return DEFAULT_RUNTIME;
    if (strcmp(opts->binary_name, "runc") != 0)
        return opts->binary_name;
    auto_free char *found = path_find_program("runc", getenv("PATH"));
    return found != NULL ? opts->binary_name : DEFAULT_RUNTIME;
}

/* What options and defaults make of one container. */
static void fill(struct oci *o, const struct shim_options *opts, const char *ns, struct arena *a)
{
    o->binary = runtime_of(opts);
    o->ops = oci_ops_for(o->binary);
    const char *root = is_set(opts->root)    ? opts->root
                       : o->ops == &oci_runc ? OTHER_ROOT
                                             : OWN_ROOT;
    o->root = arena_printf(a, "%s/%s", root, ns);
    o->systemd_cgroup = opts->systemd_cgroup;
    o->no_pivot = opts->no_pivot_root;
    o->no_new_keyring = opts->no_new_keyring;
}

static int from_any(const Pb__Any *any, struct arena *a, struct shim_options *out, struct err *e)
{
    Runc__Options *o = NULL;
    *out = (struct shim_options){.no_pivot_root = false};
    if (any == NULL || any->type_url[0] == '\0' || any->value.len == 0)
        return 0;
    TRY(pb_any_unpack(any, &runc__options__descriptor, a, &o, e));
    *out = (struct shim_options){
        .no_pivot_root = o->no_pivot_root,
        .no_new_keyring = o->no_new_keyring,
        .shim_cgroup = o->shim_cgroup,
        .io_uid = o->io_uid,
        .io_gid = o->io_gid,
        .binary_name = o->binary_name,
        .root = o->root,
        .systemd_cgroup = o->systemd_cgroup,
    };
    if (is_set(out->shim_cgroup))
        return err_set(e, ERR_UNIMPLEMENTED, "runtime option shim_cgroup is not supported");
    return 0;
}

int options_apply(struct container *c, const Pb__Any *options, struct err *e)
{
    struct shim_options opts;
    auto_buf struct buf json = BUF_MAX((size_t)64 << 10);
    TRY(from_any(options, c->arena, &opts, e));
    fill(&c->oci, &opts, c->shim->ns, c->arena);
    c->oci.loop = c->shim->loop;
    c->oci.reaper = c->shim->reaper;
    c->oci.id = c->id;
    c->oci.bundle = c->bundle;
    c->io_uid = (uint32_t)opts.io_uid;
    c->io_gid = (uint32_t)opts.io_gid;
    json_write(&shim_options_json, &opts, &json);
    if (json.over)
        return err_set(e, ERR_INVALID, "runtime options are too long");
    TRY(write_file(c->bundle, "options.json", json.p, json.n, e));
    return write_file(c->bundle, "runtime", c->oci.binary, strlen(c->oci.binary), e);
}

int options_load(const char *bundle, const char *ns, const char *id, struct arena *a, struct oci *o,
                 struct err *e)
{
    auto_free char *path = mem_printf("%s/options.json", bundle);
    auto_buf struct buf text = BUF_MAX((size_t)64 << 10);
    struct shim_options opts;
    TRY(file_read(AT_FDCWD, path, &text, e));
    TRY(json_parse(&shim_options_json, &opts, text.p, text.n, a, e));
    *o = (struct oci){.id = id, .bundle = bundle};
    fill(o, &opts, ns, a);
    return 0;
}

/* criu's log is beside the bundle's other logs: it goes with them. */
static const char *work_of(const struct container *c, struct arena *a)
{
    return arena_printf(a, "%s/criu-work", c->bundle);
}

/* Callers that do not take us for runc send the message's older namesake: the fields are the same.
 */
static bool is_checkpoint_options(const Pb__Any *any)
{
    static const char *const names[] = {"containerd.runc.v1.CheckpointOptions",
                                        "containerd.linux.runc.CheckpointOptions"};
    for (size_t i = 0; any != NULL && i < ARRAY_LEN(names); i++)
        if (str_ends(str_of(any->type_url), names[i]))
            return true;
    return false;
}

int options_images(const struct container *c, const Shim__CheckpointTaskRequest *rq,
                   struct arena *a, struct oci_images *out, struct err *e)
{
    Runc__CheckpointOptions none = RUNC__CHECKPOINT_OPTIONS__INIT, *o = &none;
    const Pb__Any *any = rq->options;
    if (rq->path[0] != '/')
        return err_set(e, ERR_INVALID, "checkpoint path \"%s\" is not absolute", rq->path);
    if (is_checkpoint_options(any))
        TRY(pb_unpack(&runc__checkpoint_options__descriptor, any->value.data, any->value.len, a, &o,
                      e));
    else if (any != NULL && any->value.len > 0)
        return err_set(e, ERR_INVALID, "unknown checkpoint options %s", any->type_url);
    *out = (struct oci_images){
        .path = rq->path,
        .work_path = o->work_path[0] != '\0' ? o->work_path : work_of(c, a),
        .parent_path = o->parent_path,
        .cgroups_mode = o->cgroups_mode,
        .leave_running = !o->exit,
        .open_tcp = o->open_tcp,
        .external_unix_sockets = o->external_unix_sockets,
        .terminal = o->terminal,
        .file_locks = o->file_locks,
    };
    return 0;
}

struct oci_images options_restored(const struct container *c, const Shim__CreateTaskRequest *rq)
{
    if (rq->checkpoint[0] == '\0')
        return (struct oci_images){.path = NULL};
    return (struct oci_images){.path = arena_strdup(c->arena, rq->checkpoint),
                               .work_path = work_of(c, c->arena),
                               .parent_path = "",
                               .cgroups_mode = ""};
}

static int read_spec(const char *bundle, struct arena *a, struct spec_head *out, struct err *e)
{
    auto_free char *path = mem_printf("%s/config.json", bundle);
    auto_buf struct buf text = BUF_MAX(CONFIG_MAX);
    TRY(file_read(AT_FDCWD, path, &text, e));
    if (json_parse(&spec_head_json, out, text.p, text.n, a, e) < 0)
        return err_wrap(e, "%s", path);
    return 0;
}

int options_read_spec(struct container *c, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct spec_head spec;
    TRY(read_spec(c->bundle, a, &spec, e));
    vec_each(ns, &spec.linux_.namespaces)
        if (is_set(ns->type) && strcmp(ns->type, "pid") == 0 && !is_set(ns->path))
            c->own_pid_ns = true;
    return 0;
}

int options_group(const char *bundle, struct arena *a, const char **out, struct err *e)
{
    struct spec_head spec;
    TRY(read_spec(bundle, a, &spec, e));
    *out = NULL;
    for (size_t i = ARRAY_LEN(group_keys); i > 0; i--) {
        const char *group = strmap_get(&spec.annotations, group_keys[i - 1]);
        if (is_set(group))
            *out = group;
    }
    return 0;
}
