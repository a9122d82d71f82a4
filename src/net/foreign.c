/*
 * Firewalls of others. An accept in our table does not undo a drop of another base chain on the
 * same hook, and dockerd, ufw and many administrators set the policy of `filter FORWARD` to drop.
 * Only then we put one jump where that firewall offers a place for it (DOCKER-USER, else the top of
 * FORWARD), to a chain of ours that lets our bridges pass; what may really pass is still decided by
 * our own table. The jump is put back when it is flushed, and removed with the networks. Nothing
 * else of another's is touched.
 *
 * Seen are tables of nftables and of iptables-nft; the old kernel tables of iptables-legacy are
 * not.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/internal.h"

#define CHAIN "HULL-FORWARD"
#define LIST_MAX (4 << 20)
#define CHECK_NS (2 * NS_PER_S) /* how often a look is worth its time */

static const char *const families[] = {"ip", "ip6"};

/* A chain of table `filter` as text; empty when there is none. */
static void list_chain(struct net *n, const char *family, const char *chain, struct buf *out)
{
    auto_free char *text = mem_printf("list chain %s filter %s", family, chain);
    struct err ignored;

    buf_reset(out);
    if (nft_query(n->nft, text, out, &ignored) < 0)
        buf_reset(out);
}

/* The rules of our chain: whatever comes from or goes to a bridge of ours. */
static void write_chain(struct net *n, const char *family, struct buf *out)
{
    (void)buf_printf(out, "add chain %s filter " CHAIN "\nflush chain %s filter " CHAIN "\n",
                     family, family);
    pthread_mutex_lock(&n->lock);
    map_each(ent, &n->networks) {
        const struct network *w = ent->val;
        struct rule_net net;
        if (w->gone || !network_rule(w, &net))
            continue;
        (void)buf_printf(out, "add rule %s filter " CHAIN " iifname \"%s\" accept\n", family,
                         net.bridge);
        (void)buf_printf(out, "add rule %s filter " CHAIN " oifname \"%s\" accept\n", family,
                         net.bridge);
    }
    pthread_mutex_unlock(&n->lock);
}

/* The handle of the jump in a listing, 0 when it is not there: "jump HULL-FORWARD # handle 12". */
static uint64_t jump_handle(const char *listing)
{
    const char *at = strstr(listing, "jump " CHAIN), *mark = "# handle ";
    uint64_t handle = 0;

    at = at != NULL ? strstr(at, mark) : NULL;
    if (at == NULL)
        return 0;
    at += strlen(mark);
    return str_to_u64((struct str){at, strspn(at, "0123456789")}, 1, UINT64_MAX, &handle) ? handle
                                                                                          : 0;
}

/* True when this family's FORWARD drops what nobody accepted. */
static bool blocks(struct net *n, const char *family, struct buf *scratch)
{
    list_chain(n, family, "FORWARD", scratch);
    return strstr(buf_cstr(scratch), "policy drop") != NULL;
}

/* Under rules_lock. */
static void pass_family(struct net *n, const char *family, bool rewrite)
{
    auto_buf struct buf list = BUF_MAX(LIST_MAX), text = BUF_MAX(1 << 20);
    const char *place = "DOCKER-USER";
    struct err e;

    if (!blocks(n, family, &list))
        return;
    list_chain(n, family, place, &list);
    if (list.n == 0) {
        place = "FORWARD";
        list_chain(n, family, place, &list);
    }
    bool there = jump_handle(buf_cstr(&list)) != 0;
    if (there && !rewrite)
        return;
    write_chain(n, family, &text);
    if (!there)
        (void)buf_printf(&text, "insert rule %s filter %s counter jump " CHAIN "\n", family, place);
    if (nft_run(n->nft, buf_cstr(&text), &e) < 0)
        log_warn("another firewall drops forwarded packets, and letting ours pass failed", "chain",
                 place, "error", e.msg, NULL);
    else if (!there)
        log_info("another firewall drops forwarded packets, ours pass by a jump", "family", family,
                 "chain", place, NULL);
}

void foreign_pass(struct net *n, bool rewrite)
{
    int64_t now = time_mono_ns();

    if (n->nft == NULL || n->o.foreign_respect)
        return;
    pthread_mutex_lock(&n->rules_lock);
    if (rewrite || now - n->foreign_checked_ns > CHECK_NS) {
        n->foreign_checked_ns = now;
        for (size_t i = 0; i < ARRAY_LEN(families); i++)
            pass_family(n, families[i], rewrite);
    }
    pthread_mutex_unlock(&n->rules_lock);
}

void foreign_remove(struct net *n)
{
    static const char *const places[] = {"DOCKER-USER", "FORWARD"};
    auto_buf struct buf list = BUF_MAX(LIST_MAX), text = BUF_MAX(4096);
    struct err e;

    if (n->nft == NULL)
        return;
    pthread_mutex_lock(&n->rules_lock);
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        list_chain(n, families[i], CHAIN, &list);
        if (list.n == 0)
            continue;
        buf_reset(&text);
        for (size_t k = 0; k < ARRAY_LEN(places); k++) {
            list_chain(n, families[i], places[k], &list);
            uint64_t handle = jump_handle(buf_cstr(&list));
            if (handle != 0)
                (void)buf_printf(&text, "delete rule %s filter %s handle %llu\n", families[i],
                                 places[k], (unsigned long long)handle);
        }
        (void)buf_printf(&text,
                         "flush chain %s filter " CHAIN "\ndelete chain %s filter " CHAIN "\n",
                         families[i], families[i]);
        if (nft_run(n->nft, buf_cstr(&text), &e) < 0)
            log_warn("our chain in another firewall's table stays", "error", e.msg, NULL);
    }
    pthread_mutex_unlock(&n->rules_lock);
}

const char *net_forward_blocker(struct net *n, struct arena *a)
{
    auto_buf struct buf list = BUF_MAX(LIST_MAX);
    const char *blocker = "";

    if (n->nft == NULL || !n->o.foreign_respect)
        return "";
    pthread_mutex_lock(&n->rules_lock);
    for (size_t i = 0; i < ARRAY_LEN(families) && blocker[0] == '\0'; i++) {
        if (blocks(n, families[i], &list))
            blocker = arena_printf(a, "%s filter FORWARD", families[i]);
    }
    pthread_mutex_unlock(&n->rules_lock);
    return blocker;
}
