/* Session keyrings: see keyring.h. Source: keyctl(2), session-keyring(7). */
#include "runtime/keyring.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "sys/path.h"

#define USER_SEARCH 0x080000U

static int join(const char *id, struct err *e)
{
    char name[300];
    (void)snprintf(name, sizeof(name), "_ses.%s", id);
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0 && errno != ENOSYS)
        return err_sys(e, "unable to join session keyring");
    return 0;
}

int keyring_join(const char *id, const char *label, int proc_fd, struct err *e)
{
    static const char place[] = "self/attr/keycreate";
    if (label == NULL || *label == '\0')
        return join(id, e);
    int rc = file_put(proc_fd, place, label);
    if (rc < 0)
        return err_neg(e, rc, "set the label of the session keyring");
    int joined = join(id, e);
    (void)file_put(proc_fd, place, ""); /* later keys are the program's own affair */
    return joined;
}

void keyring_share(void)
{
    char text[512];
    unsigned perm;
    long n = syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, sizeof(text) - 1);
    if (n <= 0)
        return;
    text[n < (long)sizeof(text) ? n : (long)sizeof(text) - 1] = '\0';
    /* type;uid;gid;permissions;name */
    if (sscanf(text, "%*[^;];%*d;%*d;%x;", &perm) == 1) /* NOLINT(cert-err34-c): by the kernel */
        (void)syscall(SYS_keyctl, KEYCTL_SETPERM, KEY_SPEC_SESSION_KEYRING, perm | USER_SEARCH);
}
