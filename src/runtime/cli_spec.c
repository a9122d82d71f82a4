/*
 * `spec` and `features`: the documents that hull-runc prints, and the table of all commands. The
 * default config is built from the same tables that read it, so it cannot get out of step.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/cli.h"
#include "runtime/devices.h"
#include "runtime/mempolicy.h"
#include "runtime/seccomp.h"
#include "sys/caps.h"
#include "sys/cgroup.h"
#include "sys/fd.h"
#include "sys/mounts.h"

#define FLAGS(name) name, ARRAY_LEN(name)

static const struct cli_flag create_flags[] = {
    {"bundle", "b", CLI_TEXT},          {"config", "f", CLI_TEXT},
    {"console-socket", NULL, CLI_TEXT}, {"pidfd-socket", NULL, CLI_TEXT},
    {"pid-file", NULL, CLI_TEXT},       {"no-pivot", NULL, CLI_BOOL},
    {"no-new-keyring", NULL, CLI_BOOL}, {"preserve-fds", NULL, CLI_TEXT},
    {"detach", "d", CLI_BOOL},          {"keep", NULL, CLI_BOOL},
    {"no-subreaper", NULL, CLI_BOOL},
};
static const struct cli_flag exec_flags[] = {
    {"console-socket", NULL, CLI_TEXT},
    {"pidfd-socket", NULL, CLI_TEXT},
    {"cwd", NULL, CLI_TEXT},
    {"env", "e", CLI_LIST},
    {"tty", "t", CLI_BOOL},
    {"user", "u", CLI_TEXT},
    {"additional-gids", "g", CLI_LIST},
    {"process", "p", CLI_TEXT},
    {"detach", "d", CLI_BOOL},
    {"pid-file", NULL, CLI_TEXT},
    {"process-label", NULL, CLI_TEXT},
    {"apparmor", NULL, CLI_TEXT},
    {"no-new-privs", NULL, CLI_BOOL},
    {"cap", "c", CLI_LIST},
    {"preserve-fds", NULL, CLI_TEXT},
    {"cgroup", NULL, CLI_LIST},
    {"ignore-paused", NULL, CLI_BOOL},
    {"no-subreaper", NULL, CLI_BOOL},
};
static const struct cli_flag kill_flags[] = {{"all", "a", CLI_BOOL}};
static const struct cli_flag delete_flags[] = {{"force", "f", CLI_BOOL}};
static const struct cli_flag list_flags[] = {{"format", "f", CLI_TEXT}, {"quiet", "q", CLI_BOOL}};
static const struct cli_flag ps_flags[] = {{"format", "f", CLI_TEXT}};
static const struct cli_flag spec_flags[] = {{"bundle", "b", CLI_TEXT},
                                             {"rootless", NULL, CLI_BOOL}};
static const struct cli_flag events_flags[] = {{"interval", NULL, CLI_TEXT},
                                               {"stats", NULL, CLI_BOOL}};
static const struct cli_flag update_flags[] = {
    {"resources", "r", CLI_TEXT},        {"blkio-weight", NULL, CLI_TEXT},
    {"cpu-period", NULL, CLI_TEXT},      {"cpu-quota", NULL, CLI_TEXT},
    {"cpu-burst", NULL, CLI_TEXT},       {"cpu-share", NULL, CLI_TEXT},
    {"cpu-shares", NULL, CLI_TEXT},      {"cpu-rt-period", NULL, CLI_TEXT},
    {"cpu-rt-runtime", NULL, CLI_TEXT},  {"cpuset-cpus", NULL, CLI_TEXT},
    {"cpuset-mems", NULL, CLI_TEXT},     {"cpu-idle", NULL, CLI_TEXT},
    {"memory", NULL, CLI_TEXT},          {"memory-reservation", NULL, CLI_TEXT},
    {"memory-swap", NULL, CLI_TEXT},     {"pids-limit", NULL, CLI_TEXT},
    {"kernel-memory", NULL, CLI_TEXT},   {"kernel-memory-tcp", NULL, CLI_TEXT},
    {"l3-cache-schema", NULL, CLI_TEXT}, {"mem-bw-schema", NULL, CLI_TEXT},
};

const struct cli_command cli_commands[] = {
    {"checkpoint", "checkpoint a running container", FLAGS(kill_flags), 1, -1, true, false,
     cli_checkpoint},
    {"create", "create a container", FLAGS(create_flags), 1, 1, false, true, cli_create},
    {"delete", "delete any resources held by the container", FLAGS(delete_flags), 1, 1, false,
     false, cli_delete},
    {"events", "display container events", FLAGS(events_flags), 1, 1, false, false, cli_events},
    {"exec", "execute new process inside the container", FLAGS(exec_flags), 1, -1, true, true,
     cli_exec},
    {"features", "show the enabled features", NULL, 0, 0, 0, false, false, cli_features},
    {"kill", "send a signal to the container's init process", FLAGS(kill_flags), 1, 2, false, false,
     cli_kill},
    {"list", "list containers of this root", FLAGS(list_flags), 0, 0, false, false, cli_list_all},
    {"pause", "suspend all processes inside the container", NULL, 0, 1, 1, false, false, cli_pause},
    {"ps", "display the processes running inside a container", FLAGS(ps_flags), 1, -1, true, false,
     cli_ps},
    {"restore", "restore a container from a checkpoint", FLAGS(kill_flags), 1, -1, true, false,
     cli_checkpoint},
    {"resume", "resume all processes that have been paused", NULL, 0, 1, 1, false, false,
     cli_resume},
    {"run", "create and run a container", FLAGS(create_flags), 1, 1, false, true, cli_run},
    {"spec", "create a new specification file", FLAGS(spec_flags), 0, 0, false, false, cli_spec},
    {"start", "run the user's program in a created container", NULL, 0, 1, 1, false, false,
     cli_start},
    {"state", "output the state of a container", NULL, 0, 1, 1, false, false, cli_state},
    {"update", "update container resource constraints", FLAGS(update_flags), 1, 1, false, false,
     cli_update},
};
const size_t cli_n_commands = ARRAY_LEN(cli_commands);

/* ---- spec --------------------------------------------------------------------------------- */

