/**
 * The three files about names that a container gets: resolv.conf, hosts and hostname. Text in, text
 * out; who writes the files owns them.
 */
#ifndef HULL_NET_RESOLV_H
#define HULL_NET_RESOLV_H

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"

#define RESOLV_TEXT_MAX (64 << 10) /* a longer resolv.conf of the host is refused */

/** What `--dns`, `--dns-search` and `--dns-opt` gave, container first, else daemon; borrowed. */
struct resolv_opts {
    const struct strv *servers, *search, *options; /* NULL or empty: the host's */
    bool ipv6;     /* the container has an IPv6 address: v6 servers are kept */
    bool internal; /* a network of the user's own: keep loopback-free servers, no fallback */
};

/**
 * resolv.conf for a container on the default bridge (host and none modes copy the host's file as it
 * is).
 *
 * host_text, n  the host's resolv.conf; lines that are not understood are dropped.
 * out           appended; its maximum should be RESOLV_TEXT_MAX or more.
 *
 * Loopback servers of the host are dropped, as are IPv6 ones without ipv6 (or with a zone); none
 * left: 8.8.8.8, 8.8.4.4 (and Google's IPv6 ones with ipv6), as Docker does. `--dns-search .` means
 * no search list. Servers that were given explicitly are kept as they are.
 */
void resolv_write(const char *host_text, size_t n, const struct resolv_opts *o, struct buf *out);

/** The file of the host that lists real servers: systemd-resolved's own when /etc/resolv.conf has
 * only 127.0.0.53. */
int resolv_host_read(struct buf *out, struct err *e);

/** A server address as --dns takes it. INVALID: `ip address is not correctly formatted: "x"`. */
int resolv_check_server(const char *server, struct err *e);

/** One line of /etc/hosts. */
struct hosts_line {
    const char *ip;
    const char *names; /* "web web.example" */
};

/**
 * /etc/hosts of a container.
 *
 * own, n_own      its addresses with its host name(s), one line each, after the localhost lines.
 * extra           "name:ip" or "name=ip" of --add-host; ip may be host-gateway.
 * host_gateway    the address that host-gateway stands for; "" makes such a line an error.
 *
 * Errors: INVALID: `bad format for add-host: "x"`, `invalid IP address in add-host: "x"`.
 */
int hosts_write(const struct hosts_line *own, size_t n_own, const struct strv *extra,
                const char *host_gateway, struct buf *out, struct err *e);

/** Check one --add-host value, for container create. host-gateway is accepted. */
int hosts_check_extra(const char *extra, struct err *e);

#endif
