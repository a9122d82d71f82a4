/* config.json, credentials, contexts: see config.h. */
#include "cli/config.h"

#include <fcntl.h>
#include <json-c/json.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/credentials.h"
#include "cli/table.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "types/reference.h"

#define CONFIG_MAX (4u << 20)

struct json_object *config_load(const char *dir)
{
    struct err e = {0};
    auto_buf struct buf text = BUF_MAX(CONFIG_MAX);
    auto_free char *path = mem_printf("%s/config.json", dir);
    if (file_read(AT_FDCWD, path, &text, &e) < 0)
        return NULL;
    struct json_object *o = json_tokener_parse(buf_cstr(&text));
    if (!json_object_is_type(o, json_type_object)) {
        warn_line("WARNING: Error loading config file: %s: not a JSON object", path);
        json_object_put(o);
        return NULL;
    }
    return o;
}

const char *cli_config_str(struct cli *c, const char *key)
{
    struct json_object *v;
    if (c->config == NULL || !json_object_object_get_ex(c->config, key, &v) ||
        !json_object_is_type(v, json_type_string) || json_object_get_string_len(v) == 0)
        return NULL;
    return json_object_get_string(v);
}

/* The folder of a context: contexts/meta/<sha256 of its name>. Found by looking, so that no hash is
 * needed here. */
static struct json_object *context_find(struct cli *c, char **out_id)
{
    auto_free char *dir = mem_printf("%s/contexts/meta", c->config_dir);
    struct strv names = {0};
    struct err e = {0};
    struct json_object *found = NULL;
    if (path_list(dir, &names, &e) < 0)
        return NULL;
    for (size_t i = 0; i < names.n && found == NULL; i++) {
        auto_free char *path = mem_printf("%s/%s/meta.json", dir, names.v[i]);
        auto_buf struct buf text = BUF_MAX(CONFIG_MAX);
        if (file_read(AT_FDCWD, path, &text, &e) < 0)
            continue;
        struct json_object *o = json_tokener_parse(buf_cstr(&text)), *name;
        if (json_object_object_get_ex(o, "Name", &name) &&
            strcmp(json_object_get_string(name), c->context) == 0) {
            found = o;
            *out_id = mem_strdup(names.v[i]);
        } else {
            json_object_put(o);
        }
    }
    strv_done(&names);
    return found;
}

int context_load(struct cli *c, struct err *e)
{
    auto_free char *id = NULL;
    struct json_object *meta = context_find(c, &id), *v = NULL;
    if (meta == NULL)
        return err_set(e, ERR_NOT_FOUND,
                       "current context \"%s\" is not found on the file system, please check your "
                       "config file at "
                       "%s/config.json",
                       c->context, c->config_dir);
    bool ok = json_object_object_get_ex(meta, "Endpoints", &v) &&
              json_object_object_get_ex(v, "docker", &v) &&
              json_object_object_get_ex(v, "Host", &v);
    if (ok)
        c->host = arena_strdup(c->arena, json_object_get_string(v));
    json_object_put(meta);
    if (!ok)
        return err_set(e, ERR_INVALID, "context \"%s\" has no docker endpoint", c->context);
    const char *tls = arena_printf(c->arena, "%s/contexts/tls/%s/docker", c->config_dir, id);
    if (access(tls, F_OK) == 0) {
        c->tls = c->tls_verify = true;
        c->tls_ca = arena_printf(c->arena, "%s/ca.pem", tls);
        c->tls_cert = arena_printf(c->arena, "%s/cert.pem", tls);
        c->tls_key = arena_printf(c->arena, "%s/key.pem", tls);
    }
    return 0;
}

int config_save(struct cli *c, struct err *e)
{
    auto_free char *path = mem_printf("%s/config.json", c->config_dir);
    auto_free char *real = realpath(path, NULL); /* through a link, if it is one */
    char *file = real != NULL ? real : path, *slash = strrchr(file, '/');
    const char *text = json_object_to_json_string_ext(
        c->config, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_PRETTY_TAB | JSON_C_TO_STRING_SPACED |
                       JSON_C_TO_STRING_NOSLASHESCAPE);
    *slash = '\0';
    TRY(path_mkdirs(file, 0700, e));
    auto_fd int dir = open(file, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(e, "open %s", file);
    return file_replace(dir, slash + 1, text, strlen(text), 0600, e);
}

int cli_registry_auth(struct cli *c, const char *image, const char **out, struct err *e)
{
    size_t n = ref_host_len(image);
    const char *server = n > 0 ? arena_strndup(c->arena, image, n) : NULL;
    return credentials_header(c, credentials_key(c, server), out, e);
}
