# A network namespace for a test's daemons: their bridges, rules and ports never meet the machine's.

# net_begin: makes it, with loopback up and forwarding on; `in_net COMMAND...` runs in it.
net_begin() {
    test_netns=ht-${T##*.}
    ip netns add "$test_netns"
    in_net ip link set lo up
    in_net sysctl -qw net.ipv4.ip_forward=1
}

in_net() {
    if [ -n "${test_netns:-}" ]; then
        nsenter "--net=/run/netns/$test_netns" -- "$@"
    else
        "$@"
    fi
}

# net_uplink: joins the namespace to the machine through a veth pair with NAT, so that apt works inside containers.
# Takes a /30 of 198.18.0.0/15 (reserved for tests, RFC 2544) that no link uses.
net_uplink() {
    local n=1 name=up${T##*.}
    while ip -o -4 addr | grep -q " 198\.18\.$n\."; do
        n=$((n + 1))
    done
    ip link add "$name" type veth peer name uplink netns "$test_netns"
    ip addr add "198.18.$n.1/30" dev "$name"
    ip link set "$name" up
    in_net ip addr add "198.18.$n.2/30" dev uplink
    in_net ip link set uplink up
    in_net ip route add default via "198.18.$n.1"
    uplink_forward=$(cat /proc/sys/net/ipv4/ip_forward)
    sysctl -qw net.ipv4.ip_forward=1
    uplink_table=hull_test_${T##*.}
    nft -f - <<-END
	table ip $uplink_table {
	    chain post { type nat hook postrouting priority srcnat; ip saddr 198.18.$n.0/30 masquerade; }
	}
	END
}

net_end() {
    [ -n "${test_netns:-}" ] || return 0
    if [ -n "${uplink_table:-}" ]; then
        nft delete table ip "$uplink_table" 2>/dev/null || true
        sysctl -qw net.ipv4.ip_forward="$uplink_forward"
        uplink_table=
    fi
    ip netns del "$test_netns" 2>/dev/null || true
    test_netns=
}