#define CAPS "[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]"

/* %1$s network namespace, %2$s cgroup and user namespaces, %3$s mappings, %4$s devpts gid, %5$s
 * /sys */
static const char default_spec[] =
    "{\"ociVersion\":\"" OCI_RUNTIME_VERSION
    "\",\"process\":{\"terminal\":true,\"user\":{\"uid\":0,"
    "\"gid\":0},\"args\":[\"sh\"],\"env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/"
    "bin:"
    "/sbin:/bin\",\"TERM=xterm\"],\"cwd\":\"/\",\"capabilities\":{\"bounding\":" CAPS
    ",\"effective\":" CAPS ",\"permitted\":" CAPS "},\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\","
    "\"hard\":1024,\"soft\":1024}],\"noNewPrivileges\":true},\"root\":{\"path\":\"rootfs\","
    "\"readonly\":true},\"hostname\":\"runc\",\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\","
    "\"strictatime\",\"mode=755\",\"size=65536k\"]},"
    "{\"destination\":\"/dev/"
    "pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"nosuid\","
    "\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\"%4$s]},"
    "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"options\":[\"nosuid\","
    "\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]},"
    "{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\",\"options\":["
    "\"nosuid\",\"noexec\",\"nodev\"]},%5$s,"
    "{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\",\"options\":["
    "\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"ro\"]}],"
    "\"linux\":{%3$s\"namespaces\":[{\"type\":\"pid\"}%1$s,{\"type\":\"ipc\"},{\"type\":\"uts\"},"
    "{\"type\":\"mount\"}%2$s],\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/kcore\","
    "\"/proc/keys\",\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\","
    "\"/proc/sched_debug\",\"/sys/firmware\",\"/proc/scsi\"],\"readonlyPaths\":[\"/proc/bus\","
    "\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]%6$s}}";

static bool host_is_v2(struct cli *c)
{
    struct cgroup_host host;
    struct err ignored = {0};
    return cgroup_host_read(c->a, &host, &ignored) == 0 && host.mode == CGROUP_V2;
}

