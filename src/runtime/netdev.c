/*
 * Moving network devices: see netdev.h. A device loses its addresses on the way, so they are read
 * before and given back behind. Four kinds of requests, written here: whoever starts containers
 * links no netlink library. Source: rtnetlink(7).
 */
#include "runtime/netdev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/spec.h"
#include "sys/fd.h"

#define ADDRS_MAX 256

struct request {
    struct nlmsghdr h;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg addr;
    } body;
    char attrs[256];
};

/* An address as it is to be given back. */
struct addr {
    struct ifaddrmsg msg;
    uint32_t flags;
    unsigned char local[16], address[16];
    size_t n_local, n_address;
};
struct addrs {
    struct addr *v;
    size_t n, cap;
};

/* ---- names -------------------------------------------------------------------------------- */

/* The rule of the kernel (dev_valid_name). */
static bool is_name(const char *s)
{
    size_t n = s != NULL ? strlen(s) : 0;
    return n > 0 && n < IFNAMSIZ && strcmp(s, ".") != 0 && strcmp(s, "..") != 0 &&
           strpbrk(s, "/: \t\n\v\f\r") == NULL;
}

static const char *inside_name(const struct oci_net_device *d, const char *outside)
{
    return d != NULL && d->name != NULL && *d->name != '\0' ? d->name : outside;
}

int netdev_check(const struct oci_spec *s, struct err *e)
{
    if (s->linux_->net_devices.n == 0)
        return 0;
    if (spec_ns(s, "network") == NULL)
        return err_set(e, ERR_INVALID, "unable to move network devices without a NET namespace");
    if (geteuid() != 0)
        return err_set(e, ERR_INVALID, "network devices are not supported for rootless containers");
    vec_each(d, &s->linux_->net_devices) {
        const char *inside = inside_name(d->val, d->key);
        if (!is_name(d->key) || !is_name(inside))
            return err_set(e, ERR_INVALID, "invalid network device name \"%s\"",
                           is_name(d->key) ? inside : d->key);
    }
    return 0;
}

/* ---- messages ----------------------------------------------------------------------------- */

static void begin(struct request *r, uint16_t type, uint16_t flags, size_t body)
{
    memset(r, 0, sizeof(*r));
    r->h.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
    r->h.nlmsg_type = type;
    r->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
}

static void add(struct request *r, uint16_t type, const void *p, size_t n)
{
    struct rtattr *at = (struct rtattr *)(void *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));
    at->rta_type = type;
    at->rta_len = (uint16_t)RTA_LENGTH(n);
    memcpy(RTA_DATA(at), p, n);
    r->h.nlmsg_len = (uint32_t)(NLMSG_ALIGN(r->h.nlmsg_len) + RTA_LENGTH(n));
}

/* Send and wait for the kernel's word: 0 or -errno. */
static int ask(int sock, const struct request *r)
{
    char answer[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
    const struct nlmsghdr *h = (const void *)answer;
    if (send(sock, r, r->h.nlmsg_len, 0) < 0)
        return -errno;
    ssize_t n = recv(sock, answer, sizeof(answer), 0);
    if (n < 0)
        return -errno;
    if ((size_t)n < NLMSG_LENGTH(sizeof(struct nlmsgerr)) || h->nlmsg_type != NLMSG_ERROR)
        return -EBADMSG;
    return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
}

static int open_route_socket(struct err *e)
{
    int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    return sock < 0 ? err_sys(e, "open a netlink socket") : sock;
}

/* ---- addresses ---------------------------------------------------------------------------- */

static size_t take_bytes(const struct rtattr *at, unsigned char out[static 16])
{
    size_t n = RTA_PAYLOAD(at);
    if (n > 16)
        return 0;
    memcpy(out, RTA_DATA(at), n);
    return n;
}

static void read_addr(const struct nlmsghdr *h, unsigned index, struct addrs *out)
{
    struct addr a = {.msg = *(const struct ifaddrmsg *)NLMSG_DATA(h)};
    int left = (int)IFA_PAYLOAD(h);
    a.flags = a.msg.ifa_flags;
    for (const struct rtattr *at = IFA_RTA(NLMSG_DATA(h)); RTA_OK(at, left);
         at = RTA_NEXT(at, left)) {
        if (at->rta_type == IFA_LOCAL)
            a.n_local = take_bytes(at, a.local);
        else if (at->rta_type == IFA_ADDRESS)
            a.n_address = take_bytes(at, a.address);
        else if (at->rta_type == IFA_FLAGS && RTA_PAYLOAD(at) == sizeof(a.flags))
            memcpy(&a.flags, RTA_DATA(at), sizeof(a.flags));
    }
    /* others come back by themselves (link-local), or are someone else's to renew (leases) */
    if (a.msg.ifa_index == index && a.msg.ifa_scope == RT_SCOPE_UNIVERSE &&
        (a.flags & IFA_F_PERMANENT) != 0 && out->n < ADDRS_MAX)
        vec_push(out, a);
}

static int read_addrs(int sock, unsigned index, struct addrs *out)
{
    static const size_t size = 32768;
    struct request r;
    auto_free char *chunk = mem_alloc(size);
    begin(&r, RTM_GETADDR, NLM_F_DUMP, sizeof(r.body.addr));
    if (send(sock, &r, r.h.nlmsg_len, 0) < 0)
        return -errno;
    for (;;) {
        ssize_t n = recv(sock, chunk, size, 0);
        if (n < 0)
            return -errno;
        for (const struct nlmsghdr *h = (const void *)chunk; NLMSG_OK(h, (size_t)n);
             h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_DONE)
                return 0;
            if (h->nlmsg_type == NLMSG_ERROR)
                return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
            if (h->nlmsg_type == RTM_NEWADDR &&
                h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifaddrmsg)))
                read_addr(h, index, out);
        }
    }
}

