/* Route netlink messages: a buffer of them, read as a dump's answer is read. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "sys/netlink_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = mem_dup(data, size); /* aligned, and of exactly this size */
    struct nl_route route;
    struct nl_link link;
    struct nl_addr addr;
    char text[64];
    int left = (int)size;

    for (const struct nlmsghdr *h = (const void *)copy; nl_msg_ok(h, left);
         h = mnl_nlmsg_next(h, &left)) {
        if (nl_read_link(h, &link) && strnlen(link.name, sizeof(link.name)) == sizeof(link.name))
            __builtin_trap();
        if (nl_read_addr(h, &addr) && addr.net.bits > ip_width(addr.net.addr))
            __builtin_trap();
        if (nl_read_route(h, &route) && route.dst.bits > ip_width(route.dst.addr))
            __builtin_trap();
        if (nl_read_error(h, text, sizeof(text)) > 0)
            __builtin_trap();
    }
    free(copy);
    return 0;
}
