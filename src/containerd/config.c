/*
 * Flags and containerd's configuration file, which is TOML. A key that is not ours is skipped,
 * since whoever starts containerd (dockerd, say) writes keys of its plugins.
 */
#include "containerd/config.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/str.h"
#include "base/toml.h"
#include "sys/path.h"

#define FILE_MAX ((size_t)1 << 20)
#define RUN_DIR "/run/containerd"

struct key {
    const char *flag, *short_flag; /* NULL: not a flag */
    const char *key;               /* in the file; NULL: not there */
    size_t off;
};

static const struct key keys[] = {
    {"address", "a", "grpc.address", offsetof(struct config, address)},
    {NULL, NULL, "ttrpc.address", offsetof(struct config, ttrpc_address)},
    {"root", NULL, "root", offsetof(struct config, root)},
    {"state", NULL, "state", offsetof(struct config, state)},
    {"log-level", "l", "debug.level", offsetof(struct config, log_level)},
    {"helper-dir", NULL, NULL, offsetof(struct config, helper_dir)},
    {"config", "c", NULL, offsetof(struct config, file)},
};

static const char **member(struct config *c, const struct key *k)
{
    return (const char **)(void *)((char *)c + k->off);
}

/* ---- flags ---- */

static const struct key *find_flag(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (keys[i].flag != NULL &&
            (str_eq(name, keys[i].flag) ||
             (keys[i].short_flag != NULL && str_eq(name, keys[i].short_flag))))
            return &keys[i];
    return NULL;
}

/* One flag at argv[0]. Returns how many arguments it took. */
static int take_flag(char **argv, struct config *c, struct err *e)
{
    struct str rest = str_of(argv[0] + (argv[0][1] == '-' ? 2 : 1)), name = str_cut(&rest, '=');
    bool has_value = strchr(argv[0], '=') != NULL;
    if (str_eq(name, "version") || str_eq(name, "v")) {
        c->version = true;
        return 1;
    }
    const struct key *k = find_flag(name);
    if (k == NULL)
        return err_set(e, ERR_INVALID, "flag provided but not defined: -%.*s", STR_ARG(name));
    if (!has_value && argv[1] == NULL)
        return err_set(e, ERR_INVALID, "flag needs an argument: -%.*s", STR_ARG(name));
    *member(c, k) = has_value ? rest.p : argv[1];
    return has_value ? 1 : 2;
}

/* ---- the file ---- */

struct reading {
    struct config *io;
    struct arena *a;
};

static void assign(struct config *c, const char *key, const char *value)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (keys[i].key == NULL || strcmp(keys[i].key, key) != 0)
            continue;
        if (*member(c, &keys[i]) == NULL && value != NULL && *value != '\0')
            *member(c, &keys[i]) = value;
        return;
    }
    log_debug("configuration key without a meaning here", "key", key, NULL);
}

static int on_item(void *arg, const struct toml_item *item, struct err *e UNUSED)
{
    struct reading *r = arg;
    if (item->kind != TOML_TABLE)
        assign(r->io, toml_name(item, r->a),
               item->kind == TOML_STRING && item->depth == 0 ? item->text : NULL);
    return 0;
}

int config_parse_toml(const char *text, struct arena *a, struct config *io, struct err *e)
{
    struct reading r = {io, a};
    return toml_read(text, a, on_item, &r, e);
}

static int read_file(struct config *c, struct arena *a, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(FILE_MAX);
    if (file_read(AT_FDCWD, c->file, &text, e) < 0)
        return err_wrap(e, "failed to load TOML");
    if (config_parse_toml(buf_cstr(&text), a, c, e) < 0)
        return err_wrap(e, "failed to load TOML: %s", c->file);
    return 0;
}

int config_read(int argc, char **argv, struct arena *a, struct config *out, struct err *e)
{
    int i = 1;
    *out = (struct config){0};
    while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
        int took = take_flag(argv + i, out, e);
        TRY(took);
        i += took;
    }
    out->rest = argv + i;
    if (out->file != NULL)
        TRY(read_file(out, a, e));
    if (out->address == NULL)
        out->address = RUN_DIR "/containerd.sock";
    if (str_starts(str_of(out->address), "unix://"))
        out->address += strlen("unix://");
    if (out->ttrpc_address == NULL)
        out->ttrpc_address = arena_printf(a, "%s.ttrpc", out->address);
    if (out->root == NULL)
        out->root = "/var/lib/hull-containerd";
    if (out->state == NULL)
        out->state = RUN_DIR;
    if (out->log_level == NULL)
        out->log_level = "info";
    if (out->root[0] != '/' || out->state[0] != '/' || out->address[0] != '/')
        return err_set(e, ERR_INVALID, "root, state and address must be absolute paths");
    return 0;
}