int cli_spec(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(1 << 16);
    CLEANUP(buf_done) struct buf pretty = BUF_MAX(1 << 16);
    bool rootless = cli_bool(v, "rootless");
    const char *bundle = cli_text(v, "bundle");
    const char *path = arena_printf(c->a, "%s/config.json", bundle != NULL ? bundle : ".");
    (void)args;
    (void)n;
    if (access(path, F_OK) == 0)
        return err_set(e, ERR_EXISTS, "File config.json exists. Remove it first");
    const char *maps =
        rootless ? arena_printf(c->a,
                                "\"uidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":1}],"
                                "\"gidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":1}],",
                                geteuid(), getegid())
                 : "";
    const char *more = arena_printf(c->a, "%s%s", rootless ? ",{\"type\":\"user\"}" : "",
                                    host_is_v2(c) ? ",{\"type\":\"cgroup\"}" : "");
    const char *sysfs =
        rootless ? "{\"destination\":\"/sys\",\"type\":\"none\",\"source\":\"/sys\",\"options\":["
                   "\"rbind\",\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}"
                 : "{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":["
                   "\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}";
    buf_printf(&text, default_spec, rootless ? "" : ",{\"type\":\"network\"}", more, maps,
               rootless ? "" : ",\"gid=5\"", sysfs,
               rootless ? ""
                        : ",\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]}");
    json_indent(text.p, text.n, "\t", &pretty);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int rc = fd < 0 ? -1 : fd_write_all(fd, pretty.p, pretty.n);
    return rc < 0 ? err_sys(e, "write %s", path) : 0;
}

/* ---- features ----------------------------------------------------------------------------- */

static void put_list(struct buf *b, const char *key, const char *const *words, size_t n)
{
    buf_printf(b, "\"%s\":[", key);
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s\"%s\"", i > 0 ? "," : "", words[i]);
    buf_adds(b, "]");
}
#define PUT_LIST(b, key, words) put_list(b, key, words, ARRAY_LEN(words))

static void put_seccomp(struct buf *b)
{
    static const struct {
        const char *key;
        enum seccomp_table table;
    } lists[] = {{"actions", SECCOMP_ACTIONS},
                 {"operators", SECCOMP_OPERATORS},
                 {"archs", SECCOMP_ARCHITECTURES},
                 {"knownFlags", SECCOMP_FLAGS},
                 {"supportedFlags", SECCOMP_FLAGS_SUPPORTED}};
    const char *words[32];
    buf_adds(b, "\"seccomp\":{\"enabled\":true");
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        buf_addc(b, ',');
        put_list(b, lists[i].key, words, seccomp_words(lists[i].table, words, ARRAY_LEN(words)));
    }
    buf_adds(b, "}");
}

static void put_memory_policy(struct buf *b)
{
    const char *words[16];
    buf_adds(b, ",\"memoryPolicy\":{");
    put_list(b, "modes", words, mempolicy_modes(words, ARRAY_LEN(words)));
    buf_addc(b, ',');
    put_list(b, "flags", words, mempolicy_flags(words, ARRAY_LEN(words)));
    buf_addc(b, '}');
}

int cli_features(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    static const char *const hooks[] = {"prestart",       "createRuntime", "createContainer",
                                        "startContainer", "poststart",     "poststop"};
    static const char *const spaces[] = {"cgroup", "ipc",  "mount", "network",
                                         "pid",    "time", "user",  "uts"};
    CLEANUP(buf_done) struct buf text = BUF_MAX(1 << 16);
    const char *words[96], *caps[64];
    size_t n_caps = 0, n_words = mount_option_words(words, ARRAY_LEN(words));
    (void)c, (void)v, (void)args, (void)n, (void)e;
    while (n_caps < ARRAY_LEN(caps) && caps_name((int)n_caps) != NULL)
        caps[n_caps] = caps_name((int)n_caps), n_caps++;
    buf_adds(&text, "{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"" OCI_RUNTIME_VERSION "\",");
    PUT_LIST(&text, "hooks", hooks);
    buf_addc(&text, ',');
    put_list(&text, "mountOptions", words, n_words);
    buf_adds(&text, ",\"linux\":{");
    PUT_LIST(&text, "namespaces", spaces);
    buf_addc(&text, ',');
    put_list(&text, "capabilities", caps, n_caps);
    buf_adds(&text, ",\"cgroup\":{\"v1\":true,\"v2\":true,\"systemd\":true,\"systemdUser\":true,"
                    "\"rdma\":true},");
    put_seccomp(&text);
    put_memory_policy(&text);
    buf_adds(&text, ",\"apparmor\":{\"enabled\":true},\"selinux\":{\"enabled\":true},\"intelRdt\":{"
                    "\"enabled\":false},\"mountExtensions\":{\"idmap\":{\"enabled\":true}}},"
                    "\"annotations\":{\"org.opencontainers.runc.checkpoint.enabled\":\"false\","
                    "\"org.opencontainers.runc.version\":\"" HULL_VERSION "\"}}");
    CLEANUP(buf_done) struct buf pretty = BUF_MAX(1 << 16);
    json_indent(text.p, text.n, "  ", &pretty);
    printf("%s\n", buf_cstr(&pretty));
    return 0;
}
