/** The flags that run and create share, and the create request they make. */
#ifndef HULL_CLI_CONTAINER_OPTS_H
#define HULL_CLI_CONTAINER_OPTS_H

#include "cli/command.h"
#include "types/container.h"

struct container_opts {
    struct strv add_hosts, annotations, attach, blkio_weight_device, cap_add, cap_drop, device,
        device_cgroup_rule, read_bps, read_iops, write_bps, write_iops, dns, dns_option, dns_search,
        env, env_file, expose, group_add, label, label_file, link, log_opt, mount, network,
        network_alias, publish, security_opt, storage_opt, sysctl, tmpfs, ulimit, volume,
        volumes_from;
    const char *cgroup_parent, *cgroupns, *cidfile, *cpuset_cpus, *cpuset_mems, *detach_keys,
        *domainname, *entrypoint, *health_cmd, *hostname, *ip, *ip6, *ipc, *isolation, *log_driver,
        *mac_address, *name, *pid, *platform, *pull, *restart, *runtime, *stop_signal, *user,
        *userns, *uts, *volume_driver, *workdir;
    int64_t blkio_weight, cpu_period, cpu_quota, cpu_rt_period, cpu_rt_runtime, cpu_shares, cpus,
        health_interval, health_start_interval, health_start_period, health_timeout, health_retries,
        memory, memory_reservation, memory_swap, oom_score_adj, shm_size;
    int64_t *memory_swappiness, *pids_limit, *stop_timeout;
    bool detach, init, interactive, no_healthcheck, oom_kill_disable, privileged, publish_all,
        quiet, read_only, rm, sig_proxy, tty;
};

extern const struct flag_set run_flags, create_flags;

/**
 * Turn flags and arguments (image, then command) into a create request. All memory from the
 * client's arena.
 *
 * Errors: INVALID in docker's words.
 */
int container_opts_build(struct call *c, const struct container_opts *o,
                         struct container_create *out, struct err *e);

/** Read -e, --env-file style lists; used by exec too. */
int env_read(struct cli *cli, const struct strv *files, const struct strv *vars, struct strv *out,
             struct err *e);

/** Parse one -p value into exposed ports and bindings of cfg. */
int port_spec_add(struct cli *cli, const char *spec, struct container_create *cfg, struct err *e);

/** Parse one --mount value. */
int mount_spec_parse(struct cli *cli, const char *text, struct mount_spec *out, struct err *e);

/**
 * Create the container, pulling the image first when it is missing (as --pull says); warnings are
 * printed.
 *
 * out_id  in the client's arena.
 */
int container_create_or_pull(struct call *c, const struct container_opts *o,
                             const struct container_create *doc, const char **out_id,
                             struct err *e);

/** Pull an image and show the progress on to. quiet: nothing is shown. */
int image_pull_show(struct cli *cli, const char *image, const char *platform, FILE *to, bool quiet,
                    struct err *e);

/** The same by its parts; tag NULL: all tags of the repository. */
int image_fetch(struct cli *cli, const char *name, const char *tag, const char *platform, FILE *to,
                bool quiet, struct err *e);

/** What is before the tag or digest, and that (or the default tag) in *out_tag. */
const char *reference_split(struct cli *cli, const char *image, const char **out_tag);

/** The reference with its default tag when it has neither tag nor digest. *out_added: true then. */
const char *reference_with_tag(struct cli *cli, const char *image, bool *out_added);

#endif
