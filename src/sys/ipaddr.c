/* IPv4 and IPv6 addresses as numbers of 128 bits: masks and counting are plain arithmetic for both;
 * see ipaddr.h. */
#include "sys/ipaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>

bool ip_parse(struct str s, struct ip_addr *out)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t b[16];

    if (s.n == 0 || s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, b) == 1)
        *out = ip_of_bytes(b, 4);
    else if (inet_pton(AF_INET6, text, b) == 1)
        *out = ip_of_bytes(b, 16);
    else
        return false;
    return true;
}

bool ip_net_parse(struct str s, struct ip_net *out)
{
    ptrdiff_t slash = str_index(s, '/');
    struct ip_net n;
    uint64_t bits;

    if (slash < 0 || !ip_parse((struct str){s.p, (size_t)slash}, &n.addr))
        return false;
    if (!str_to_u64((struct str){s.p + slash + 1, s.n - (size_t)slash - 1}, 0,
                    (uint64_t)ip_width(n.addr), &bits))
        return false;
    n.bits = (int)bits;
    *out = n;
    return true;
}

const char *ip_format(struct ip_addr a, char out[static IP_TEXT_MAX])
{
    uint8_t b[16];

    out[0] = '\0';
    if (a.family != 0) {
        (void)ip_bytes(a, b);
        (void)inet_ntop(a.family == 4 ? AF_INET : AF_INET6, b, out, IP_TEXT_MAX);
    }
    return out;
}

const char *ip_net_format(struct ip_net n, char out[static IP_TEXT_MAX])
{
    char addr[IP_TEXT_MAX];

    out[0] = '\0';
    if (n.addr.family != 0)
        snprintf(out, IP_TEXT_MAX, "%s/%d", ip_format(n.addr, addr), n.bits);
    return out;
}

size_t ip_bytes(struct ip_addr a, uint8_t out[static 16])
{
    size_t n = a.family == 4 ? 4 : 16;

    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(a.v >> (8 * (n - 1 - i)));
    return n;
}

struct ip_addr ip_of_bytes(const void *p, size_t n)
{
    struct ip_addr a = {0};
    const uint8_t *b = p;

    if (n != 4 && n != 16)
        return a;
    a.family = n == 4 ? 4 : 6;
    for (size_t i = 0; i < n; i++)
        a.v = a.v << 8 | b[i];
    return a;
}

socklen_t ip_to_sockaddr(struct ip_addr a, uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (a.family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        in->sin_addr.s_addr = htonl((uint32_t)a.v);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    (void)ip_bytes(a, in6->sin6_addr.s6_addr);
    return sizeof(*in6);
}

struct ip_addr ip_of_sockaddr(const struct sockaddr_storage *sa, uint16_t *out_port)
{
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
        *out_port = ntohs(in->sin_port);
        return ip_of_bytes(&in->sin_addr, 4);
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
    *out_port = ntohs(in6->sin6_port);
    return ip_of_bytes(&in6->sin6_addr, 16);
}

int ip_width(struct ip_addr a)
{
    return a.family == 4 ? 32 : 128;
}

bool ip_eq(struct ip_addr a, struct ip_addr b)
{
    return a.family == b.family && a.v == b.v;
}

bool ip_is_loopback(struct ip_addr a)
{
    return a.family == 4 ? a.v >> 24 == 127 : a.family == 6 && a.v == 1;
}

bool ip_is_unspecified(struct ip_addr a)
{
    return a.v == 0;
}

struct ip_addr ip_add(struct ip_addr a, unsigned __int128 n)
{
    a.v += n;
    if (a.family == 4)
        a.v &= UINT32_MAX;
    return a;
}

/* The ones of the host part. */
static unsigned __int128 host_mask(struct ip_net n)
{
    int host = ip_width(n.addr) - n.bits;

    return host >= 128 ? ~(unsigned __int128)0 : ((unsigned __int128)1 << host) - 1;
}

struct ip_net ip_net_base(struct ip_net n)
{
    n.addr.v &= ~host_mask(n);
    return n;
}

struct ip_addr ip_net_last(struct ip_net n)
{
    n.addr.v |= host_mask(n);
    return n.addr;
}

bool ip_net_has(struct ip_net n, struct ip_addr a)
{
    return n.addr.family == a.family && ((n.addr.v ^ a.v) & ~host_mask(n)) == 0;
}

bool ip_net_overlaps(struct ip_net a, struct ip_net b)
{
    return a.bits <= b.bits ? ip_net_has(a, b.addr) : ip_net_has(b, a.addr);
}

void mac_format(const uint8_t mac[static 6], char out[static MAC_TEXT_MAX])
{
    snprintf(out, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
             mac[4], mac[5]);
}

bool mac_parse(struct str s, uint8_t out[static 6])
{
    uint8_t mac[6];

    if (s.n != 17)
        return false;
    for (size_t i = 0; i < 6; i++) {
        int hi = hex_digit(s.p[3 * i]), lo = hex_digit(s.p[3 * i + 1]);
        if (hi < 0 || lo < 0 || (i < 5 && s.p[3 * i + 2] != ':' && s.p[3 * i + 2] != '-'))
            return false;
        mac[i] = (uint8_t)(hi << 4 | lo);
    }
    memcpy(out, mac, 6);
    return true;
}
