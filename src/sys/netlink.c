/*
 * Route netlink over libmnl. One handle is one socket and one lock; an answer belongs to us when
 * sequence and port agree. A dump that the kernel marks as interrupted (something changed
 * meanwhile) is asked for again.
 */
#include "sys/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sys/time.h>

#include "base/mem.h"
#include "sys/netlink_msg.h"

#define ANSWER_MAX (64 << 10)
#define DUMP_TRIES 20

struct nl {
    pthread_mutex_t lock; /* guards all below: one exchange at a time */
    struct mnl_socket *sock;
    unsigned seq;
    char text[256]; /* the kernel's sentence about the last error */
    char answer[ANSWER_MAX];
};

/* One message of an answer; false when it was not understood (it is skipped). */
typedef bool read_fn(const struct nlmsghdr *h, void *arg);

int nl_open(struct nl **out, struct err *e)
{
    struct timeval patience = {.tv_sec = 10};
    struct nl *nl = mem_alloc(sizeof(*nl));
    int on = 1;

    nl->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (nl->sock == NULL) {
        free(nl);
        return err_sys(e, "netlink socket");
    }
    if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
        (void)err_sys(e, "bind netlink socket");
        mnl_socket_close(nl->sock);
        free(nl);
        return -1;
    }
    pthread_mutex_init(&nl->lock, NULL);
    /* old kernels lack these: only the sentences get poorer */
    (void)mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &on, sizeof(on));
    (void)mnl_socket_setsockopt(nl->sock, NETLINK_CAP_ACK, &on, sizeof(on));
    (void)setsockopt(mnl_socket_get_fd(nl->sock), SOL_SOCKET, SO_RCVTIMEO, &patience,
                     sizeof(patience));
    *out = nl;
    return 0;
}

void nl_close(struct nl *nl)
{
    if (nl == NULL)
        return;
    mnl_socket_close(nl->sock);
    pthread_mutex_destroy(&nl->lock);
    free(nl);
}

/* Look at one message: 1 the answer is complete, 0 more to come, or -errno. Called with the lock
 * held. */
static int take_message(struct nl *nl, const struct nlmsghdr *h, read_fn *fn, void *arg,
                        bool *interrupted)
{
    int r;

    if (h->nlmsg_flags & NLM_F_DUMP_INTR)
        *interrupted = true;
    if (h->nlmsg_type == NLMSG_ERROR) {
        r = nl_read_error(h, nl->text, sizeof(nl->text));
        return r == 0 ? 1 : r;
    }
    if (h->nlmsg_type == NLMSG_DONE)
        return 1;
    if (fn != NULL)
        (void)fn(h, arg); /* a kind we do not know is skipped */
    return 0;
}

/* Called with the lock held. 0, -errno; -EINTR stands for an interrupted dump. */
static int exchange(struct nl *nl, struct nlmsghdr *rq, read_fn *fn, void *arg)
{
    unsigned port = mnl_socket_get_portid(nl->sock);
    bool interrupted = false;

    nl->text[0] = '\0';
    rq->nlmsg_seq = ++nl->seq;
    if (mnl_socket_sendto(nl->sock, rq, rq->nlmsg_len) < 0)
        return -errno;
    for (;;) {
        ssize_t n = mnl_socket_recvfrom(nl->sock, nl->answer, sizeof(nl->answer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        int left = (int)n;
        for (const struct nlmsghdr *h = (const void *)nl->answer; nl_msg_ok(h, left);
             h = mnl_nlmsg_next(h, &left)) {
            if (h->nlmsg_seq != nl->seq || h->nlmsg_pid != port)
                continue;
            int r = take_message(nl, h, fn, arg, &interrupted);
            if (r != 0)
                return r < 0 ? r : (interrupted ? -EINTR : 0);
        }
    }
}

/* Put errno and the kernel's sentence into an error: "<what>: <sentence>: <errno text>". */
static int fail(const struct nl *nl, int r, struct err *e, const char *what, const char *name)
{
    (void)err_neg(e, r, "%s%s%s%s%s", what, name[0] != '\0' ? " " : "", name,
                  nl->text[0] != '\0' ? ": " : "", nl->text);
    if (r == -EEXIST)
        e->kind = ERR_EXISTS;
    else if (r == -ENODEV || r == -ENOENT)
        e->kind = ERR_NOT_FOUND;
    return -1;
}

/* One request that is answered by an ack. fine: an error that means "already so", 0 for none. */
static int ask(struct nl *nl, struct nlmsghdr *rq, int fine, const char *what, const char *name,
               struct err *e)
{
    int r;

    pthread_mutex_lock(&nl->lock);
    r = exchange(nl, rq, NULL, NULL);
    if (r < 0 && r != -fine)
        (void)fail(nl, r, e, what, name);
    else
        r = 0;
    pthread_mutex_unlock(&nl->lock);
    return r < 0 ? -1 : 0;
}

/* A whole dump; *n is reset before each try. */
static int dump(struct nl *nl, uint16_t type, read_fn *fn, void *arg, size_t *n, const char *what,
                struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4)));
    int r = -EINTR;

    pthread_mutex_lock(&nl->lock);
    for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
        *n = 0;
        r = exchange(nl, nl_msg_dump(buf, type), fn, arg);
    }
    if (r < 0)
        (void)fail(nl, r, e, what, "");
    pthread_mutex_unlock(&nl->lock);
    return r < 0 ? -1 : 0;
}

