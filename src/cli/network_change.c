/* hull network create, connect, disconnect. */
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/table.h"
#include "types/endpoint.h"

struct change_opts {
    bool attachable, internal, ipv6, force;
    const char *driver, *ip, *ip6, *scope;
    struct strv subnet, gateway, ip_range, label, opt, alias, link, driver_opt;
};

/* --subnet, --gateway and --ip-range belong together by their order, as docker pairs them. */
static struct network_ipam *ipam_of(struct cli *cli, const struct change_opts *o)
{
    if (o->subnet.n == 0)
        return NULL;
    struct network_ipam *ipam = ARENA_NEW(cli->arena, struct network_ipam);
    ipam->driver = "default";
    for (size_t i = 0; i < o->subnet.n; i++) {
        struct ipam_pool pool = {.subnet = o->subnet.v[i],
                                 .gateway = i < o->gateway.n ? o->gateway.v[i] : NULL,
                                 .ip_range = i < o->ip_range.n ? o->ip_range.v[i] : NULL};
        vec_push_in(cli->arena, &ipam->config, pool);
    }
    return ipam;
}

static int create_run(struct call *c, struct err *e)
{
    const struct change_opts *o = c->opts;
    struct network_create doc = {.name = c->args.v[0],
                                 .driver = o->driver != NULL ? o->driver : "bridge",
                                 .scope = o->scope,
                                 .ipam = ipam_of(c->cli, o),
                                 .internal = o->internal,
                                 .attachable = o->attachable};
    struct network_created made;
    if (o->subnet.n == 0 && (o->gateway.n > 0 || o->ip_range.n > 0))
        return err_set(e, ERR_INVALID,
                       "every ip-range or gateway must have a corresponding subnet");
    if (o->ipv6) {
        doc.enable_ipv6 = ARENA_NEW(c->cli->arena, bool);
        *doc.enable_ipv6 = true;
    }
    cli_words_map(c->cli, &doc.options, &o->opt);
    cli_words_map(c->cli, &doc.labels, &o->label);
    TRY(cli_send_json(c->cli, "POST", "/networks/create", &network_create_json, &doc,
                      &network_created_json, &made, e));
    if (made.warning != NULL && *made.warning != '\0')
        warn_line("WARNING: %s", made.warning);
    put_line("%s", made.id);
    return 0;
}

static int connect_run(struct call *c, struct err *e)
{
    const struct change_opts *o = c->opts;
    struct endpoint_ipam ipam = {.ipv4_address = o->ip, .ipv6_address = o->ip6};
    struct endpoint_settings ep = {.aliases = o->alias, .links = o->link};
    struct network_connect doc = {.container = c->args.v[1], .endpoint = &ep};
    if (o->ip != NULL || o->ip6 != NULL)
        ep.ipam = &ipam;
    cli_words_map(c->cli, &ep.driver_opts, &o->driver_opt);
    return cli_send_json(c->cli, "POST", cli_path(c->cli, "/networks/%s/connect", c->args.v[0]),
                         &network_connect_json, &doc, NULL, NULL, e);
}

static int disconnect_run(struct call *c, struct err *e)
{
    const struct change_opts *o = c->opts;
    struct network_disconnect doc = {.container = c->args.v[1], .force = o->force};
    return cli_send_json(c->cli, "POST", cli_path(c->cli, "/networks/%s/disconnect", c->args.v[0]),
                         &network_disconnect_json, &doc, NULL, NULL, e);
}

#define OPT(name, letter, kind, member, help)                                       \
    {                                                                               \
        name, letter, FLAG_##kind, offsetof(struct change_opts, member), NULL, help \
    }
#define MISSING(name)                        \
    {                                        \
        name, 0, FLAG_MISSING, 0, NULL, NULL \
    }
static const struct flag create_table[] = {
    OPT("attachable", 0, BOOL, attachable, "Enable manual container attachment"),
    OPT("driver", 'd', STR, driver, "Driver to manage the Network (default \"bridge\")"),
    OPT("gateway", 0, LIST, gateway, "IPv4 or IPv6 Gateway for the master subnet"),
    OPT("internal", 0, BOOL, internal, "Restrict external access to the network"),
    OPT("ip-range", 0, LIST, ip_range, "Allocate container ip from a sub-range"),
    OPT("ipv6", 0, BOOL, ipv6, "Enable IPv6 address assignment"),
    OPT("label", 0, LIST, label, "Set metadata on a network"),
    OPT("opt", 'o', LIST, opt, "Set driver specific options"),
    OPT("scope", 0, STR, scope, "Control the network's scope"),
    OPT("subnet", 0, LIST, subnet, "Subnet in CIDR format that represents a network segment"),
    MISSING("aux-address"),
    MISSING("config-from"),
    MISSING("config-only"),
    MISSING("ingress"),
    MISSING("ipam-driver"),
    MISSING("ipam-opt"),
    MISSING("ipv4"),
};
static const struct flag connect_table[] = {
    OPT("alias", 0, LIST, alias, "Add network-scoped alias for the container"),
    OPT("driver-opt", 0, LIST, driver_opt, "driver options for the network"),
    OPT("ip", 0, STR, ip, "IPv4 address (e.g., \"172.30.100.104\")"),
    OPT("ip6", 0, STR, ip6, "IPv6 address (e.g., \"2001:db8::33\")"),
    OPT("link", 0, LIST, link, "Add link to another container"),
    MISSING("gw-priority"),
    MISSING("link-local-ip"),
};
static const struct flag disconnect_table[] = {
    OPT("force", 'f', BOOL, force, "Force the container to disconnect from a network"),
};
static const struct flag_set create_set = FLAGS(create_table), connect_set = FLAGS(connect_table),
                             disconnect_set = FLAGS(disconnect_table);

const struct command cmd_network_create = {
    .name = "network create",
    .usage = "[OPTIONS] NETWORK",
    .help = "Create a network",
    .min_args = 1,
    .max_args = 1,
    .opts_size = sizeof(struct change_opts),
    .flags = &create_set,
    .run = create_run,
};
const struct command cmd_network_connect = {
    .name = "network connect",
    .usage = "[OPTIONS] NETWORK CONTAINER",
    .help = "Connect a container to a network",
    .min_args = 2,
    .max_args = 2,
    .opts_size = sizeof(struct change_opts),
    .flags = &connect_set,
    .run = connect_run,
};
const struct command cmd_network_disconnect = {
    .name = "network disconnect",
    .usage = "[OPTIONS] NETWORK CONTAINER",
    .help = "Disconnect a container from a network",
    .min_args = 2,
    .max_args = 2,
    .opts_size = sizeof(struct change_opts),
    .flags = &disconnect_set,
    .run = disconnect_run,
};
