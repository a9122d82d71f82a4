/* One event, from stdin to the daemon: see publish.h. */
#include "containerd/publish.h"

#include "base/str.h"
#include "proto/events.pb-c.h"
#include "rpc/grpc.h"
#include "sys/fd.h"

#define TIMEOUT_MS 5000

struct flag {
    const char *name;
    const char *value;
};

static int read_flags(char **argv, struct flag *flags, size_t n, struct err *e)
{
    for (char **arg = argv + 1; *arg != NULL; arg++) {
        const char *name = *arg + strspn(*arg, "-");
        size_t i = 0;
        while (i < n &&
               (strncmp(flags[i].name, name, strlen(flags[i].name)) != 0 ||
                (name[strlen(flags[i].name)] != '\0' && name[strlen(flags[i].name)] != '=')))
            i++;
        if (name == *arg || i == n)
            return err_set(e, ERR_INVALID, "publish: unknown argument \"%s\"", *arg);
        const char *eq = strchr(name, '=');
        if (eq == NULL && *++arg == NULL)
            return err_set(e, ERR_INVALID, "publish: flag needs an argument: %s", flags[i].name);
        flags[i].value = eq != NULL ? eq + 1 : *arg;
    }
    return 0;
}

int publish_command(char **argv, const char *address, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf in = BUF_MAX(PB_MAX_BYTES);
    struct flag flags[] = {{"topic", NULL}, {"namespace", NULL}, {"address", address}};
    Events__PublishRequest q = EVENTS__PUBLISH_REQUEST__INIT;
    struct grpc_client *client;
    Pb__Empty *empty;
    TRY(read_flags(argv, flags, ARRAY_LEN(flags), e));
    if (flags[0].value == NULL || flags[1].value == NULL)
        return err_set(e, ERR_INVALID, "publish: --topic and --namespace are required");
    int r = fd_read_to_end(STDIN_FILENO, &in);
    if (r < 0)
        return err_neg(e, r, "read the event");
    TRY(pb_unpack(&pb__any__descriptor, buf_cstr(&in), in.n, a, &q.event, e));
    q.topic = arena_strdup(a, flags[0].value);
    const struct grpc_md md[] = {{"containerd-namespace", flags[1].value}};
    const struct grpc_opts o = GRPC_OPTS(.metadata = md, .n_metadata = 1, .timeout_ms = TIMEOUT_MS);
    TRY(grpc_client_connect(flags[2].value, TIMEOUT_MS, &client, e));
    r = grpc_unary(client, "/containerd.services.events.v1.Events/Publish", &q.base, &o,
                   &pb__empty__descriptor, a, &empty, e);
    grpc_client_unref(client);
    return r;
}
