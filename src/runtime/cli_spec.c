/* `spec` and `features`: the documents that hull-runc prints. See cli.h. */
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

/* ---- spec --------------------------------------------------------------------------------- */

#define CAPS "[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]"

/* %1$s network namespace, %2$s cgroup and user namespaces, %3$s mappings, %4$s devpts gid, %5$s
 * /sys */
static const char default_spec[] =
    "{\"ociVersion\":\"" HULLRUN_VERSION_SPEC
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
    "\"linux\":{%3$s%6$s\"namespaces\":[{\"type\":\"pid\"}%1$s,{\"type\":\"ipc\"},{\"type\":"
    "\"uts\"},"
    "{\"type\":\"mount\"}%2$s],\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/kcore\","
    "\"/proc/keys\",\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\","
    "\"/proc/sched_debug\",\"/sys/firmware\",\"/proc/scsi\"],\"readonlyPaths\":[\"/proc/bus\","
    "\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]}}";

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
                        : "\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]},");
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
    buf_adds(&text, "{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"" HULLRUN_VERSION_SPEC "\",");
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
                    "\"enabled\":true,\"schemata\":true,\"monitoring\":true},\"mountExtensions\":{"
                    "\"idmap\":{\"enabled\":true}},"
                    "\"netDevices\":{\"enabled\":true}},"
                    "\"annotations\":{\"org.opencontainers.runc.checkpoint.enabled\":\"true\","
                    "\"org.opencontainers.runc.version\":\"" HULL_VERSION "\"}}");
    CLEANUP(buf_done) struct buf pretty = BUF_MAX(1 << 16);
    json_indent(text.p, text.n, "    ", &pretty);
    printf("%s\n", buf_cstr(&pretty));
    return 0;
}
