/* The flags of run and create, as a table. What docker has and hull lacks stands here too, so that
 * it is refused by name. */
#include "cli/container_opts.h"

#define OPT(name, letter, kind, member, help)                                          \
    {                                                                                  \
        name, letter, FLAG_##kind, offsetof(struct container_opts, member), NULL, help \
    }
#define MISSING(name)                        \
    {                                        \
        name, 0, FLAG_MISSING, 0, NULL, NULL \
    }

#define RUN_ONLY                                                                            \
    OPT("detach", 'd', BOOL, detach, "Run container in background and print container ID"), \
        OPT("detach-keys", 0, STR, detach_keys,                                             \
            "Override the key sequence for detaching a container"),                         \
        OPT("sig-proxy", 0, BOOL, sig_proxy,                                                \
            "Proxy received signals to the process (default true)")

#define BOTH                                                                                       \
    OPT("add-host", 0, LIST, add_hosts, "Add a custom host-to-IP mapping (host:ip)"),              \
        OPT("annotation", 0, LIST, annotations, "Add an annotation to the container"),             \
        OPT("attach", 'a', LIST, attach, "Attach to STDIN, STDOUT or STDERR"),                     \
        OPT("blkio-weight", 0, INT, blkio_weight,                                                  \
            "Block IO (relative weight), between 10 and 1000"),                                    \
        OPT("blkio-weight-device", 0, LIST, blkio_weight_device, "Block IO weight of a device"),   \
        OPT("cap-add", 0, LIST, cap_add, "Add Linux capabilities"),                                \
        OPT("cap-drop", 0, LIST, cap_drop, "Drop Linux capabilities"),                             \
        OPT("cgroup-parent", 0, STR, cgroup_parent, "Optional parent cgroup for the container"),   \
        OPT("cgroupns", 0, STR, cgroupns, "Cgroup namespace to use (host|private)"),               \
        OPT("cidfile", 0, STR, cidfile, "Write the container ID to the file"),                     \
        OPT("cpu-period", 0, INT, cpu_period, "Limit CPU CFS (Completely Fair Scheduler) period"), \
        OPT("cpu-quota", 0, INT, cpu_quota, "Limit CPU CFS (Completely Fair Scheduler) quota"),    \
        OPT("cpu-rt-period", 0, INT, cpu_rt_period, "Limit CPU real-time period in microseconds"), \
        OPT("cpu-rt-runtime", 0, INT, cpu_rt_runtime,                                              \
            "Limit CPU real-time runtime in microseconds"),                                        \
        OPT("cpu-shares", 'c', INT, cpu_shares, "CPU shares (relative weight)"),                   \
        OPT("cpus", 0, CPUS, cpus, "Number of CPUs"),                                              \
        OPT("cpuset-cpus", 0, STR, cpuset_cpus, "CPUs in which to allow execution (0-3, 0,1)"),    \
        OPT("cpuset-mems", 0, STR, cpuset_mems, "MEMs in which to allow execution (0-3, 0,1)"),    \
        OPT("device", 0, LIST, device, "Add a host device to the container"),                      \
        OPT("device-cgroup-rule", 0, LIST, device_cgroup_rule,                                     \
            "Add a rule to the cgroup allowed devices list"),                                      \
        OPT("device-read-bps", 0, LIST, read_bps,                                                  \
            "Limit read rate (bytes per second) from a device"),                                   \
        OPT("device-read-iops", 0, LIST, read_iops,                                                \
            "Limit read rate (IO per second) from a device"),                                      \
        OPT("device-write-bps", 0, LIST, write_bps,                                                \
            "Limit write rate (bytes per second) to a device"),                                    \
        OPT("device-write-iops", 0, LIST, write_iops,                                              \
            "Limit write rate (IO per second) to a device"),                                       \
        OPT("dns", 0, LIST, dns, "Set custom DNS servers"),                                        \
        OPT("dns-opt", 0, LIST, dns_option, NULL),                                                 \
        OPT("dns-option", 0, LIST, dns_option, "Set DNS options"),                                 \
        OPT("dns-search", 0, LIST, dns_search, "Set custom DNS search domains"),                   \
        OPT("domainname", 0, STR, domainname, "Container NIS domain name"),                        \
        OPT("entrypoint", 0, STR, entrypoint, "Overwrite the default ENTRYPOINT of the image"),    \
        OPT("env", 'e', LIST, env, "Set environment variables"),                                   \
        OPT("env-file", 0, LIST, env_file, "Read in a file of environment variables"),             \
        OPT("expose", 0, LIST, expose, "Expose a port or a range of ports"),                       \
        OPT("group-add", 0, LIST, group_add, "Add additional groups to join"),                     \
        OPT("health-cmd", 0, STR, health_cmd, "Command to run to check health"),                   \
        OPT("health-interval", 0, DUR, health_interval, "Time between running the check"),         \
        OPT("health-retries", 0, INT, health_retries,                                              \
            "Consecutive failures needed to report unhealthy"),                                    \
        OPT("health-start-interval", 0, DUR, health_start_interval,                                \
            "Time between running the check during the start period"),                             \
        OPT("health-start-period", 0, DUR, health_start_period,                                    \
            "Start period for the container to initialize"),                                       \
        OPT("health-timeout", 0, DUR, health_timeout, "Maximum time to allow one check to run"),   \
        OPT("hostname", 'h', STR, hostname, "Container host name"),                                \
        OPT("init", 0, BOOL, init,                                                                 \
            "Run an init inside the container that forwards signals and reaps processes"),         \
        OPT("interactive", 'i', BOOL, interactive, "Keep STDIN open even if not attached"),        \
        OPT("ip", 0, STR, ip, "IPv4 address (e.g., 172.30.100.104)"),                              \
        OPT("ip6", 0, STR, ip6, "IPv6 address (e.g., 2001:db8::33)"),                              \
        OPT("ipc", 0, STR, ipc, "IPC mode to use"),                                                \
        OPT("isolation", 0, STR, isolation, "Container isolation technology"),                     \
        OPT("label", 'l', LIST, label, "Set meta data on a container"),                            \
        OPT("label-file", 0, LIST, label_file, "Read in a line delimited file of labels"),         \
        OPT("link", 0, LIST, link, "Add link to another container"),                               \
        OPT("log-driver", 0, STR, log_driver, "Logging driver for the container"),                 \
        OPT("log-opt", 0, LIST, log_opt, "Log driver options"),                                    \
        OPT("mac-address", 0, STR, mac_address, "Container MAC address"),                          \
        OPT("memory", 'm', BYTES, memory, "Memory limit"),                                         \
        OPT("memory-reservation", 0, BYTES, memory_reservation, "Memory soft limit"),              \
        OPT("memory-swap", 0, BYTES, memory_swap,                                                  \
            "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),                \
        OPT("memory-swappiness", 0, OPT_INT, memory_swappiness,                                    \
            "Tune container memory swappiness (0 to 100)"),                                        \
        OPT("mount", 0, LIST, mount, "Attach a filesystem mount to the container"),                \
        OPT("name", 0, STR, name, "Assign a name to the container"),                               \
        OPT("net", 0, LIST, network, NULL), OPT("net-alias", 0, LIST, network_alias, NULL),        \
        OPT("network", 0, LIST, network, "Connect a container to a network"),                      \
        OPT("network-alias", 0, LIST, network_alias,                                               \
            "Add network-scoped alias for the container"),                                         \
        OPT("no-healthcheck", 0, BOOL, no_healthcheck,                                             \
            "Disable any container-specified HEALTHCHECK"),                                        \
        OPT("oom-kill-disable", 0, BOOL, oom_kill_disable, "Disable OOM Killer"),                  \
        OPT("oom-score-adj", 0, INT, oom_score_adj,                                                \
            "Tune host's OOM preferences (-1000 to 1000)"),                                        \
        OPT("pid", 0, STR, pid, "PID namespace to use"),                                           \
        OPT("pids-limit", 0, OPT_INT, pids_limit,                                                  \
            "Tune container pids limit (set -1 for unlimited)"),                                   \
        OPT("platform", 0, STR, platform, "Set platform if server is multi-platform capable"),     \
        OPT("privileged", 0, BOOL, privileged, "Give extended privileges to this container"),      \
        OPT("publish", 'p', LIST, publish, "Publish a container's port(s) to the host"),           \
        OPT("publish-all", 'P', BOOL, publish_all, "Publish all exposed ports to random ports"),   \
        OPT("pull", 0, STR, pull,                                                                  \
            "Pull image before running (\"always\", \"missing\", \"never\")"),                     \
        OPT("quiet", 'q', BOOL, quiet, "Suppress the pull output"),                                \
        OPT("read-only", 0, BOOL, read_only,                                                       \
            "Mount the container's root filesystem as read only"),                                 \
        OPT("restart", 0, STR, restart, "Restart policy to apply when a container exits"),         \
        OPT("rm", 0, BOOL, rm,                                                                     \
            "Automatically remove the container and its associated anonymous volumes when it "     \
            "exits"),                                                                              \
        OPT("runtime", 0, STR, runtime, "Runtime to use for this container"),                      \
        OPT("security-opt", 0, LIST, security_opt, "Security Options"),                            \
        OPT("shm-size", 0, BYTES, shm_size, "Size of /dev/shm"),                                   \
        OPT("stop-signal", 0, STR, stop_signal, "Signal to stop the container"),                   \
        OPT("stop-timeout", 0, OPT_INT, stop_timeout, "Timeout (in seconds) to stop a container"), \
        OPT("storage-opt", 0, LIST, storage_opt, "Storage driver options for the container"),      \
        OPT("sysctl", 0, LIST, sysctl, "Sysctl options"),                                          \
        OPT("tmpfs", 0, LIST, tmpfs, "Mount a tmpfs directory"),                                   \
        OPT("tty", 't', BOOL, tty, "Allocate a pseudo-TTY"),                                       \
        OPT("ulimit", 0, LIST, ulimit, "Ulimit options"),                                          \
        OPT("user", 'u', STR, user, "Username or UID (format: <name|uid>[:<group|gid>])"),         \
        OPT("userns", 0, STR, userns, "User namespace to use"),                                    \
        OPT("uts", 0, STR, uts, "UTS namespace to use"),                                           \
        OPT("volume", 'v', LIST, volume, "Bind mount a volume"),                                   \
        OPT("volume-driver", 0, STR, volume_driver, "Optional volume driver for the container"),   \
        OPT("volumes-from", 0, LIST, volumes_from,                                                 \
            "Mount volumes from the specified container(s)"),                                      \
        OPT("workdir", 'w', STR, workdir, "Working directory inside the container"),               \
        MISSING("cpu-count"), MISSING("cpu-percent"), MISSING("gpus"), MISSING("io-maxbandwidth"), \
        MISSING("io-maxiops"), MISSING("kernel-memory"), MISSING("link-local-ip"),                 \
        MISSING("use-api-socket"), MISSING("disable-content-trust")

static const struct flag run_table[] = {RUN_ONLY, BOTH};
static const struct flag create_table[] = {BOTH};

const struct flag_set run_flags = FLAGS(run_table);
const struct flag_set create_flags = FLAGS(create_table);
