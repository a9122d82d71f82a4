/* resolv.conf and hosts of containers; see resolv.h. A resolv.conf is read line by line into lists
 * and written anew. */
#include "net/resolv.h"

#include <errno.h>
#include <fcntl.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/ipaddr.h"
#include "sys/path.h"

#define HOST_RESOLV "/etc/resolv.conf"
#define SYSTEMD_RESOLV "/run/systemd/resolve/resolv.conf"

/* What a resolv.conf says, as views into its text. */
struct resolv {
    VEC(struct str) servers, search, options;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line; empty at its end. */
static struct str next_word(struct str *line)
{
    struct str word;

    while (line->n > 0 && is_blank(line->p[0])) {
        line->p++;
        line->n--;
    }
    word = (struct str){line->p, 0};
    while (word.n < line->n && !is_blank(line->p[word.n]))
        word.n++;
    line->p += word.n;
    line->n -= word.n;
    return word;
}

/* A server of the host's that a container can reach. "fe80::1%eth0" means nothing inside. */
static bool usable(struct str server, bool ipv6)
{
    struct ip_addr a;

    if (!ip_parse(server, &a) || ip_is_loopback(a))
        return false;
    return a.family == 4 || ipv6;
}

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    return true;
}

static void read_line(struct str line, struct resolv *r)
{
    struct str key = next_word(&line), word;

    if (!is_text(key))
        return;
    if (str_eq(key, "nameserver")) {
        word = next_word(&line);
        if (word.n > 0 && is_text(word))
            vec_push(&r->servers, word);
    } else if (str_eq(key, "search") || str_eq(key, "domain")) {
        r->search.n = 0; /* the last one counts */
        while ((word = next_word(&line)).n > 0) {
            if (is_text(word))
                vec_push(&r->search, word);
        }
    } else if (str_eq(key, "options")) {
        while ((word = next_word(&line)).n > 0) {
            if (is_text(word))
                vec_push(&r->options, word);
        }
    }
}

static void write_list(const char *key, const struct strv *given, const struct str *host,
                       size_t n_host, struct buf *out)
{
    bool own = given != NULL && given->n > 0;
    size_t n = own ? given->n : n_host;

    if (n == 0)
        return;
    (void)buf_adds(out, key);
    for (size_t i = 0; i < n; i++) {
        struct str s = own ? str_of(given->v[i]) : host[i];
        (void)buf_addc(out, ' ');
        (void)buf_add(out, s.p, s.n);
    }
    (void)buf_addc(out, '\n');
}

