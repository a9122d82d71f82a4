#!/usr/bin/env bats
# hull-runc and user namespaces: containers of ordinary users, and those whose namespaces somebody else has made.

load ../lib/common
load ../lib/originals
load ../lib/bundle

user=54321 # nobody's

setup() {
    bundle_begin setpriv unshare
    chmod 755 "$T"
}
teardown() {
    bundle_containers_end
    finish sandbox KILL
    test_end
    rmdir "/sys/fs/cgroup/"{,*/}"$(test_cgroup)/user/"{c1,mine} "/sys/fs/cgroup/"{,*/}"$(test_cgroup)/user" 2>/dev/null || true
    bundle_cgroups_end
}

# as_user COMMAND...: as an ordinary user, whose runtime folder is $T/run.
as_user() {
    XDG_RUNTIME_DIR=$T/run setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
}
# user_bundle: the bundle belongs to that user, and is made for it.
user_bundle() {
    rm -f config.json
    mkdir -p "$T/run"
    chown -R "$user:$user" "$T/b" "$T/run"
    as_user "$T/bin/hull-runc" spec --rootless
    config '.process.terminal = false | .root.readonly = false'
}
url() { as_user "$T/bin/hull-runc" "$@"; }
# mapped BASE: a user namespace whose root is BASE on the host, and the root file system belongs to it.
mapped() {
    chown -R "$1:$1" rootfs
    config --argjson base "$1" '.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": $base, "size": 65536}] | .linux.gidMappings = .linux.uidMappings | .root.readonly = false'
}
nothing_of_user_left() {
    [ -z "$(ls "$T/run/hull-runc")" ] || fail "state is left: $(ls "$T/run/hull-runc")"
}

@test "an ordinary user runs a container: spec --rootless, run, its own root" {
    user_bundle
    sh_c 'id -u; cat /proc/self/uid_map; echo x >/tmp/made; mount -t tmpfs none /mnt 2>/dev/null || echo bounded; ls /dev/pts >/dev/null; exit 7'
    run -7 url run c1
    [ "${lines[0]}" = 0 ]
    [[ ${lines[1]} =~ ^\ +0\ +$user\ +1$ ]]
    [ "${lines[2]}" = bounded ]
    [ "$(stat -c %u rootfs/tmp/made)" = "$user" ]
    [ "$(stat -c %a "$T/run/hull-runc")" = 1700 ]
    nothing_of_user_left
}

@test "an ordinary user: create, start, exec, state, kill, delete" {
    user_bundle
    args sleep 1000
    url create --pid-file "$T/run/pid" c1 >"$T/out" 2>&1
    [ "$(url state c1 | jq -r .status)" = created ]
    url start c1
    [ "$(url state c1 | jq -r .status)" = running ]
    local pid
    pid=$(cat "$T/run/pid")
    [ "$(stat -c %u "/proc/$pid")" = "$user" ]
    grep -q '^Uid:.*54321.*54321' "/proc/$pid/status"
    run -0 url exec c1 sh -c 'id -u; ps | grep -c "[s]leep 1000"'
    expect_output $'0\n1'
    run -3 url exec c1 sh -c 'exit 3'
    url kill c1 KILL
    wait_until gone "$pid"
    url delete c1
    nothing_of_user_left
}

@test "an ordinary user: what it cannot have is said in runc's words" {
    user_bundle
    args true
    refused() { # JQ TEXT
        cp config.json kept.json
        config "$1"
        run -1 url run c1
        mv kept.json config.json
        [[ $output == *"$2"* ]] || fail "$output"
        nothing_of_user_left
    }
    refused '.linux.namespaces |= map(select(.type != "user")) | del(.linux.uidMappings, .linux.gidMappings)' 'rootless container requires user namespaces'
    refused 'del(.linux.gidMappings)' 'rootless containers requires at least one GID mapping'
    refused '.process.user.additionalGids = [5]' 'cannot set any additional groups in a rootless container'
    refused '.process.user.uid = 7' 'cannot setuid to unmapped uid 7 in user namespace'
    refused '.mounts |= map(if .destination == "/dev/pts" then .options += ["gid=5"] else . end)' 'cannot specify gid=5 mount options for unmapped gid in rootless containers'
    refused '.mounts += [{source: "/tmp", destination: "/x", options: ["bind", "idmap"]}]' 'id-mapped mounts are not supported for rootless containers'
    refused '.linux.resources.memory.limit = 33554432' 'rootless needs no limits + no cgrouppath when no permission is granted for cgroups: unable to apply cgroup configuration: '
    refused '.linux.cgroupsPath = "/nobody/c1"' 'unable to apply cgroup configuration: '
    refused '.linux.uidMappings = [{containerID: 0, hostID: 0, size: 10}]' 'newuidmap failed'
}

