#!/usr/bin/env bats
# User namespaces: a daemon with --userns-remap, seen from the host and from inside, through Docker's client.

load ../lib/common
load ../lib/images
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    need hulld hull hull-containerd containerd-shim-hull-v2 hull-sandbox
    need_docker
    need_tool curl unshare
    test_begin
    chmod 755 "$T" # root of a user namespace must get through
    hulld_own_etc
}
teardown() {
    test_end
}

refused() { # SPEC: hulld does not start with it; what it says is in $output
    in_net timeout 20 "$T/bin/hulld" --data-root "$T/d2" --exec-root "$T/e2" \
        --pidfile "$T/p2" -H "unix://$T/s2" --userns-remap "$1"
}
upper() { # NAME: the container's writable layer
    local pid
    pid=$(docker inspect -f '{{.State.Pid}}' "$1")
    sed -n 's/^.* - overlay .*upperdir=\([^,]*\).*$/\1/p' "/proc/$pid/mountinfo" | head -n 1
}
owner() { stat -c %u:%g "$1"; }
page() { in_net curl -fsS --max-time 5 "http://127.0.0.1:$1/"; }

@test "root is nobody on the host, and serves port 80, has sysctls, /sys and links of its own" {
    hulld_start --userns-remap daemon
    engine_load pages
    run -0 docker info -f '{{.SecurityOptions}}'
    expect_match 'name=userns'
    docker run -d --name web -p 8080:80 --cap-add NET_ADMIN --sysctl net.ipv4.ping_group_range='0 1000' \
        --sysctl net.ipv4.ip_unprivileged_port_start=70 pages httpd -f -p 80 -h /srv/www
    wait_until says 'served from a container' page 8080
    pid=$(docker inspect -f '{{.State.Pid}}' web)
    [ "$(owner "/proc/$pid")" = 200000:300000 ]
    [ "$(readlink "/proc/$pid/ns/user")" != "$(readlink /proc/self/ns/user)" ]
    run -0 docker exec web sh -c 'id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map | xargs
        cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start | xargs
        ip link add br7 type bridge && ip addr add 10.9.0.1/24 dev br7 && ip -o -4 addr show br7 | xargs | cut -d" " -f2-4
        ls /sys/class/net | xargs; echo to the log >/dev/stdout; grep -c "^sysfs /sys " /proc/mounts'
    expect_output $'0\n0\n0 200000 65536 0 300000 65536\n0 1000 70\nbr7 inet 10.9.0.1/24\nbr7 eth0 lo\nto the log\n1'
    # without the capability it is as everywhere
    docker run -d --name weak pages sleep 300
    run -2 docker exec weak ip link add br7 type bridge
    expect_match 'Operation not permitted'
    # a network that it is connected to later; and the name is free again at once
    docker network create later
    docker network connect later web
    run -0 docker exec web ls /sys/class/net
    expect_match 'eth1'
    docker rm -f web weak
    docker network rm later
    wait_until rmdir "$T/exec/netns" # no file of a namespace is left in it
}

@test "files have the ids inside in the image and the container, and those of the mapping on disk" {
    hulld_start --userns-remap daemon
    engine_load pages
    docker run --name made --userns host pages sh -c 'mkdir /own; touch /own/f; chown -R 1000:1001 /own'
    docker commit made owned >/dev/null
    docker rm made
    mkdir "$T/bound"
    touch "$T/bound/roots" "$T/bound/mapped"
    chown 200005:300005 "$T/bound/mapped"
    docker run -d --name cc -v data:/own -v "$T/bound:/bound" --tmpfs /t:uid=7,gid=8 owned sleep 300
    run -0 docker exec cc sh -c 'cd /; stat -c "%n %u:%g" bin/busybox srv/www own own/f t bound/*
        touch /new /own/new; chown 5:6 /new; >/etc/hosts; touch /bound/no 2>/dev/null || echo bound is not its own'
    expect_output 'bin/busybox 0:0
srv/www 0:0
own 1000:1001
own/f 1000:1001
t 7:8
bound/mapped 5:5
bound/roots 65534:65534
bound is not its own'
    upper=$(upper cc)
    [ "$(owner "$upper/new")" = 200005:300006 ]
    [ "$(owner "$T/data/volumes/data/_data")" = 201000:301001 ] # filled from the image
    [ "$(owner "$T/data/volumes/data/_data/new")" = 200000:300000 ]

    # archives have the ids inside, while it runs and after
    for state in running stopped; do
        [ $state = running ] || docker kill cc
        mkdir "$T/$state"
        touch "$T/$state/in"
        chown 9:10 "$T/$state/in"
        docker cp -a "$T/$state" cc:/
        [ "$(owner "$upper/$state/in")" = 200009:300010 ]
        output=$(docker cp "cc:/$state/in" - | tar --numeric-owner -tv)
        expect_match ' 9/10 '
        output=$(docker export cc | tar --numeric-owner -tv | awk '{print $2, $NF}' | sort)
        expect_match $'\n0/0 srv/www/index.html'
        expect_match $'\n5/6 new\n'
        expect_match $'\n9/10 '"$state/in"
    done
    docker commit cc again >/dev/null
    docker rm cc
    # what is made for a copy into a volume of a container that never ran
    docker create --name later -v deep:/deep/er owned true
    docker cp "$T/running/in" later:/deep/er/
    docker commit later again-later >/dev/null
    docker rm later
    run -0 docker run --rm --userns host again-later stat -c '%u:%g' /deep /deep/er
    expect_output $'0:0\n0:0'
    run -0 docker run --rm --userns host again stat -c '%n %u:%g' /new /running/in /own/f /bin/busybox
    expect_output $'/new 5:6\n/running/in 9:10\n/own/f 1000:1001\n/bin/busybox 0:0'
    docker volume create empty
    [ "$(owner "$T/data/volumes/empty/_data")" = 200000:300000 ]
}

