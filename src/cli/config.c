/* config.json, credentials, contexts: see config.h. */
#include "cli/config.h"

#include <fcntl.h>
#include <json-c/json.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/table.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "types/system.h"

#define CONFIG_MAX (4u << 20)
#define HUB_KEY "https://index.docker.io/v1/"

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

/* The registry's host of an image reference: its first part when that looks like a host, else the
 * default. */
static void registry_of(const char *image, char *out, size_t size)
{
    struct str rest = str_of(image), first = str_cut(&rest, '/');
    bool host = rest.n > 0 && (str_index(first, '.') >= 0 || str_index(first, ':') >= 0 ||
                               str_eq(first, "localhost"));
    if (!host || str_eq(first, "docker.io") || str_eq(first, "index.docker.io"))
        (void)snprintf(out, size, "%s", HUB_KEY);
    else
        (void)snprintf(out, size, "%.*s", STR_ARG(first));
}

static const char *str_of_key(struct json_object *o, const char *key)
{
    struct json_object *v;
    return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : NULL;
}

int cli_registry_auth(struct cli *c, const char *image, const char **out, struct err *e)
{
    struct json_object *auths = NULL, *entry = NULL;
    char host[512];
    *out = "";
    registry_of(image, host, sizeof(host));
    if (c->config == NULL || !json_object_object_get_ex(c->config, "auths", &auths) ||
        !json_object_object_get_ex(auths, host, &entry))
        return 0;
    struct auth_config auth = {.server_address = host,
                               .identity_token = str_of_key(entry, "identitytoken"),
                               .registry_token = str_of_key(entry, "registrytoken")};
    auto_buf struct buf pair = BUF_MAX(65536);
    const char *encoded = str_of_key(entry, "auth");
    if (encoded != NULL) {
        if (!base64_decode(encoded, &pair) || pair.p == NULL || strchr(pair.p, ':') == NULL)
            return err_set(e, ERR_INVALID, "invalid auth configuration file");
        char *colon = strchr(pair.p, ':');
        *colon = '\0';
        auth.username = pair.p;
        auth.password = colon + 1;
    }
    auto_buf struct buf json = BUF_MAX(65536), text = BUF_MAX(131072);
    json_write(&auth_config_json, &auth, &json);
    base64_encode_url(json.p, json.n, &text);
    *out = arena_strdup(c->arena, buf_cstr(&text));
    return 0;
}
