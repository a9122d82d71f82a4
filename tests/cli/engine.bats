#!/usr/bin/env bats
# The engine through Docker's client: names, conflicts, exit statuses, policies, volumes, changes, many at once.

load ../lib/common
load ../lib/images
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    need hulld hull-containerd containerd-shim-hull-v2
    need_docker
    test_begin
    hulld_start
    engine_load busybox
}
teardown() {
    test_end
}

state() { # NAME: status and exit code
    docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$1"
}
is_state() { # NAME STATUS CODE
    [ "$(state "$1")" = "$2 $3" ]
}

@test "a name is taken until its container is gone; what is refused leaves nothing" {
    docker create --name one busybox true
    id=$(docker inspect -f '{{.Id}}' one)
    run -1 docker create --name one busybox
    expect_match "Conflict. The container name \"/one\" is already in use by container \"$id\". You have to remove"
    run -1 docker create --name 'a b' busybox
    expect_match 'only \[a-zA-Z0-9\]\[a-zA-Z0-9_.-\] are allowed'
    run -125 docker run --memory 1m busybox
    expect_match 'Minimum memory limit allowed is 6MB'
    docker rename one two
    run -0 docker create --name one busybox
    run -0 docker ps -a --format '{{.Names}}'
    expect_output $'one\ntwo'
    docker rm one two
}

@test "start failures have Docker's codes and stay to be looked at" {
    run -127 docker run --name nofile busybox /no/such/program
    is_state nofile created 127
    run -126 docker run --name dir busybox /etc
    is_state dir created 126
    run -125 docker run --name net --network nosuch busybox true
    expect_match 'network nosuch not found'
    docker rm nofile dir net
}

@test "thirty containers at once: every output and status comes back, nothing stays" {
    local pids=()
    for i in $(seq 30); do
        (
            out=$(docker run --rm busybox sh -c "echo $i; exit $i") && rc=0 || rc=$?
            echo "$i $out $rc" >"$T/many.$i"
        ) 3>&- &
        pids+=($!)
    done
    wait "${pids[@]}"
    for i in $(seq 30); do
        [ "$(cat "$T/many.$i")" = "$i $i $i" ] || fail "container $i: $(cat "$T/many.$i")"
    done
    run -0 docker ps -aq
    expect_output ''
}

@test "restart policies: on-failure counts, stop ends always" {
    docker run -d --name twice --restart on-failure:2 busybox sh -c 'echo try; exit 4'
    wait_until is_state twice exited 4
    [ "$(docker inspect -f '{{.RestartCount}}' twice)" = 2 ]
    [ "$(docker logs twice | wc -l)" = 3 ]
    docker run -d --name always --restart always busybox sh -c 'exit 1'
    wait_until says '^([2-9]|..+)$' docker inspect -f '{{.RestartCount}}' always
    docker stop always
    is_state always exited 1
    docker rm twice always
}

@test "stop: the signal, then SIGKILL; kill and pause" {
    docker run -d --name polite busybox sh -c 'trap "exit 0" TERM; echo ready; while :; do sleep 0.1; done'
    docker run -d --name deaf busybox sh -c 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
    wait_until ready_times polite 1
    wait_until ready_times deaf 1
    docker stop polite
    is_state polite exited 0
    docker stop -t 1 deaf
    is_state deaf exited 137
    docker start polite
    wait_until ready_times polite 2
    docker pause polite
    [ "$(docker inspect -f '{{.State.Status}}' polite)" = paused ]
    run -1 docker rm polite
    expect_match 'cannot remove container "/polite": container is paused and must be unpaused first'
    docker unpause polite
    docker kill -s TERM polite
    wait_until is_state polite exited 0
    docker rm polite deaf
}

ready_times() { # NAME N: it has said so that often
    [ "$(docker logs "$1" | grep -c '^ready$')" = "$2" ]
}

@test "volumes: filled from the image, kept over containers, anonymous ones go with theirs" {
    docker run --rm -v config:/etc busybox sh -c 'test -e /etc/passwd && echo mine >/etc/mine'
    run -0 docker run --rm -v config:/x:ro busybox cat /x/mine
    expect_output mine
    run -1 docker run --rm -v config:/x:ro busybox sh -c 'echo no >/x/mine'
    docker create --name user -v config:/x -v /anon busybox true
    run -1 docker volume rm config
    expect_match 'volume is in use'
    docker rm -v user
    docker volume rm config
    run -0 docker volume ls -q
    expect_output ''
}

