/* Names of runtimes and greetings of shims: see bootstrap.h. */
#include "containerd/bootstrap.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "proto/bootstrap.pb-c.h"
#include "rpc/pb.h"
#include "sys/path.h"

#define GREETING_MAX ((size_t)64 << 10)
#define RUNC_V2 "io.containerd.runc.v2"
#define OUR_SHIM "containerd-shim-hull-v2"

int runtime_program(const char *runtime, struct arena *a, const char **out, struct err *e)
{
    struct str name = str_of(runtime), last, second;
    if (runtime[0] == '/') {
        *out = runtime;
        return 0;
    }
    if (strchr(runtime, '/') == NULL) {
        last = str_cut_last(&name, '.');
        second = str_cut_last(&name, '.');
        if (last.n > 0 && second.n > 0 && last.p != runtime) {
            *out = arena_printf(a, "containerd-shim-%.*s-%.*s", STR_ARG(second), STR_ARG(last));
            return 0;
        }
    }
    return err_set(e, ERR_INVALID,
                   "invalid runtime name %s, correct runtime name should be either "
                   "format like `io.containerd.runc.v2` or a full path to the binary: "
                   "invalid argument",
                   runtime);
}

static const char *search(const char *name, const char *path, const char *const *dirs,
                          struct arena *a)
{
    auto_free char *hit = path_find_program(name, path);
    for (; hit == NULL && *dirs != NULL; dirs++)
        hit = path_find_program(name, *dirs);
    return hit != NULL ? arena_strdup(a, hit) : NULL;
}

int runtime_find(const char *runtime, const char *path, const char *const *dirs, struct arena *a,
                 const char **out, struct err *e)
{
    const char *name;
    TRY(runtime_program(runtime, a, &name, e));
    if (name[0] == '/') {
        *out = access(name, X_OK) == 0 ? name : NULL;
    } else {
        *out = search(name, path, dirs, a);
        if (*out == NULL && strcmp(runtime, RUNC_V2) == 0)
            *out = search(OUR_SHIM, path, dirs, a);
    }
    if (*out == NULL)
        return err_set(e, ERR_NOT_FOUND,
                       "runtime \"%s\" binary not installed \"%s\": file does not exist", runtime,
                       name);
    return 0;
}

/* ---- greetings ---- */

#define GREETING(T, F)               \
    F(T, i64, version, "version", 0) \
    F(T, str, address, "address", 0) \
    F(T, str, protocol, "protocol", 0)
JSON_TYPE(greeting, GREETING)
JSON_DESC(greeting, GREETING)

static int read_packed(const char *p, size_t n, struct arena *a, struct greeting *out,
                       struct err *e)
{
    Bootstrap__BootstrapResult *r;
    TRY(pb_unpack(&bootstrap__bootstrap_result__descriptor, p, n, a, &r, e));
    *out = (struct greeting){.version = r->version, .address = r->address, .protocol = r->protocol};
    return 0;
}

static int check(const struct greeting *g, struct shim_endpoint *out, struct err *e)
{
    if (g->protocol != NULL && g->protocol[0] != '\0' && strcmp(g->protocol, "ttrpc") != 0)
        return err_set(e, ERR_UNIMPLEMENTED, "unsupported shim protocol %s: not implemented",
                       g->protocol);
    if (g->version > 3)
        return err_set(e, ERR_UNIMPLEMENTED, "unsupported shim version (%lld): not implemented",
                       (long long)g->version);
    if (g->address == NULL || !str_starts(str_of(g->address), "unix:///"))
        return err_set(e, ERR_INVALID, "not the address of a unix socket: %.200s",
                       g->address != NULL ? g->address : "");
    out->address = g->address + strlen("unix://");
    out->version = g->version == 3 ? 3 : 2;
    return 0;
}

int bootstrap_parse(const char *p, size_t n, struct arena *a, struct shim_endpoint *out,
                    struct err *e)
{
    struct greeting g = {.version = 2};
    if (n > GREETING_MAX)
        return err_set(e, ERR_TOO_LARGE, "the shim said %zu bytes", n);
    while (n > 0 && strchr(" \t\r\n", p[n - 1]) != NULL && p[n - 1] != '\0')
        n--;
    if (n == 0)
        return err_set(e, ERR_INVALID, "the shim did not say its address");
    if (p[0] == '{')
        TRY(json_parse(&greeting_json, &g, p, n, a, e));
    else if (p[0] == 0x08 || p[0] == 0x12) /* the keys of the message's first two fields */
        TRY(read_packed(p, n, a, &g, e));
    else
        g.address = arena_strndup(a, p, n);
    return check(&g, out, e);
}

const char *bootstrap_json(const struct shim_endpoint *ep, struct arena *a)
{
    auto_buf struct buf b = BUF_MAX(GREETING_MAX);
    struct greeting g = {.version = ep->version, .protocol = "ttrpc"};
    g.address = arena_printf(a, "unix://%s", ep->address);
    json_write(&greeting_json, &g, &b);
    return arena_strdup(a, buf_cstr(&b));
}
