/** Addresses and networks written out. */
#ifndef HULL_TESTS_IP_TEXT_H
#define HULL_TESTS_IP_TEXT_H

#include "sys/ipaddr.h"

/** "" is none. */
static inline struct ip_net net_of(const char *s)
{
    struct ip_net n = {0};

    if (s[0] != '\0')
        assert_true(ip_net_parse(str_of(s), &n));
    return n;
}

static inline struct ip_addr addr_of(const char *s)
{
    struct ip_addr a = {0};

    assert_true(ip_parse(str_of(s), &a));
    return a;
}

#endif
