/* Address management. Taken addresses are a sorted array, so that the lowest free one is the first
 * gap; see ipam.h. */
#include "net/ipam.h"

#include "base/mem.h"
#include "base/vec.h"

typedef unsigned __int128 u128;

struct ipam {
    struct ip_net subnet;
    u128 first, last;         /* what may be taken at all */
    u128 dyn_first, dyn_last; /* what is given out */
    VEC(u128) taken;          /* sorted, each once */
};

const struct net_base_pool ipam_default_pools[] = {
    {"172.17.0.0/16", 16}, {"172.18.0.0/16", 16}, {"172.19.0.0/16", 16},  {"172.20.0.0/14", 16},
    {"172.24.0.0/14", 16}, {"172.28.0.0/14", 16}, {"192.168.0.0/16", 20},
};
const size_t ipam_default_pools_n = ARRAY_LEN(ipam_default_pools);

struct ipam *ipam_new(struct ip_net subnet, struct ip_net range)
{
    struct ipam *p = mem_alloc(sizeof(*p));

    p->subnet = ip_net_base(subnet);
    p->first = p->subnet.addr.v;
    p->last = ip_net_last(p->subnet).v;
    if (p->last - p->first >= 2) { /* /31, /32, /127 and /128 have no addresses to spare */
        p->first++;
        if (subnet.addr.family == 4)
            p->last--;
    }
    p->dyn_first = p->first;
    p->dyn_last = p->last;
    if (range.addr.family != 0) {
        p->dyn_first = MAX(p->first, ip_net_base(range).addr.v);
        p->dyn_last = MIN(p->last, ip_net_last(range).v);
    }
    return p;
}

void ipam_free(struct ipam *p)
{
    if (p == NULL)
        return;
    vec_done(&p->taken);
    free(p);
}

struct ip_net ipam_subnet(const struct ipam *p)
{
    return p->subnet;
}

size_t ipam_taken(const struct ipam *p)
{
    return p->taken.n;
}

/* Where v is or would stand. */
static size_t place(const struct ipam *p, u128 v)
{
    size_t lo = 0, hi = p->taken.n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (p->taken.v[mid] < v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void insert(struct ipam *p, size_t at, u128 v)
{
    vec_push(&p->taken, v);
    memmove(&p->taken.v[at + 1], &p->taken.v[at], (p->taken.n - 1 - at) * sizeof(v));
    p->taken.v[at] = v;
}

int ipam_take(struct ipam *p, struct ip_addr *out, struct err *e)
{
    size_t at = place(p, p->dyn_first);
    u128 v = p->dyn_first;

    for (; at < p->taken.n && p->taken.v[at] == v && v < p->dyn_last; at++)
        v++;
    if (v > p->dyn_last || (at < p->taken.n && p->taken.v[at] == v))
        return err_set(e, ERR_FORBIDDEN,
                       "no available IPv%d addresses on this network's address pools",
                       p->subnet.addr.family);
    insert(p, at, v);
    *out = (struct ip_addr){p->subnet.addr.family, v};
    return 0;
}

int ipam_take_this(struct ipam *p, struct ip_addr want, struct err *e)
{
    size_t at = place(p, want.v);
    char text[IP_TEXT_MAX];

    if (want.family != p->subnet.addr.family || want.v < p->first || want.v > p->last)
        return err_set(e, ERR_FORBIDDEN, "no configured subnet contains IP address %s",
                       ip_format(want, text));
    if (at < p->taken.n && p->taken.v[at] == want.v)
        return err_set(e, ERR_FORBIDDEN, "Address already in use");
    insert(p, at, want.v);
    return 0;
}

void ipam_release(struct ipam *p, struct ip_addr a)
{
    size_t at = place(p, a.v);

    if (a.family == p->subnet.addr.family && at < p->taken.n && p->taken.v[at] == a.v)
        vec_remove(&p->taken, at);
}

int ipam_check_pools(const struct net_base_pool *pools, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct ip_net base;
        if (!ip_net_parse(str_of(pools[i].base), &base))
            return err_set(e, ERR_INVALID, "invalid base pool \"%s\": invalid CIDR address: %s",
                           pools[i].base, pools[i].base);
        if (pools[i].size < base.bits || pools[i].size > ip_width(base.addr))
            return err_set(e, ERR_INVALID, "invalid pools size: %d", pools[i].size);
    }
    return 0;
}

/* The used network that overlaps, or NULL. */
static const struct ip_net *overlap(struct ip_net n, const struct ip_net *used, size_t n_used)
{
    for (size_t i = 0; i < n_used; i++) {
        if (ip_net_overlaps(n, used[i]))
            return &used[i];
    }
    return NULL;
}

int ipam_choose(const struct net_base_pool *pools, size_t n_pools, const struct ip_net *used,
                size_t n_used, struct ip_net *out, struct err *e)
{
    for (size_t i = 0; i < n_pools; i++) {
        struct ip_net base, piece;
        if (!ip_net_parse(str_of(pools[i].base), &base) || base.addr.family != 4)
            continue;
        base = ip_net_base(base);
        piece = (struct ip_net){base.addr, pools[i].size};
        while (ip_net_has(base, piece.addr)) {
            const struct ip_net *hit = overlap(piece, used, n_used);
            if (hit == NULL) {
                *out = piece;
                return 0;
            }
            /* go on behind the larger of the two */
            u128 last = MAX(ip_net_last(piece).v, ip_net_last(*hit).v);
            if (last >= ip_net_last(base).v)
                break;
            piece.addr.v = last + 1;
            piece = ip_net_base(piece);
        }
    }
    return err_set(e, ERR_FORBIDDEN, "all predefined address pools have been fully subnetted");
}

struct ip_net ipam_ula(const char *network_id)
{
    struct ip_net n = {{6, 0xfd}, 64};
    u128 id = 0;

    for (size_t i = 0; i < 14 && network_id[i] != '\0';
         i++) { /* 56 bits: 40 of global id, 16 of subnet */
        char c = network_id[i];
        id = id << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    n.addr.v = ((u128)0xfd << 120) | (id & (((u128)1 << 56) - 1)) << 64;
    return n;
}
