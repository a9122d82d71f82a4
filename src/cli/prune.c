/* hull container, image, network, volume prune: one table row a kind of object. */
#include <stdio.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/human.h"
#include "cli/table.h"
#include "types/container.h"
#include "types/endpoint.h"
#include "types/image.h"
#include "types/volume.h"

struct prune_opts {
    bool all, force;
    struct strv filter;
};

/* What the daemon's answers have in common. */
struct pruned {
    struct strv lines;
    uint64_t bytes;
};

struct kind {
    const char *path, *title;
    const char *warning, *warning_all;  /* what will go; NULL: -a makes no difference */
    const char *all_filter, *all_value; /* what -a adds to the filters */
    bool no_bytes;
    int (*read)(struct cli *cli, const char *path, struct pruned *out, struct err *e);
};

#define READ_NAMES(kind, doc_type, bytes_expr)                                                   \
    static int kind##_read(struct cli *cli, const char *path, struct pruned *out, struct err *e) \
    {                                                                                            \
        struct doc_type doc = {0};                                                               \
        TRY(cli_json(cli, "POST", path, &doc_type##_json, &doc, e));                             \
        *out = (struct pruned){.lines = doc.deleted, .bytes = (uint64_t)(bytes_expr)};           \
        return 0;                                                                                \
    }
READ_NAMES(container, containers_pruned, doc.space_reclaimed)
READ_NAMES(network, networks_pruned, 0)
READ_NAMES(volume, volumes_pruned, doc.space_reclaimed)

static int image_read(struct cli *cli, const char *path, struct pruned *out, struct err *e)
{
    struct images_pruned doc = {0};
    TRY(cli_json(cli, "POST", path, &images_pruned_json, &doc, e));
    vec_each(d, &doc.deleted) {
        bool untagged = d->untagged != NULL && *d->untagged != '\0';
        vec_push_in(cli->arena, &out->lines,
                    arena_printf(cli->arena, "%s: %s", untagged ? "untagged" : "deleted",
                                 untagged ? d->untagged : d->deleted));
    }
    out->bytes = doc.space_reclaimed;
    return 0;
}

static const struct kind containers = {
    .path = "/containers/prune",
    .title = "Deleted Containers:",
    .warning = "WARNING! This will remove all stopped containers.",
    .read = container_read,
};
static const struct kind images = {
    .path = "/images/prune",
    .title = "Deleted Images:",
    .warning = "WARNING! This will remove all dangling images.",
    .warning_all = "WARNING! This will remove all images without at least one container associated "
                   "to them.",
    .all_filter = "dangling",
    .all_value = "false",
    .read = image_read,
};
static const struct kind networks = {
    .path = "/networks/prune",
    .title = "Deleted Networks:",
    .warning = "WARNING! This will remove all custom networks not used by at least one container.",
    .no_bytes = true,
    .read = network_read,
};
static const struct kind volumes = {
    .path = "/volumes/prune",
    .title = "Deleted Volumes:",
    .warning =
        "WARNING! This will remove anonymous local volumes not used by at least one container.",
    .warning_all =
        "WARNING! This will remove all local volumes not used by at least one container.",
    .all_filter = "all",
    .all_value = "1",
    .read = volume_read,
};

/* Only y and Y are yes; the end of input is no. */
static bool confirmed(const char *warning)
{
    char answer[8];
    put(warning);
    put("\nAre you sure you want to continue? [y/N] ");
    (void)fflush(stdout);
    if (fgets(answer, sizeof(answer), stdin) == NULL)
        return false;
    answer[strcspn(answer, "\r\n")] = '\0';
    return str_ieq(str_trim(str_of(answer)), "y");
}

static int prune(struct call *c, const struct kind *k, struct err *e)
{
    struct prune_opts *o = c->opts;
    struct cli *cli = c->cli;
    struct pruned done = {0};
    const char *filters;
    bool all = o->all && k->all_filter != NULL;
    if (!o->force && !confirmed(all ? k->warning_all : k->warning))
        return 0;
    if (k == &images) /* the daemon's own default, said aloud */
        vec_push_in(cli->arena, &o->filter,
                    arena_printf(cli->arena, "dangling=%s", all ? "false" : "true"));
    else if (all)
        vec_push_in(cli->arena, &o->filter,
                    arena_printf(cli->arena, "%s=%s", k->all_filter, k->all_value));
    TRY(cli_filters(cli, &o->filter, &filters, e));
    TRY(k->read(cli, cli_query(cli, k->path, "filters", filters), &done, e));
    if (done.lines.n > 0) {
        put_line("%s", k->title);
        vec_each(l, &done.lines)
            put_line("%s", *l);
        put_line("%s", "");
    }
    if (!k->no_bytes)
        put_line("Total reclaimed space: %s", human_size(cli->arena, (double)done.bytes, 4));
    return 0;
}

static int container_prune_run(struct call *c, struct err *e)
{
    return prune(c, &containers, e);
}
static int image_prune_run(struct call *c, struct err *e)
{
    return prune(c, &images, e);
}
static int network_prune_run(struct call *c, struct err *e)
{
    return prune(c, &networks, e);
}
static int volume_prune_run(struct call *c, struct err *e)
{
    return prune(c, &volumes, e);
}

#define OPT(name, letter, kind, member, help)                                      \
    {                                                                              \
        name, letter, FLAG_##kind, offsetof(struct prune_opts, member), NULL, help \
    }
#define FILTER_AND_FORCE                                                                  \
    OPT("filter", 0, LIST, filter, "Provide filter values (e.g. \"until=<timestamp>\")"), \
        OPT("force", 'f', BOOL, force, "Do not prompt for confirmation")
static const struct flag plain_table[] = {FILTER_AND_FORCE};
static const struct flag image_table[] = {
    FILTER_AND_FORCE,
    OPT("all", 'a', BOOL, all, "Remove all unused images, not just dangling ones")};
static const struct flag volume_table[] = {
    FILTER_AND_FORCE,
    OPT("all", 'a', BOOL, all, "Remove all unused volumes, not just anonymous ones")};
static const struct flag_set plain_set = FLAGS(plain_table), image_set = FLAGS(image_table),
                             volume_set = FLAGS(volume_table);

#define PRUNE(ident, flag_set, text)             \
    const struct command cmd_##ident##_prune = { \
        .name = #ident " prune",                 \
        .usage = "[OPTIONS]",                    \
        .help = text,                            \
        .opts_size = sizeof(struct prune_opts),  \
        .flags = &(flag_set),                    \
        .run = ident##_prune_run,                \
    }
PRUNE(container, plain_set, "Remove all stopped containers");
PRUNE(image, image_set, "Remove unused images");
PRUNE(network, plain_set, "Remove all unused networks");
PRUNE(volume, volume_set, "Remove unused local volumes");
