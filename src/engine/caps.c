/* Capabilities by number, and Docker's default set. */
#include "engine/caps.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/prctl.h>

#include "base/str.h"

static const char *const names[] = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};

static const char *const defaults[] = {
    "CHOWN",  "DAC_OVERRIDE", "FSETID",  "FOWNER",           "MKNOD",      "NET_RAW", "SETGID",
    "SETUID", "SETFCAP",      "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL",    "AUDIT_WRITE",
};

/* The number of a capability as users write it; -1 when there is none. */
static int cap_number(const char *s)
{
    if (strncasecmp(s, "CAP_", 4) == 0)
        s += 4;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcasecmp(names[i], s) == 0)
            return (int)i;
    return -1;
}

/* What this process could give: the bounding set, which a container of ours cannot exceed. */
static uint64_t available(void)
{
    uint64_t set = 0;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
            set |= 1ULL << i;
    return set;
}

static int unknown(const char *name, const char *what, struct err *e)
{
    char upper[64];

    snprintf(upper, sizeof(upper), "%s%s", strncasecmp(name, "CAP_", 4) == 0 ? "" : "CAP_", name);
    for (char *p = upper; *p != '\0'; p++)
        *p = (char)toupper((unsigned char)*p);
    return err_set(e, ERR_INVALID, "invalid %s: unknown capability: \"%s\"", what, upper);
}

static int read_list(const struct strv *list, const char *what, uint64_t *out, bool *out_all,
                     struct err *e)
{
    *out = 0;
    *out_all = false;
    vec_each(s, list) {
        int n = cap_number(*s);

        if (strcasecmp(*s, "ALL") == 0)
            *out_all = true;
        else if (n >= 0)
            *out |= 1ULL << n;
        else
            return unknown(*s, what, e);
    }
    return 0;
}

int caps_resolve(const struct strv *add, const struct strv *drop, bool privileged, struct arena *a,
                 struct strv *out, struct err *e)
{
    uint64_t set = 0, added, dropped;
    bool all_added, all_dropped;

    TRY(read_list(add, "CapAdd", &added, &all_added, e));
    TRY(read_list(drop, "CapDrop", &dropped, &all_dropped, e));
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        set |= 1ULL << cap_number(defaults[i]);
    if (privileged)
        set = available();
    else if (all_added)
        set = available() & ~dropped;
    else if (all_dropped)
        set = added;
    else
        set = (set & ~dropped) | added;
    *out = (struct strv){0};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (set & (1ULL << i))
            vec_push_in(a, out, arena_printf(a, "CAP_%s", names[i]));
    return 0;
}