static bool push_link(const struct nlmsghdr *h, void *arg)
{
    struct nl_links *list = arg;
    struct nl_link link;

    if (!nl_read_link(h, &link))
        return false;
    vec_push(list, link);
    return true;
}

static bool push_addr(const struct nlmsghdr *h, void *arg)
{
    struct nl_addrs *list = arg;
    struct nl_addr addr;

    if (!nl_read_addr(h, &addr))
        return false;
    vec_push(list, addr);
    return true;
}

static bool push_route(const struct nlmsghdr *h, void *arg)
{
    struct nl_routes *list = arg;
    struct nl_route route;

    if (!nl_read_route(h, &route) || route.table != RT_TABLE_MAIN)
        return false;
    vec_push(list, route);
    return true;
}

int nl_links(struct nl *nl, struct nl_links *out, struct err *e)
{
    return dump(nl, RTM_GETLINK, push_link, out, &out->n, "list links", e);
}

int nl_addrs(struct nl *nl, struct nl_addrs *out, struct err *e)
{
    return dump(nl, RTM_GETADDR, push_addr, out, &out->n, "list addresses", e);
}

int nl_routes(struct nl *nl, struct nl_routes *out, struct err *e)
{
    return dump(nl, RTM_GETROUTE, push_route, out, &out->n, "list routes", e);
}

static bool one_link(const struct nlmsghdr *h, void *arg)
{
    return nl_read_link(h, arg);
}

/* Names longer than the kernel's would be cut or refused late: refuse them here. */
static int check_name(const char *name, struct err *e)
{
    size_t n = strlen(name);

    if (n == 0 || n >= IFNAMSIZ || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return err_set(e, ERR_INVALID, "invalid link name \"%s\"", name);
    return 0;
}

int nl_link_get(struct nl *nl, const char *name, struct nl_link *out, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4)));
    int r;

    TRY(check_name(name, e));
    pthread_mutex_lock(&nl->lock);
    r = exchange(nl, nl_msg_link(buf, RTM_GETLINK, 0, name, 0, 0), one_link, out);
    if (r < 0)
        (void)fail(nl, r, e, "link", name);
    pthread_mutex_unlock(&nl->lock);
    return r < 0 ? -1 : 0;
}

int nl_bridge_add(struct nl *nl, const char *name, uint32_t mtu, const uint8_t *mac,
                  const char *alias, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4)));

    TRY(check_name(name, e));
    TRY(ask(nl, nl_msg_bridge(buf, name, mtu, mac), 0, "add bridge", name, e));
    if (alias == NULL)
        return 0;
    return ask(nl, nl_msg_alias(buf, name, alias), 0, "note on link", name, e);
}

int nl_veth_add(struct nl *nl, const struct nl_veth *v, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4)));
    struct nl_link made;

    TRY(check_name(v->name, e));
    TRY(check_name(v->peer, e));
    TRY(ask(nl, nl_msg_veth(buf, v), 0, "add veth", v->name, e));
    if (!v->isolated && !v->hairpin)
        return 0;
    TRY(nl_link_get(nl, v->name, &made, e));
    return ask(nl, nl_msg_port_flags(buf, made.index, v->isolated, v->hairpin), 0,
               "set up bridge port", v->name, e);
}

int nl_link_del(struct nl *nl, const char *name, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4)));

    TRY(check_name(name, e));
    return ask(nl, nl_msg_link(buf, RTM_DELLINK, 0, name, 0, 0), ENODEV, "delete link", name, e);
}

int nl_port_off(struct nl *nl, const char *name, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4)));
    struct nl_link link;

    if (nl_link_get(nl, name, &link, e) < 0)
        return e->kind == ERR_NOT_FOUND ? 0 : -1;
    if (link.master == 0)
        return 0;
    return ask(nl, nl_msg_port_off(buf, link.index), ENODEV, "silence bridge port", name, e);
}

int nl_link_up(struct nl *nl, int index, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4)));

    return ask(nl, nl_msg_link(buf, RTM_NEWLINK, index, NULL, IFF_UP, 0), 0, "bring link up", "",
               e);
}

int nl_link_mtu(struct nl *nl, int index, uint32_t mtu, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4)));

    return ask(nl, nl_msg_link(buf, RTM_NEWLINK, index, NULL, 0, mtu), 0, "set MTU", "", e);
}

int nl_addr_add(struct nl *nl, int index, struct ip_net addr, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4))), text[IP_TEXT_MAX];

    return ask(nl, nl_msg_addr(buf, RTM_NEWADDR, index, addr), EEXIST, "add address",
               ip_net_format(addr, text), e);
}

int nl_addr_del(struct nl *nl, int index, struct ip_net addr, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4))), text[IP_TEXT_MAX];

    return ask(nl, nl_msg_addr(buf, RTM_DELADDR, index, addr), EADDRNOTAVAIL, "remove address",
               ip_net_format(addr, text), e);
}

int nl_route_add(struct nl *nl, struct ip_net dst, struct ip_addr gateway, int index, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4))), text[IP_TEXT_MAX];

    return ask(nl, nl_msg_route(buf, RTM_NEWROUTE, dst, gateway, index), EEXIST, "add route",
               ip_net_format(dst, text), e);
}

int nl_route_del(struct nl *nl, struct ip_net dst, struct ip_addr gateway, int index, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4))), text[IP_TEXT_MAX];

    return ask(nl, nl_msg_route(buf, RTM_DELROUTE, dst, gateway, index), ESRCH, "delete route",
               ip_net_format(dst, text), e);
}
