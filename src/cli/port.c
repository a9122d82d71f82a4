/* hull port and top: what a running container publishes, and runs. */
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/human.h"
#include "cli/table.h"
#include "types/container.h"

#include <json-c/json.h>

static void print_binding(const char *prefix, const struct port_binding *b)
{
    bool v6 = strchr(b->host_ip, ':') != NULL;
    put_line(v6 ? "%s[%s]:%s" : "%s%s:%s", prefix, b->host_ip, b->host_port);
}

static int compare_ports(const void *a, const void *b)
{
    return natural_compare(*(const char *const *)a, *(const char *const *)b);
}

static int port_run(struct call *c, struct err *e)
{
    struct cli *cli = c->cli;
    struct container_inspect ci;
    const char *want = c->args.n > 1 ? c->args.v[1] : NULL;
    TRY(cli_json(cli, "GET", cli_path(cli, "/containers/%s/json", c->args.v[0]),
                 &container_inspect_json, &ci, e));
    if (want != NULL && strchr(want, '/') == NULL)
        want = arena_printf(cli->arena, "%s/tcp", want);
    if (ci.network->ports.n > 1) /* an entry begins with its key */
        qsort(ci.network->ports.v, ci.network->ports.n, sizeof(ci.network->ports.v[0]),
              compare_ports);
    bool found = false;
    vec_each(p, &ci.network->ports) {
        if (want != NULL && strcmp(p->key, want) != 0)
            continue;
        vec_each(b, &p->val) {
            print_binding(want != NULL ? "" : arena_printf(cli->arena, "%s -> ", p->key), b);
            found = true;
        }
    }
    if (want != NULL && !found)
        return err_set(e, ERR_NOT_FOUND, "no public port '%s' published for %s", c->args.v[1],
                       c->args.v[0]);
    return 0;
}

const struct command cmd_port = {
    .name = "port",
    .aliases = "container port",
    .usage = "CONTAINER [PRIVATE_PORT[/PROTO]]",
    .help = "List port mappings or a specific mapping for the container",
    .min_args = 1,
    .max_args = 2,
    .run = port_run,
};

static int top_run(struct call *c, struct err *e)
{
    struct cli *cli = c->cli;
    auto_buf struct buf args = BUF_MAX(65536), text = BUF_MAX(16u << 20), laid = BUF_MAX(16u << 20);
    struct container_top top;
    for (size_t i = 1; i < c->args.n; i++)
        buf_printf(&args, "%s%s", i > 1 ? " " : "", c->args.v[i]);
    const char *path = cli_path(cli, "/containers/%s/top", c->args.v[0]);
    TRY(cli_json(cli, "GET", cli_query(cli, path, "ps_args", args.n > 0 ? args.p : NULL),
                 &container_top_json, &top, e));
    for (size_t i = 0; i < top.titles.n; i++)
        buf_printf(&text, "%s%s", i > 0 ? "\t" : "", top.titles.v[i]);
    buf_addc(&text, '\n');
    struct json_object *rows = json_tokener_parse(top.processes != NULL ? top.processes : "[]");
    for (size_t r = 0; rows != NULL && r < json_object_array_length(rows); r++) {
        struct json_object *row = json_object_array_get_idx(rows, r);
        for (size_t i = 0; i < json_object_array_length(row); i++)
            buf_printf(&text, "%s%s", i > 0 ? "\t" : "",
                       json_object_get_string(json_object_array_get_idx(row, i)));
        buf_addc(&text, '\n');
    }
    json_object_put(rows);
    tab_layout(buf_cstr(&text), 20, &laid);
    put(buf_cstr(&laid));
    return 0;
}

const struct command cmd_top = {
    .name = "top",
    .aliases = "container top",
    .usage = "CONTAINER [ps OPTIONS]",
    .help = "Display the running processes of a container",
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .run = top_run,
};
