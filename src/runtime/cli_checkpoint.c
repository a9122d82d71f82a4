/* checkpoint, and the flags that restore has in common with it. See cli.h. */
#include <errno.h>
#include <unistd.h>

#include "base/str.h"
#include "runtime/cli.h"
#include "runtime/rootless.h"

/* "ADDRESS:PORT"; an address with colons stands in brackets. */
static int read_page_server(struct cli *c, const char *text, struct hullrun_criu_opts *out,
                            struct err *e)
{
    struct str address = str_of(text), port = str_cut_last(&address, ':');
    uint64_t number = 0;
    bool bracketed = str_starts(address, "[") && str_ends(address, "]");
    if (bracketed)
        address = (struct str){address.p + 1, address.n - 2};
    if (port.n == strlen(text) || port.n == 0 || address.n == 0 ||
        (!bracketed && str_index(address, ':') >= 0))
        return err_set(e, ERR_INVALID, "Use --page-server ADDRESS:PORT to specify page server");
    if (!str_to_u64(port, 0, UINT16_MAX, &number))
        return err_set(e, ERR_INVALID, "Invalid port number");
    out->page_server = arena_strndup(c->a, address.p, address.n);
    out->page_server_port = (int)number;
    return 0;
}

int cli_criu_opts(struct cli *c, const struct cli_values *v, struct hullrun_criu_opts *out,
                  struct err *e)
{
    const char *images = cli_path(v, "image-path"), *server = cli_path(v, "page-server"),
               *status = cli_path(v, "status-fd");
    const struct strv *empty = cli_list(v, "empty-ns");
    int64_t status_fd = -1;
    if (geteuid() != 0 || rootless_in_userns())
        cli_log(c, "warning", "checkpoint and restore are untested with rootless containers");
    for (size_t i = 0; i < empty->n; i++)
        if (strcmp(empty->v[i], "network") != 0)
            return err_set(e, ERR_INVALID, "namespace \"%s\" is not supported", empty->v[i]);
    if (status != NULL)
        (void)str_to_i64(str_of(status), -1, INT32_MAX, &status_fd); /* a number, as parsed */
    *out = (struct hullrun_criu_opts){
        .image_path = images != NULL ? images : cli_absolute(c, "checkpoint"),
        .work_path = cli_path(v, "work-path"),
        .parent_path = cli_path(v, "parent-path"),
        .manage_cgroups = cli_text(v, "manage-cgroups-mode"),
        .lsm_profile = cli_path(v, "lsm-profile"),
        .lsm_mount_context = cli_path(v, "lsm-mount-context"),
        .status_fd = (int)status_fd,
        .leave_running = cli_bool(v, "leave-running"),
        .pre_dump = cli_bool(v, "pre-dump"),
        .lazy_pages = cli_bool(v, "lazy-pages"),
        .tcp_established = cli_bool(v, "tcp-established"),
        .tcp_skip_in_flight = cli_bool(v, "tcp-skip-in-flight"),
        .link_remap = cli_bool(v, "link-remap"),
        .ext_unix_sk = cli_bool(v, "ext-unix-sk"),
        .shell_job = cli_bool(v, "shell-job"),
        .file_locks = cli_bool(v, "file-locks"),
        .auto_dedup = cli_bool(v, "auto-dedup"),
    };
    return server != NULL ? read_page_server(c, server, out, e) : 0;
}

int cli_checkpoint(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    struct hullrun_criu_opts o;
    struct hullrun_log log = cli_oplog(c);
    struct err late = {0};
    (void)n;
    TRY(cli_criu_opts(c, v, &o, e));
    TRY(hullrun_checkpoint(c->root, args[0], &o, &log, e));
    /* killed by criu, but it may not have ended yet */
    if (!o.leave_running && !o.pre_dump && hullrun_delete(c->root, args[0], true, &late) < 0)
        cli_log(c, "warning", late.msg);
    return 0;
}
