/* Connection tracking over nfnetlink: a dump finds the connections, their original tuples go back
 * in one request each. */
#include "sys/conntrack.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/time.h>

#include "base/mem.h"
#include "base/vec.h"
#include "sys/netlink_msg.h"

#define ANSWER_MAX (64 << 10)
#define TUPLE_MAX 128

struct tuple {
    size_t n;
    uint8_t bytes[TUPLE_MAX]; /* payload of CTA_TUPLE_ORIG */
};

struct search {
    struct ip_addr address;
    int proto;
    VEC(struct tuple) found;
};

static struct nlmsghdr *request(void *buf, unsigned type, unsigned flags, int family, unsigned seq)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
    struct nfgenmsg *nfg;

    h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    h->nlmsg_seq = seq;
    nfg = mnl_nlmsg_put_extra_header(h, sizeof(*nfg));
    nfg->nfgen_family = family == 4 ? AF_INET : AF_INET6;
    nfg->version = NFNETLINK_V0;
    return h;
}

/* The attribute of a type inside a nest, or NULL. */
static const struct nlattr *inside(const struct nlattr *nest, unsigned type)
{
    const struct nlattr *at;

    if (nest == NULL)
        return NULL;
    mnl_attr_for_each_nested(at, nest)
    {
        if (mnl_attr_get_type(at) == type)
            return at;
    }
    return NULL;
}

static bool wanted(const struct search *s, const struct nlattr *reply)
{
    const struct nlattr *src =
        inside(inside(reply, CTA_TUPLE_IP), s->address.family == 4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC);
    const struct nlattr *proto = inside(inside(reply, CTA_TUPLE_PROTO), CTA_PROTO_NUM);

    if (src == NULL || proto == NULL || mnl_attr_get_payload_len(proto) < 1)
        return false;
    if (s->proto != 0 && mnl_attr_get_u8(proto) != s->proto)
        return false;
    return ip_eq(ip_of_bytes(mnl_attr_get_payload(src), mnl_attr_get_payload_len(src)), s->address);
}

static void look(const struct nlmsghdr *h, struct search *s)
{
    const struct nlattr *at, *orig = NULL, *reply = NULL;
    struct tuple t;

    if (h->nlmsg_type >> 8 != NFNL_SUBSYS_CTNETLINK ||
        mnl_nlmsg_get_payload_len(h) < sizeof(struct nfgenmsg))
        return;
    mnl_attr_for_each(at, h, sizeof(struct nfgenmsg))
    {
        if (mnl_attr_get_type(at) == CTA_TUPLE_ORIG)
            orig = at;
        else if (mnl_attr_get_type(at) == CTA_TUPLE_REPLY)
            reply = at;
    }
    if (orig == NULL || mnl_attr_get_payload_len(orig) > TUPLE_MAX || !wanted(s, reply))
        return;
    t.n = mnl_attr_get_payload_len(orig);
    memcpy(t.bytes, mnl_attr_get_payload(orig), t.n);
    vec_push(&s->found, t);
}

/* Send a request and read its answer to the end. 0 or -errno. */
static int exchange(struct mnl_socket *sock, const struct nlmsghdr *rq, char *answer,
                    struct search *s)
{
    char text[64];

    if (mnl_socket_sendto(sock, rq, rq->nlmsg_len) < 0)
        return -errno;
    for (;;) {
        ssize_t n = mnl_socket_recvfrom(sock, answer, ANSWER_MAX);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        int left = (int)n;
        for (const struct nlmsghdr *h = (const void *)answer; nl_msg_ok(h, left);
             h = mnl_nlmsg_next(h, &left)) {
            if (h->nlmsg_seq != rq->nlmsg_seq)
                continue;
            if (h->nlmsg_type == NLMSG_DONE)
                return 0;
            if (h->nlmsg_type == NLMSG_ERROR)
                return nl_read_error(h, text, sizeof(text));
            look(h, s);
        }
    }
}

static int forget(struct mnl_socket *sock, char *answer, struct search *s, struct err *e)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4)));
    unsigned seq = 1;
    int r = exchange(sock, request(buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, s->address.family, seq),
                     answer, s);

    if (r < 0)
        return err_neg(e, r, "list tracked connections");
    vec_each(t, &s->found) {
        struct nlmsghdr *h =
            request(buf, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, s->address.family, ++seq);
        mnl_attr_put(h, CTA_TUPLE_ORIG | NLA_F_NESTED, t->n, t->bytes);
        r = exchange(sock, h, answer, s);
        if (r < 0 && r != -ENOENT) /* ended by itself */
            return err_neg(e, r, "delete tracked connection");
    }
    return 0;
}

int conntrack_forget(struct ip_addr address, int proto, size_t *out_n, struct err *e)
{
    struct mnl_socket *sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    struct timeval patience = {.tv_sec = 10};
    struct search s = {.address = address, .proto = proto};
    auto_free char *answer = NULL;
    int r;

    if (sock == NULL)
        return err_sys(e, "netfilter socket");
    (void)setsockopt(mnl_socket_get_fd(sock), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0) {
        r = err_sys(e, "bind netfilter socket");
    } else {
        answer = mem_alloc(ANSWER_MAX);
        r = forget(sock, answer, &s, e);
    }
    if (r == 0 && out_n != NULL)
        *out_n = s.found.n;
    vec_done(&s.found);
    mnl_socket_close(sock);
    return r;
}