static void write_servers(const struct resolv *r, const struct resolv_opts *o, struct buf *out)
{
    size_t before = out->n;

    if (o->servers != NULL && o->servers->n > 0) {
        for (size_t i = 0; i < o->servers->n; i++)
            (void)buf_printf(out, "nameserver %s\n", o->servers->v[i]);
        return;
    }
    vec_each(s, &r->servers) {
        if (usable(*s, o->ipv6))
            (void)buf_printf(out, "nameserver %.*s\n", STR_ARG(*s));
    }
    if (out->n != before || o->internal)
        return;
    (void)buf_adds(out, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    if (o->ipv6)
        (void)buf_adds(out, "nameserver 2001:4860:4860::8888\nnameserver 2001:4860:4860::8844\n");
}

void resolv_write(const char *host_text, size_t n, const struct resolv_opts *o, struct buf *out)
{
    struct str text = {host_text, n};
    struct resolv r = {0};
    bool no_search = o->search != NULL && o->search->n == 1 && strcmp(o->search->v[0], ".") == 0;

    while (text.n > 0) {
        struct str line = str_trim(str_cut(&text, '\n'));
        if (line.n > 0 && line.p[0] != '#' && line.p[0] != ';')
            read_line(line, &r);
    }
    write_servers(&r, o, out);
    if (!no_search)
        write_list("search", o->search, r.search.v, r.search.n, out);
    write_list("options", o->options, r.options.v, r.options.n, out);
    vec_done(&r.servers);
    vec_done(&r.search);
    vec_done(&r.options);
}

/* True when a resolv.conf names 127.0.0.53 and no other server: systemd-resolved's stub. */
static bool is_stub(const char *p, size_t n)
{
    struct str text = {p, n};
    size_t stubs = 0;

    while (text.n > 0) {
        struct str line = str_trim(str_cut(&text, '\n'));
        if (!str_eq(next_word(&line), "nameserver"))
            continue;
        if (!str_eq(next_word(&line), "127.0.0.53"))
            return false;
        stubs++;
    }
    return stubs > 0;
}

int resolv_host_read(struct buf *out, struct err *e)
{
    struct buf other = BUF_MAX(RESOLV_TEXT_MAX);
    struct err ignored;
    int r = file_read(AT_FDCWD, HOST_RESOLV, out, e);

    if (r < 0 && e->kind != ERR_NOT_FOUND)
        return -1; /* without a file there are no servers, as the resolver sees it */
    if (is_stub(buf_cstr(out), out->n) &&
        file_read(AT_FDCWD, SYSTEMD_RESOLV, &other, &ignored) == 0) {
        buf_reset(out);
        (void)buf_add(out, buf_cstr(&other), other.n);
    }
    buf_done(&other);
    return 0;
}

int resolv_check_server(const char *server, struct err *e)
{
    struct ip_addr a;

    if (!ip_parse(str_of(server), &a))
        return err_set(e, ERR_INVALID, "ip address is not correctly formatted: \"%s\"", server);
    return 0;
}

/* ---- hosts ---- */

static const char localhost_lines[] = "127.0.0.1\tlocalhost\n"
                                      "::1\tlocalhost ip6-localhost ip6-loopback\n"
                                      "fe00::\tip6-localnet\n"
                                      "ff00::\tip6-mcastprefix\n"
                                      "ff02::1\tip6-allnodes\n"
                                      "ff02::2\tip6-allrouters\n";

/* "name:ip" or "name=ip"; an IPv6 address may stand in brackets. False: no separator, an empty
 * part, or bytes that break a line. */
static bool split_extra(const char *extra, struct str *name, struct str *ip)
{
    struct str s = str_of(extra);
    size_t at = strcspn(extra, ":=");

    if (at == 0 || at + 1 >= s.n || !is_text(s) || memchr(extra, ' ', at) != NULL)
        return false;
    *name = (struct str){s.p, at};
    *ip = (struct str){s.p + at + 1, s.n - at - 1};
    if (ip->n > 2 && ip->p[0] == '[' && ip->p[ip->n - 1] == ']')
        *ip = (struct str){ip->p + 1, ip->n - 2};
    return true;
}

int hosts_check_extra(const char *extra, struct err *e)
{
    struct str name, ip;
    struct ip_addr a;

    if (!split_extra(extra, &name, &ip))
        return err_set(e, ERR_INVALID, "bad format for add-host: \"%s\"", extra);
    if (!str_eq(ip, "host-gateway") && !ip_parse(ip, &a))
        return err_set(e, ERR_INVALID, "invalid IP address in add-host: \"%.*s\"", STR_ARG(ip));
    return 0;
}

int hosts_write(const struct hosts_line *own, size_t n_own, const struct strv *extra,
                const char *host_gateway, struct buf *out, struct err *e)
{
    (void)buf_adds(out, localhost_lines);
    for (size_t i = 0; extra != NULL && i < extra->n; i++) {
        struct str name = {0}, ip = {0};
        TRY(hosts_check_extra(extra->v[i], e));
        (void)split_extra(extra->v[i], &name, &ip); /* just checked */
        if (str_eq(ip, "host-gateway"))
            ip = str_of(host_gateway);
        if (ip.n == 0)
            return err_set(e, ERR_INVALID, "unable to derive the IP value for host-gateway");
        (void)buf_printf(out, "%.*s\t%.*s\n", STR_ARG(ip), STR_ARG(name));
    }
    for (size_t i = 0; i < n_own; i++)
        (void)buf_printf(out, "%s\t%s\n", own[i].ip, own[i].names);
    return 0;
}
