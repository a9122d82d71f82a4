/*
 * The packet filter of this daemon: one table, changed element by element, and written anew from
 * memory whenever a change does not fit (someone flushed it). Memory is always changed first, so
 * that a rebuild knows the latest state.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/internal.h"
#include "sys/path.h"

#define TEXT_MAX (64 << 20) /* about half a million ports */

int firewall_open(struct net *n, struct err *e)
{
    auto_free char *text = mem_printf("list chain inet %s others", n->table);
    auto_buf struct buf list = BUF_MAX(65536);
    struct err none;

    if (n->o.no_rules)
        return 0;
    TRY(nft_open(&n->nft, e));
    if (nft_query(n->nft, text, &list, &none) == 0) /* the last daemon's table */
        n->stop = rules_stop_of(buf_cstr(&list));
    return 0;
}

/* All of memory as text. */
static void whole_text(struct net *n, struct buf *out)
{
    VEC(struct rule_net) nets = {0};
    struct rule_ports ports = {0};

    pthread_mutex_lock(&n->lock);
    map_each(ent, &n->networks) {
        const struct network *w = ent->val;
        struct rule_net net;
        if (!w->gone && network_rule(w, &net))
            vec_push(&nets, net);
    }
    map_each(ent, &n->sandboxes) {
        const struct sandbox *sb = ent->val;
        publish_rules(n, &sb->doc, &ports);
    }
    rules_all(n->table, n->stop, nets.v, nets.n, ports.v, ports.n,
              out); /* under the lock: the names are borrowed */
    pthread_mutex_unlock(&n->lock);
    vec_done(&nets);
    vec_done(&ports);
}

/* Under rules_lock. */
static int rebuild(struct net *n, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(TEXT_MAX);

    whole_text(n, &text);
    if (text.over)
        return err_set(e, ERR_TOO_LARGE, "too many published ports");
    if (nft_run(n->nft, buf_cstr(&text), e) < 0)
        return err_wrap(e, "write packet filter");
    n->rules_written = true;
    return 0;
}

int firewall_rebuild(struct net *n, struct err *e)
{
    int r;

    if (n->nft == NULL)
        return 0;
    pthread_mutex_lock(&n->rules_lock);
    r = rebuild(n, e);
    pthread_mutex_unlock(&n->rules_lock);
    return r;
}

static int change(struct net *n, const struct buf *text, struct err *e)
{
    int r;

    if (text->over)
        return err_set(e, ERR_TOO_LARGE, "too many published ports");
    pthread_mutex_lock(&n->rules_lock);
    r = nft_run(n->nft, buf_cstr(text), e);
    if (r < 0) {
        log_warn("packet filter is not as we left it, writing it anew", "error", e->msg, NULL);
        r = rebuild(n, e);
    }
    pthread_mutex_unlock(&n->rules_lock);
    return r;
}

int firewall_network(struct net *n, const char *verb, const struct network *w, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(TEXT_MAX);
    struct rule_net net;

    if (n->nft == NULL || !network_rule(w, &net))
        return 0;
    rules_net(n->table, verb, &net, &text);
    return change(n, &text, e);
}

int firewall_ports(struct net *n, const char *verb, const struct rule_port *ports, size_t count,
                   struct err *e)
{
    auto_buf struct buf text = BUF_MAX(TEXT_MAX);

    if (n->nft == NULL || count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        rules_port(n->table, verb, &ports[i], &text);
    return change(n, &text, e);
}

void firewall_close(struct net *n, bool remove)
{
    auto_buf struct buf text = BUF_MAX(4096);
    struct err e;

    if (n->nft != NULL && remove) {
        rules_none(n->table, &text);
        if (nft_run(n->nft, buf_cstr(&text), &e) < 0)
            log_warn("packet filter stays", "error", e.msg, NULL);
    }
    nft_close(n->nft);
    n->nft = NULL;
}

/* Turn a sysctl on. 1 when it was off. */
static int turn_on(const char *path, struct err *e)
{
    auto_buf struct buf now = BUF_MAX(64);
    int r;

    TRY(file_read(AT_FDCWD, path, &now, e));
    if (buf_cstr(&now)[0] != '0')
        return 0;
    r = file_put(AT_FDCWD, path, "1");
    return r < 0 ? err_neg(e, r, "write %s", path) : 1;
}

int firewall_forward(struct net *n, bool ipv6, struct err *e)
{
    struct rule_stop stop = {false, false};
    int r, r6 = 0;

    if (n->o.no_forward)
        return 0;
    pthread_mutex_lock(&n->rules_lock);
    stop = n->stop;
    r = turn_on("/proc/sys/net/ipv4/ip_forward", e);
    if (r >= 0 && ipv6)
        r6 = turn_on("/proc/sys/net/ipv6/conf/all/forwarding", e);
    if (!n->o.forward_no_drop) {
        n->stop.ip4 |= r > 0;
        n->stop.ip6 |= r6 > 0;
    }
    bool changed = n->stop.ip4 != stop.ip4 || n->stop.ip6 != stop.ip6;
    if (r >= 0 && r6 >= 0 && changed && n->rules_written)
        r = rebuild(n, e);
    pthread_mutex_unlock(&n->rules_lock);
    return r < 0 || r6 < 0 ? -1 : 0;
}
