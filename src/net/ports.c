/* Published ports as memory: a sorted array of what is given out; see ports.h. */
#include "net/ports.h"

#define EPHEMERAL_FIRST 49153 /* Docker's fallback range */
#define EPHEMERAL_LAST 65535

static const struct {
    const char *name;
    int proto;
} protos[] = {{"tcp", PORT_TCP}, {"udp", PORT_UDP}, {"sctp", PORT_SCTP}};

int port_proto(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
        if (str_eq(name, protos[i].name))
            return protos[i].proto;
    }
    return 0;
}

const char *port_proto_name(int proto)
{
    for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
        if (protos[i].proto == proto)
            return protos[i].name;
    }
    return "";
}

/* "", "0", "80", "8000-8010". */
static bool parse_range(struct str s, uint16_t *first, uint16_t *last)
{
    struct str from = str_cut(&s, '-');
    bool range = from.p + from.n != s.p + s.n;
    uint64_t a = 0, b;

    if (from.n > 0 && !str_to_u64(from, 0, UINT16_MAX, &a))
        return false;
    b = a;
    if (range && (from.n == 0 || !str_to_u64(s, a, UINT16_MAX, &b)))
        return false;
    *first = (uint16_t)a;
    *last = (uint16_t)b;
    return true;
}

int port_ask_parse(const struct net_publish *p, struct port_ask *out, struct err *e)
{
    struct str spec = str_of(p->port), number = str_cut(&spec, '/'), ip = str_of(p->host_ip);
    bool has_proto = strchr(p->port, '/') != NULL;
    struct port_ask ask = {0};
    uint64_t port;

    ask.proto = has_proto ? port_proto(spec) : PORT_TCP;
    if (ask.proto == 0 || !str_to_u64(number, 1, UINT16_MAX, &port))
        return err_set(e, ERR_INVALID, "invalid port specification: \"%s\"", p->port);
    ask.port = (uint16_t)port;
    if (!parse_range(str_of(p->host_port), &ask.first, &ask.last))
        return err_set(e, ERR_INVALID, "invalid port specification: \"%s\"", p->host_port);
    if (ip.n > 1 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
        ip = (struct str){ip.p + 1, ip.n - 2};
    if (ip.n > 0 && !ip_parse(ip, &ask.host_ip))
        return err_set(e, ERR_INVALID, "invalid IP address: %s", p->host_ip);
    *out = ask;
    return 0;
}

void ports_done(struct ports *t)
{
    vec_done(&t->taken);
    vec_done(&t->reserved);
}

void ports_range(struct ports *t, const char *range, const char *reserved)
{
    char text[64], *tab;
    uint16_t first, last;

    t->first = EPHEMERAL_FIRST;
    t->last = EPHEMERAL_LAST;
    snprintf(text, sizeof(text), "%s", range);
    text[strcspn(text, "\n")] = '\0';
    tab = strpbrk(text, "\t ");
    if (tab != NULL) {
        *tab = '-';
        memmove(tab + 1, tab + 1 + strspn(tab + 1, "\t "),
                strlen(tab + 1 + strspn(tab + 1, "\t ")) + 1);
        if (parse_range(str_of(text), &first, &last) && first > 0) {
            t->first = first;
            t->last = last;
        }
    }
    t->next = t->first;
    t->reserved.n = 0;
    struct str all = str_of(reserved);
    while (all.n > 0) {
        struct str one = str_trim(str_cut(&all, ','));
        if (one.n > 0 && one.p[one.n - 1] == '\n')
            one.n--;
        if (one.n == 0 || !parse_range(one, &first, &last))
            continue;
        for (unsigned p = first; p <= last; p++)
            vec_push(&t->reserved, (uint16_t)p);
    }
}

/* Order by protocol and port only: keys that can clash lie side by side. */
static int compare(struct port_key a, struct port_key b)
{
    return a.proto != b.proto ? a.proto - b.proto : (int)a.port - (int)b.port;
}

/* The first key of the same protocol and port. */
static size_t place(const struct ports *t, struct port_key key)
{
    size_t lo = 0, hi = t->taken.n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare(t->taken.v[mid], key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool clashes(struct ip_addr a, struct ip_addr b)
{
    return a.family == b.family && (a.v == b.v || ip_is_unspecified(a) || ip_is_unspecified(b));
}

bool ports_busy(const struct ports *t, struct port_key key)
{
    for (size_t i = place(t, key); i < t->taken.n && compare(t->taken.v[i], key) == 0; i++) {
        if (clashes(t->taken.v[i].ip, key.ip))
            return true;
    }
    return false;
}

static void insert(struct ports *t, struct port_key key)
{
    size_t at = place(t, key);

    vec_push(&t->taken, key);
    memmove(&t->taken.v[at + 1], &t->taken.v[at], (t->taken.n - 1 - at) * sizeof(key));
    t->taken.v[at] = key;
}

/* Docker's words; IPv6 addresses in brackets, as Go joins host and port. */
static int allocated(struct ip_addr ip, uint16_t port, struct err *e)
{
    char text[IP_TEXT_MAX];
    bool v6 = ip.family == 6;

    return err_set(e, ERR_CONFLICT, "Bind for %s%s%s:%u failed: port is already allocated",
                   v6 ? "[" : "", ip_format(ip, text), v6 ? "]" : "", port);
}

int ports_take(struct ports *t, struct port_key key, struct err *e)
{
    if (ports_busy(t, key))
        return allocated(key.ip, key.port, e);
    insert(t, key);
    return 0;
}

void ports_release(struct ports *t, struct port_key key)
{
    for (size_t i = place(t, key); i < t->taken.n && compare(t->taken.v[i], key) == 0; i++) {
        if (ip_eq(t->taken.v[i].ip, key.ip)) {
            vec_remove(&t->taken, i);
            return;
        }
    }
}

static bool is_reserved(const struct ports *t, uint16_t port)
{
    for (size_t i = 0; i < t->reserved.n; i++) {
        if (t->reserved.v[i] == port)
            return true;
    }
    return false;
}

/* Take one port for all addresses, or none. */
static int take_all(struct ports *t, int proto, const struct ip_addr *ips, size_t n, uint16_t port,
                    struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (ports_busy(t, (struct port_key){proto, ips[i], port}))
            return allocated(ips[i], port, e);
    }
    for (size_t i = 0; i < n; i++)
        insert(t, (struct port_key){proto, ips[i], port});
    return 0;
}

int ports_pick(struct ports *t, const struct port_ask *ask, const struct ip_addr *ips, size_t n,
               unsigned *tried, uint16_t *out, struct err *e)
{
    bool ephemeral = ask->first == 0;
    uint16_t first = ephemeral ? t->first : ask->first, last = ephemeral ? t->last : ask->last;
    unsigned size = (unsigned)last - first + 1;

    if (!ephemeral && size == 1) {
        if (*tried > 0) /* the kernel refused the only one: the caller has its words */
            return err_set(e, ERR_CONFLICT, "all ports are allocated");
        TRY(take_all(t, ask->proto, ips, n, first, e));
        *tried = 1;
        *out = first;
        return 0;
    }
    while (*tried < size) {
        uint16_t port = (uint16_t)(first + *tried);
        if (ephemeral) {
            port = t->next;
            t->next = port >= last ? first : (uint16_t)(port + 1);
        }
        ++*tried;
        if ((ephemeral && is_reserved(t, port)) || take_all(t, ask->proto, ips, n, port, e) < 0)
            continue;
        *out = port;
        return 0;
    }
    return err_set(e, ERR_CONFLICT, "all ports are allocated");
}