static int give_addr(int sock, unsigned index, const struct addr *a)
{
    struct request r;
    begin(&r, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(r.body.addr));
    r.body.addr = a->msg;
    r.body.addr.ifa_index = index;
    r.body.addr.ifa_flags = 0;
    add(&r, IFA_FLAGS, &a->flags, sizeof(a->flags));
    if (a->n_local > 0)
        add(&r, IFA_LOCAL, a->local, a->n_local);
    if (a->n_address > 0)
        add(&r, IFA_ADDRESS, a->address, a->n_address);
    int rc = ask(sock, &r);
    return rc == -EEXIST ? 0 : rc;
}

/* ---- devices ------------------------------------------------------------------------------ */

static int send_away(int sock, unsigned index, const char *name, int netns)
{
    struct request r;
    begin(&r, RTM_NEWLINK, NLM_F_ACK, sizeof(r.body.link));
    r.body.link.ifi_index = (int)index;
    add(&r, IFLA_NET_NS_FD, &netns, sizeof(netns));
    add(&r, IFLA_IFNAME, name, strlen(name) + 1);
    return ask(sock, &r);
}

static int bring_up(int sock, unsigned index)
{
    struct request r;
    begin(&r, RTM_NEWLINK, NLM_F_ACK, sizeof(r.body.link));
    r.body.link.ifi_index = (int)index;
    r.body.link.ifi_flags = r.body.link.ifi_change = IFF_UP;
    return ask(sock, &r);
}

/* In the device's new namespace. */
static int settle(const char *name, const struct addrs *addrs, struct err *e)
{
    auto_fd int sock = open_route_socket(e);
    TRY(sock);
    unsigned index = if_nametoindex(name);
    if (index == 0)
        return err_sys(e, "find %s in its new namespace", name);
    vec_each(a, addrs) {
        int rc = give_addr(sock, index, a);
        if (rc < 0)
            return err_neg(e, rc, "give %s its address back", name);
    }
    int rc = bring_up(sock, index);
    return rc < 0 ? err_neg(e, rc, "bring %s up", name) : 0;
}

static int settle_there(int netns, const char *name, const struct addrs *addrs, struct err *e)
{
    auto_fd int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0 || setns(netns, CLONE_NEWNET) < 0)
        return err_sys(e, "enter the network namespace");
    int rc = settle(name, addrs, e);
    if (setns(home, CLONE_NEWNET) < 0)
        return err_sys(e, "return to our network namespace");
    return rc;
}

static int move_one(const char *outside, const char *inside, int netns, struct err *e)
{
    struct addrs addrs = {0};
    auto_fd int sock = open_route_socket(e);
    TRY(sock);
    unsigned index = if_nametoindex(outside);
    if (index == 0)
        return err_set(e, ERR_NOT_FOUND,
                       "link not found for interface %s on runtime namespace: Link not found",
                       outside);
    int rc = read_addrs(sock, index, &addrs);
    if (rc == 0)
        rc = send_away(sock, index, inside, netns);
    rc = rc < 0 ? err_neg(e, rc, "rename it to %s there", inside)
                : settle_there(netns, inside, &addrs, e);
    vec_done(&addrs);
    return rc;
}

int netdev_move(const struct oci_spec *s, int netns, struct err *e)
{
    vec_each(d, &s->linux_->net_devices)
        if (move_one(d->key, inside_name(d->val, d->key), netns, e) < 0)
            return err_wrap(e, "error creating network interfaces: move netDevice %s", d->key);
    return 0;
}