@test "an ordinary user: more ids through newuidmap and newgidmap, a time namespace of its own" {
    need_tool newuidmap newgidmap
    user_bundle
    echo "me:x:$user:$user::/:/bin/sh" >"$T/passwd"
    echo "me:200000:1000" >"$T/subid"
    local map='[{containerID: 0, hostID: 54321, size: 1}, {containerID: 1, hostID: 200000, size: 1000}]'
    config ".linux.uidMappings = $map | .linux.gidMappings = $map | .process.user = {uid: 7, gid: 8, additionalGids: [9]} |
        .linux.namespaces += [{type: \"time\"}] | .linux.timeOffsets = {boottime: {secs: 1337}}"
    chmod 1777 rootfs/tmp
    sh_c 'id; touch /tmp/made; grep boottime /proc/self/timens_offsets'
    run -0 unshare -m sh -euc 'for f in subuid subgid; do : >>/etc/$f; mount --bind "$T/subid" /etc/$f; done; mount --bind "$T/passwd" /etc/passwd
        XDG_RUNTIME_DIR=$T/run exec setpriv --reuid 54321 --regid 54321 --clear-groups "$T/bin/hull-runc" run c1'
    expect_match 'uid=7 gid=8 groups=9'
    expect_match 'boottime +1337 +0'
    [ "$(stat -c %u:%g rootfs/tmp/made)" = 200006:200007 ]
    nothing_of_user_left
}

# delegated: a cgroup of the test's that belongs to the user, in every hierarchy; $pids_cgroup is the one that counts processes.
delegated() {
    local dir file
    for dir in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -e "$dir/cgroup.procs" ] && [ "$(stat -fc %T "$dir")" != tmpfs ] && mountpoint -q "$dir" || continue
        mkdir -p "$dir/$(test_cgroup)"
        if [ -e "$dir/cpuset.cpus" ]; then # v1: empty until told
            for file in cpuset.cpus cpuset.mems; do cat "$dir/$file" >"$dir/$(test_cgroup)/$file"; done
        fi
        [ ! -e "$dir/cgroup.controllers" ] || echo +pids 2>/dev/null >"$dir/cgroup.subtree_control" &&
            echo +pids 2>/dev/null >"$dir/$(test_cgroup)/cgroup.subtree_control" || true
        mkdir -p "$dir/$(test_cgroup)/user/mine"
        if [ -e "$dir/cpuset.cpus" ]; then
            for file in cpuset.cpus cpuset.mems; do cat "$dir/$file" >"$dir/$(test_cgroup)/user/$file"; done
        fi
        chown -R "$user:$user" "$dir/$(test_cgroup)/user"
        [ ! -e "$dir/$(test_cgroup)/user/pids.max" ] || pids_cgroup=$dir/$(test_cgroup)/user
        [ ! -e "$dir/cgroup.controllers" ] || unified_cgroup=$dir/$(test_cgroup)/user
    done
}

@test "an ordinary user: a delegated cgroup has its limits" {
    local pids_cgroup= unified_cgroup=
    user_bundle
    delegated
    [ -n "$pids_cgroup" ] || skip "no pids controller here"
    config --arg p "/$(test_cgroup)/user/c1" '.linux.cgroupsPath = $p | .linux.resources = {pids: {limit: 17}} | .linux.namespaces |= map(select(.type != "cgroup"))'
    sh_c 'cat /proc/self/cgroup'
    # who moves a process must be in what was delegated, too
    run -0 sh -euc 'echo $$ >"$0/mine/cgroup.procs"; XDG_RUNTIME_DIR=$T/run exec setpriv --reuid 54321 --regid 54321 --clear-groups "$T/bin/hull-runc" run --keep c1' "$unified_cgroup"
    expect_match "/$(test_cgroup)/user/c1"
    [ "$(cat "$pids_cgroup/c1/pids.max")" = 17 ]
    url delete c1
    [ ! -e "$pids_cgroup/c1" ]
    nothing_of_user_left
}

# A sandbox as a daemon makes it: a network namespace that belongs to the user namespace of the containers.
sandbox() {
    background sandbox unshare --user --net sleep 1000
    sandbox_pid=$(cat "$T/pid/sandbox")
    wait_until sh -c '[ "$(readlink /proc/$0/ns/user)" != "$(readlink /proc/self/ns/user)" ] && [ "$(readlink /proc/$0/ns/net)" != "$(readlink /proc/self/ns/net)" ]' "$sandbox_pid"
    echo '0 100000 65536' >"/proc/$sandbox_pid/uid_map"
    echo '0 100000 65536' >"/proc/$sandbox_pid/gid_map"
    mapped 100000
    config --arg p "/proc/$sandbox_pid/ns" 'del(.linux.uidMappings, .linux.gidMappings) |
        .linux.namespaces |= map(if .type == "user" then .path = $p + "/user" elif .type == "network" then .path = $p + "/net" else . end) |
        .process.capabilities.bounding += ["CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN"] |
        .process.capabilities.effective = .process.capabilities.bounding | .process.capabilities.permitted = .process.capabilities.bounding'
}

@test "namespaces of a daemon's sandbox: a server on port 80, net sysctls, /sys, NET_ADMIN" {
    sandbox
    config '.linux.sysctl = {"net.ipv4.ip_forward": "1", "net.ipv4.ip_unprivileged_port_start": "99"}'
    mkdir rootfs/www
    echo page >rootfs/www/index.html
    sh_c 'ip link set lo up && ip addr add 10.9.8.7/32 dev lo && cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_unprivileged_port_start &&
        ls /sys/class/net && httpd -p 80 -h /www && wget -qO- http://10.9.8.7/ && id -u && cat /proc/self/uid_map'
    run -0 rt run c1
    [ "${lines[*]:0:5}" = "1 99 lo page 0" ] || fail "$output"
    [[ ${lines[5]} =~ ^\ +0\ +100000\ +65536$ ]]
    args sleep 1000
    rt create c1
    rt start c1
    run -0 rt exec c1 ip -o addr show dev lo # a further process, and what the first container has set up
    expect_match 10.9.8.7
    # a second container of the sandbox shares the network, not the rest
    config '.linux.cgroupsPath += "2" | .hostname = "other"'
    sh_c 'hostname; ps | grep -c "[s]leep 1000"; ip -o addr show dev lo | grep -o 10.9.8.7'
    run -0 rt run c2
    expect_output $'other\n0\n10.9.8.7'
}

@test "the mappings of a joined user namespace may be named again, but no others" {
    sandbox
    args id -u
    config '.linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings'
    run -0 rt run c1
    expect_output 0
    config '.linux.uidMappings[0].hostID = 100001'
    run -1 rt run c1
    [[ $output == *"user namespaces enabled, but both namespace path and non-matching mapping specified -- you may only provide one"* ]] || fail "$output"
    nothing_left c1
}

@test "files of an id-mapped tree belong inside and on disk to whom they should" {
    mapped 100000
    mkdir -p "$T/layer/home"
    chown 1000:1000 "$T/layer/home"
    config --arg s "$T/layer" '.mounts += [{source: $s, destination: "/layer", options: ["rbind", "idmap"]}] | .process.user = {uid: 1000, gid: 1000}'
    sh_c 'stat -c %u:%g /layer /layer/home && touch /layer/home/new && stat -c %u:%g /layer/home/new'
    run -0 rt run c1
    expect_output $'0:0\n1000:1000\n1000:1000'
    [ "$(stat -c %u:%g "$T/layer/home/new")" = 1000:1000 ]
}

@test "from inside: its own processes, interfaces, root, mounts, shared memory and name; mapped root is nobody's" {
    mapped 200000
    echo host >"$T/outside"
    local host
    host=$(hostname)
    sh_c 'echo $$; ps | grep -vc PID; ls /sys/class/net; ls /; ipcs -m | grep -c 0x; hostname; grep -c . /proc/self/mountinfo; kill -0 1 && echo own; exec sleep 1000'
    local id
    id=$(ipcmk -M 4096 | grep -o '[0-9]*$')
    rt create c1 >"$T/out" 2>&1
    rt start c1
    wait_until grep -q own "$T/out"
    ipcrm -m "$id"
    local pid
    pid=$(rt state c1 | jq .pid)
    mapfile -t lines <"$T/out"
    [ "${lines[0]}" = 1 ]
    [ "${lines[1]}" -le 3 ] # itself, ps, grep
    [ "${lines[2]}" = lo ]
    grep -qx 0 "$T/out" # no shared memory of the host
    grep -qx runc "$T/out"
    [ runc != "$host" ]
    [ "$(stat -c %u "/proc/$pid")" = 200000 ]
    # what its root may do to the host is what any user may: nothing
    run ! rt exec c1 sh -c "echo x >/proc/sys/kernel/hostname"
    run ! rt exec c1 sh -c "kill -0 $$"
    run ! rt exec c1 cat "$T/outside"
    local kind
    for kind in pid net ipc uts mnt user; do
        [ "$(readlink "/proc/$pid/ns/$kind")" != "$(readlink "/proc/self/ns/$kind")" ] || fail "$kind is the host's"
    done
}

@test "network devices move in, with their name, addresses, MTU and hardware address" {
    need_tool nsenter ip
    local ns
    ns=$(test_cgroup)
    ip netns add "$ns"
    ip -n "$ns" link add nd0 mtu 1400 address 02:00:00:00:00:77 type veth peer name nd1
    ip -n "$ns" addr add 10.7.7.7/24 dev nd0
    ip -n "$ns" addr add fd00::7/64 dev nd0
    ip -n "$ns" addr add 127.0.0.33/32 scope host dev nd0
    ip -n "$ns" link set nd0 up
    nrun() { nsenter "--net=/run/netns/$ns" "$T/bin/hull-runc" --root "$T/s" run "$@"; }
    config '.linux.netDevices = {nd0: {name: "eth9"}}'
    args ip addr show dev eth9
    run -0 nrun c1
    expect_match 'mtu 1400'
    expect_match 'link/ether 02:00:00:00:00:77'
    expect_match 'inet 10.7.7.7/24'
    expect_match 'inet6 fd00::7/64'
    expect_match '[<,]UP[,>]'
    [[ $output != *127.0.0.33* ]]
    run ! ip -n "$ns" link show dev nd0 # a veth goes with the namespace it is in
    wait_until fails ip -n "$ns" link show dev nd1 # the kernel takes the namespace apart a little later
    ip -n "$ns" link add nd0 type veth peer name nd1
    ip netns add "$ns-in" # a joined namespace keeps it
    config --arg p "/run/netns/$ns-in" '.linux.netDevices = {nd0: {}} | .linux.namespaces |= map(if .type == "network" then .path = $p else . end)'
    args ip link show dev nd0
    run -0 nrun c1
    run -0 ip -n "$ns-in" link show dev nd0
    run -1 nrun c1
    [[ $output == *"error creating network interfaces: move netDevice nd0: link not found for interface nd0 on runtime namespace: Link not found"* ]] || fail "$output"
    config '.linux.netDevices = {"a/b": {}}'
    run -1 nrun c1
    [[ $output == *'invalid network device name \"a/b\"'* ]] || fail "$output"
    config '.linux.netDevices = {nd1: {}} | .linux.namespaces |= map(select(.type != "network"))'
    run -1 nrun c1
    [[ $output == *'unable to move network devices without a NET namespace'* ]] || fail "$output"
    ip netns del "$ns-in"
    ip netns del "$ns"
    nothing_left c1
}

@test "a time namespace is joined by path, also from a new user namespace" {
    args sleep 1000
    config '.linux.namespaces += [{"type": "time"}] | .linux.timeOffsets = {boottime: {secs: 777}}'
    rt create c1
    rt start c1
    config --arg p "/proc/$(rt state c1 | jq .pid)/ns/time" 'del(.linux.timeOffsets) | .linux.cgroupsPath += "2" | .linux.namespaces |= map(if .type == "time" then .path = $p else . end)'
    args grep boottime /proc/self/timens_offsets
    run -0 rt run c2
    expect_match 'boottime +777 +0'
    mapped 100000
    run -0 rt run c2
    expect_match 'boottime +777 +0'
    config '.linux.timeOffsets = {boottime: {secs: 5}}'
    run -1 rt run c2
    [[ $output == *"time namespace enabled, but both namespace path and time offsets specified -- you may only provide one" ]] || fail "$output"
}