@test "killed and started again, the daemon knows what ended meanwhile" {
    docker run -d --name ends busybox sh -c 'sleep 0.5; exit 17'
    docker run -d --rm --name goes busybox sh -c 'sleep 0.5; exit 5'
    docker run -d --name stays busybox sleep 100
    hulld_stop KILL
    sleep 1 # the time in which they end is what is tested
    hulld_start
    wait_until is_state ends exited 17
    [ "$(docker inspect -f '{{.State.Status}}' stays)" = running ]
    wait_until fails docker inspect goes
    docker rm -f ends stays
}

@test "update, top and export" {
    docker run -d --name one --memory 64m busybox sleep 100
    docker update --memory 128m --memory-swap 256m one
    [ "$(docker inspect -f '{{.HostConfig.Memory}}' one)" = 134217728 ]
    run -0 docker top one
    expect_match 'sleep 100'
    docker export one | tar t >"$T/names"
    grep -qx etc/passwd "$T/names"
    docker rm -f one
}

@test "log options: attributes of each record, compressed rotation, and what a start says of wrong ones" {
    docker run --name at --label a=1 --label xa=2 --label b=3 -e E=4 -e Z1=5 --log-opt tag='{{.Name}}/{{.ImageName}}' \
        --log-opt labels=a,nope --log-opt labels-regex=^x --log-opt env=E --log-opt env-regex=^Z busybox echo hi
    run -0 jq -cS .attrs "$(docker inspect -f '{{.LogPath}}' at)"
    expect_output '{"E":"4","Z1":"5","a":"1","tag":"at/busybox","xa":"2"}'
    run -0 docker logs --details at
    expect_output 'E=4,Z1=5,a=1,tag=at%2Fbusybox,xa=2 hi'
    docker run -d --name rot --log-opt max-size=10k --log-opt max-file=4 --log-opt compress=true busybox \
        sh -c 'i=0; while [ $((i += 1)) -le 2000 ]; do echo "line $i"; done; sleep 1000'
    local log
    log=$(docker inspect -f '{{.LogPath}}' rot)
    wait_until sh -c "tail -n 1 $log | grep -q 'line 2000' && [ -e $log.3.gz ] && [ ! -e $log.1 ] && [ ! -e $log.2 ]"
    [ "$(zcat "$log.1.gz" | wc -c)" -ge 10000 ] && [ "$(zcat "$log.1.gz" | wc -c)" -lt 10200 ]
    docker logs rot >"$T/lines"
    [ "$(wc -l <"$T/lines")" -gt 300 ]
    tail -n 1 "$T/lines" | grep -qx 'line 2000'
    awk -v first="$(head -n 1 "$T/lines" | cut -d' ' -f2)" '$2 != first + NR - 1 {exit 1}' "$T/lines"
    run -0 docker logs --tail 250 rot
    [ "${lines[0]}" = 'line 1751' ]
    docker rm -f rot at
    run ! docker run --name bad --log-opt tag='{{.Nope}}' busybox true
    expect_match 'failed to create task for container: failed to initialize logging driver: template: '
    is_state bad created 128
    run ! docker run --log-opt compress=true busybox true
    expect_match 'compress cannot be true when max-file is less than 2 or max-size is not set'
    run ! docker run --log-opt mode=sometimes busybox true
    expect_match 'logger: logging mode not supported: sometimes'
    docker rm $(docker ps -aq)
}

@test "log mode non-blocking: output goes on while its log is stuck, and what is kept of it is whole" {
    local log opts=(--log-opt mode=non-blocking --log-opt max-buffer-size=64k)
    docker run --name all "${opts[@]}" busybox sh -c 'i=0; while [ $((i += 1)) -le 300 ]; do echo "line $i"; done' >"$T/shown"
    docker logs all >"$T/kept"
    [ "$(wc -l <"$T/shown")" = 300 ]
    cmp "$T/shown" "$T/kept"

    docker create --name stuck "${opts[@]}" busybox sh -c 'i=0; while [ $((i += 1)) -le 20000 ]; do echo "line $i"; done'
    log=$(docker inspect -f '{{.LogPath}}' stuck)
    mkfifo "$log" # who writes it waits for its reader
    timeout 60 hull start -a stuck >"$T/shown"
    [ "$(wc -l <"$T/shown")" = 20000 ]
    timeout 20 cat "$log" >"$T/kept"
    jq -r .log "$T/kept" | awk 'NF {if ($2 <= last) exit 1; last = $2; n++} END {if (n < 300 || n >= 20000) exit 1}'
    [ "$(jq -jn input.log "$T/kept")" = 'line 1' ]
    docker rm all stuck
}

@test "exec -i of a program that ends at once keeps its status and output" {
    docker run -d --name busy --network none busybox sleep 1000
    local i
    for i in {1..8}; do # its FIFOs may be gone before the daemon writes to them
        run -3 docker exec -i busy sh -c 'echo out; exit 3' </dev/null
        expect_output out
    done
    docker rm -f busy
}
