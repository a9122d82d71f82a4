/*
 * containerd-shim-hull-v2: keeps one container (or a group) alive while its daemons come and go. It
 * is called three times: `start` leaves a daemon behind and prints its address, that daemon serves
 * the Task service, and `delete` cleans up should the daemon have died.
 */
#include <signal.h>

#include "runtime/runtime.h"
#include "shim/flags.h"

struct flag {
    const char *name;
    size_t off;
    bool is_bool;
};

static const struct flag table[] = {
    {"namespace", offsetof(struct flags, ns), false},
    {"address", offsetof(struct flags, address), false},
    {"publish-binary", offsetof(struct flags, publish_binary), false},
    {"id", offsetof(struct flags, id), false},
    {"bundle", offsetof(struct flags, bundle), false},
    {"socket", offsetof(struct flags, socket), false},
    {"debug", offsetof(struct flags, debug), true},
    {"v", offsetof(struct flags, version), true},
    {"info", offsetof(struct flags, info), true},
};

static int set_flag(const char *arg, const char *next, bool *took_next, struct flags *f,
                    struct err *e)
{
    const char *name = arg + (arg[1] == '-' ? 2 : 1), *eq = strchr(name, '=');
    size_t n = eq != NULL ? (size_t)(eq - name) : strlen(name);
    *took_next = false;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct flag *t = &table[i];
        char *member = (char *)f + t->off;
        if (strlen(t->name) != n || strncmp(t->name, name, n) != 0)
            continue;
        if (t->is_bool) {
            *(bool *)(void *)member =
                eq == NULL || strcmp(eq + 1, "true") == 0 || strcmp(eq + 1, "1") == 0;
            return 0;
        }
        if (eq == NULL && next == NULL)
            return err_set(e, ERR_INVALID, "flag needs an argument: -%s", t->name);
        *took_next = eq == NULL;
        *(const char **)(void *)member = eq != NULL ? eq + 1 : next;
        return 0;
    }
    return err_set(e, ERR_INVALID, "flag provided but not defined: -%s", name);
}

int flags_parse(int argc, char **argv, struct flags *out, struct err *e)
{
    *out = (struct flags){.address = "", .publish_binary = "containerd"};
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
        bool took_next;
        TRY(set_flag(argv[i], argv[i + 1], &took_next, out, e));
        i += took_next;
    }
    i += i < argc && strcmp(argv[i], "--") == 0;
    out->action = i < argc ? argv[i] : NULL;
    if (out->version || out->info)
        return 0;
    if (out->action != NULL && strcmp(out->action, "start") != 0 &&
        strcmp(out->action, "delete") != 0)
        return err_set(e, ERR_INVALID, "unknown action \"%s\"", out->action);
    if (out->ns == NULL || out->ns[0] == '\0')
        return err_set(e, ERR_INVALID, "shim namespace cannot be empty");
    if (out->id == NULL || out->id[0] == '\0')
        return err_set(e, ERR_INVALID, "shim id cannot be empty");
    return 0;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct flags f;
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    int r = flags_parse(argc, argv, &f, &e);
    if (r == 0 && f.version) {
        (void)printf("containerd-shim-hull-v2:\n  Version:  %s\n", HULL_VERSION);
        return 0;
    }
    if (r == 0 && f.info)
        r = err_set(&e, ERR_UNIMPLEMENTED, "-info is not supported");
    if (r == 0 && f.action == NULL)
        r = hullrun_seal_self(argv, &e); /* the daemon clones containers from itself */
    if (r == 0)
        r = f.action == NULL                 ? action_serve(&f, &e)
            : strcmp(f.action, "start") == 0 ? action_start(&f, &e)
                                             : action_delete(&f, &e);
    if (r < 0)
        (void)dprintf(STDERR_FILENO, "containerd-shim-hull-v2: %s\n", e.msg);
    return r < 0;
}
