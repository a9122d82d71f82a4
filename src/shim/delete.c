/* `delete`: see flags.h. It must work however little is left. */
#include <fcntl.h>
#include <signal.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "proto/shim.pb-c.h"
#include "rpc/pb.h"
#include "shim/flags.h"
#include "shim/options.h"
#include "shim/start.h"
#include "shim/bundle_mounts.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/sock.h"

static uint32_t read_pid(const char *bundle)
{
    auto_free char *path = mem_printf("%s/init.pid", bundle);
    auto_buf struct buf text = BUF_MAX(32);
    struct err ignored = {0};
    uint64_t pid = 0;
    if (file_read(AT_FDCWD, path, &text, &ignored) < 0)
        return 0;
    return str_to_u64(str_trim((struct str){text.p, text.n}), 1, INT32_MAX, &pid) ? (uint32_t)pid
                                                                                  : 0;
}

/* The dead shim's socket; one that is served belongs to a group whose shim lives. */
static void remove_socket(const char *bundle)
{
    auto_free char *path = mem_printf("%s/address", bundle);
    auto_buf struct buf text = BUF_MAX(4096);
    struct sockaddr_un addr;
    struct err ignored = {0};
    if (file_read(AT_FDCWD, path, &text, &ignored) < 0)
        return;
    struct str socket_path = {text.p, text.n};
    if (!str_starts(socket_path, "unix://" SHIM_SOCKET_DIR "/"))
        return;
    if (sock_address(text.p + strlen("unix://"), &addr, &ignored) >= 0 &&
        shim_is_served(&addr, &ignored) == 0)
        (void)unlink(addr.sun_path); /* may be gone already */
}

int action_delete(const struct flags *f, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const char *bundle = f->bundle != NULL ? f->bundle : ".";
    auto_buf struct buf out = BUF_MAX(4096);
    struct oci oci;
    struct err why = {0};
    if (options_load(bundle, f->ns, f->id, a, &oci, &why) < 0)
        log_warn("no runtime known, nothing is deleted with it", "id", f->id, "error", why.msg,
                 NULL);
    else if (oci.ops->delete_now(&oci, &why) < 0)
        log_warn("the runtime could not delete the container", "id", f->id, "error", why.msg, NULL);
    if (bundle_unmount(bundle, &why) < 0)
        log_warn("rootfs not unmounted", "id", f->id, "error", why.msg, NULL);
    remove_socket(bundle);
    Shim__DeleteResponse resp = SHIM__DELETE_RESPONSE__INIT;
    resp.pid = read_pid(bundle);
    resp.exit_status = 128 + SIGKILL;
    resp.exited_at = pb_time_new(time_now_ns(), a);
    TRY(pb_pack(&resp.base, &out, e));
    int r = fd_write_all(STDOUT_FILENO, out.p, out.n);
    return r < 0 ? err_neg(e, r, "print the answer") : 0;
}