@test "what needs the host's namespaces is refused, and --userns=host has them; others' namespaces are shared" {
    hulld_start --userns-remap daemon:daemon
    engine_load busybox
    run -125 docker run --privileged busybox true
    expect_match 'privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode'
    run -125 docker run --network host busybox true
    expect_match "cannot share the host's network namespace when user namespaces are enabled"
    run -125 docker run --pid host busybox true
    expect_match 'cannot share the host PID namespace when user namespaces are enabled'
    for client in docker hull; do
        run -125 $client run --userns nonsense busybox true
        expect_match '--userns: invalid USER mode'
    done
    api POST /containers/create '{"Image":"busybox","Cmd":["true"],"HostConfig":{"UsernsMode":"nonsense"}}'
    [ "$http_status" = 400 ]
    [[ $output =~ 'invalid USER mode: nonsense' ]]
    run -0 docker run --name host --userns host --privileged --pid host --network host busybox cat /proc/self/uid_map
    expect_match '^ +0 +0 +4294967295$'
    run -0 docker inspect -f '{{.HostConfig.UsernsMode}}' host
    expect_output host
    docker rm host
    docker run -d --name base --ipc shareable busybox sleep 300
    ns=$(docker exec base readlink /proc/self/ns/user)
    for joined in network pid ipc; do
        run -0 docker run --rm --$joined container:base busybox sh -c 'readlink /proc/self/ns/user; ls /sys/class/net | grep -c lo'
        expect_output "$ns"$'\n1'
    done
    run -0 docker run --rm busybox readlink /proc/self/ns/user
    [ "$output" != "$ns" ] # every other container has its own
    run -0 docker run --rm --userns host --network container:base busybox cat /proc/self/uid_map
    expect_match '^ +0 +0 +4294967295$'
    docker run -d --name other --userns host busybox sleep 300
    run -125 docker run --rm --network container:other busybox true
    expect_match 'it has another user namespace'
    docker rm -f base other
}

@test "a container keeps its mapping: a daemon that was killed, one with another, one with none" {
    hulld_start --userns-remap daemon
    engine_load busybox
    docker run -d --name cc -p 8081:80 busybox sh -c 'mkdir -p /w; echo page >/w/index.html; exec httpd -f -p 80 -h /w'
    wait_until says page page 8081
    hulld_stop KILL
    hulld_start --userns-remap daemon
    run -0 docker exec cc sh -c 'cat /proc/self/uid_map | xargs'
    expect_output '0 200000 65536'
    wait_until says page page 8081
    docker stop -t 0 cc
    hulld_stop
    printf 'daemon:500000:65536\n' >"$T/etc/subuid"
    hulld_start --userns-remap 1 # by number
    docker start cc
    wait_until says page page 8081
    run -0 docker exec cc sh -c 'cat /proc/self/uid_map | xargs; stat -c %u /w/index.html'
    expect_output $'0 200000 65536\n0'
    run -0 docker run --rm busybox sh -c 'cat /proc/self/uid_map | xargs; stat -c %u /bin/busybox'
    expect_output $'0 500000 65536\n0'
    docker stop -t 0 cc
    hulld_stop
    hulld_start
    docker start cc
    wait_until says page page 8081
    run -0 docker run --rm busybox sh -c 'cat /proc/self/uid_map | xargs'
    expect_output '0 0 4294967295'
    docker rm -f cc
}

@test "--userns-remap: mistakes stop the start in dockerd's words, and default makes its user" {
    need_tool useradd usermod
    net_begin
    run -1 refused nobody-here
    expect_match 'Error during uid lookup for .*nobody-here.*: getent unable to find entry .*nobody-here.* in passwd database'
    run -1 refused a:b:c
    expect_match 'Invalid user/group specification in --userns-remap'
    run -1 refused bin
    expect_match "Can't create ID mappings: no subuid ranges found for user"
    [ ! -e "$T/d2" ]
    # a runtime of one's own does not take the others away
    printf '{"userns-remap":"default","runtimes":{"mine":{"path":"%s"}}}\n' "$T/bin/hull-runc" >"$T/daemon.json"
    hulld_start
    grep -q '^dockremap:' "$T/etc/passwd"
    [ "$(grep dockremap "$T/etc/subuid" "$T/etc/subgid" -h)" = $'dockremap:100000:65536\ndockremap:100000:65536' ]
    engine_load busybox
    for runtime in hull mine; do
        run -0 docker run --rm --runtime $runtime busybox sh -c 'cat /proc/self/uid_map | xargs'
        expect_output '0 100000 65536'
    done
    hulld_stop
    hulld_start # it is there already
    ! grep -q dockremap /etc/passwd /etc/subuid || fail "the machine's own files have changed"
}
