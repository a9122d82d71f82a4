#!/usr/bin/env bats
# hulld as a program: flags and daemon.json, its socket and pidfile, starting and stopping, its own hull-containerd.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    need hulld hull-containerd containerd-shim-hull-v2
    test_begin
}
teardown() {
    test_end
}

# hulld with the flags of the test's own daemon, and nothing started yet: prints what it says
try_hulld() { # FLAG...
    [ -e "$T/daemon.json" ] || printf '{}\n' >"$T/daemon.json"
    timeout 20 "$T/bin/hulld" --config-file "$T/daemon.json" --data-root "$T/data" --exec-root "$T/exec" --pidfile "$T/hulld.pid" \
        -H "unix://$T/hull.sock" "$@"
}
supervisor_pid() { cat "$T/exec/containerd/containerd.pid"; }

@test "flags: help, version, validate" {
    run -0 "$T/bin/hulld" --help
    expect_match '--data-root'
    run -0 "$T/bin/hulld" --version
    expect_match '^Hull version [0-9]'
    run -0 try_hulld --validate
    expect_output 'configuration OK'
    [ ! -e "$T/data" ]
}

@test "mistakes in flags and daemon.json stop the start, with dockerd's words, before anything is made" {
    run -1 try_hulld --nope
    expect_match 'unknown flag: --nope'
    run -1 try_hulld --ipv6
    expect_match 'ipv6 is not supported'
    printf '{"mtuu":1400}' >"$T/daemon.json"
    run -1 try_hulld
    expect_match "unable to configure the Docker daemon with file $T/daemon.json: the following directives don't match any configuration option: mtuu"
    printf '{"mtu":1400}' >"$T/daemon.json"
    run -1 try_hulld --mtu 1300
    expect_match 'specified both as a flag and in the configuration file: mtu: \(from flag: 1300, from file: 1400\)'
    printf '{"mtu":' >"$T/daemon.json"
    run -1 try_hulld
    expect_match 'unable to configure the Docker daemon'
    rm "$T/daemon.json"
    run -1 try_hulld --config-file "$T/nowhere.json"
    expect_match 'nowhere.json'
    run -1 try_hulld -H npipe://x
    expect_match 'invalid bind address format: npipe://x'
    [ ! -e "$T/hull.sock" ]
    [ ! -e "$T/hulld.pid" ]
}

@test "the socket has its mode and group, and belongs to one daemon" {
    hulld_start --group 1234
    [ "$(stat -c '%a %g' "$T/hull.sock")" = '660 1234' ]
    [ "$(cat "$T/hulld.pid")" = "$(cat "$T/pid/hulld")" ]
    run -1 try_hulld
    expect_match "process with PID $(cat "$T/pid/hulld") is still running"
    run -1 try_hulld --pidfile "$T/other.pid" --data-root "$T/other" --exec-root "$T/other-exec"
    expect_match 'another process listens on'
    hulld_answers
    run -1 try_hulld --group no-such-group -H "unix://$T/x.sock" --pidfile "$T/x.pid"
    expect_match 'group no-such-group not found'
    hulld_stop
    [ ! -e "$T/hull.sock" ]
    [ ! -e "$T/hulld.pid" ]
}

@test "systemd is told when the daemon is ready and when it stops" {
    need_tool python3
    background notify python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode(), flush=True)' "$T/notify.sock"
    wait_until test -S "$T/notify.sock"
    NOTIFY_SOCKET=$T/notify.sock hulld_start
    wait_until grep -qx READY=1 "$T/log/notify"
    hulld_stop
    wait_until grep -qx STOPPING=1 "$T/log/notify"
}

@test "hull-containerd is started, started again when it dies, found again by the next daemon" {
    hulld_start
    local first second
    first=$(supervisor_pid)
    kill -KILL "$first"
    replaced() { [ "$(supervisor_pid)" != "$first" ] && kill -0 "$(supervisor_pid)"; }
    wait_until replaced
    hulld_answers
    second=$(supervisor_pid)
    finish hulld KILL
    hulld_start
    [ "$(supervisor_pid)" = "$second" ]
    hulld_stop
    wait_until gone "$second"
}

@test "containers run on while the daemon is stopped, and are there again" {
    hulld_start
    engine_load busybox
    api POST '/containers/create?name=stays' '{"Image":"busybox","Cmd":["sleep","1000"]}'
    [ "$http_status" = 201 ]
    api POST /containers/stays/start
    [ "$http_status" = 204 ]
    api GET /containers/stays/json
    local pid
    pid=$(jq .State.Pid <<<"$output")
    hulld_stop
    kill -0 "$pid"
    hulld_start
    api GET /containers/stays/json
    [ "$(jq -r '"\(.State.Status) \(.State.Pid)"' <<<"$output")" = "running $pid" ]
    api DELETE '/containers/stays?force=1'
    [ "$http_status" = 204 ]
    wait_until gone "$pid"
}

@test "a daemon that stops does not wait for those who watch" {
    hulld_start
    curl -sN --unix-socket "$T/hull.sock" 'http://hull/events?since=1' >"$T/events" 2>&1 &
    local watcher=$!
    api POST /volumes/create '{"Name":"seen"}'
    wait_until grep -q '"seen"' "$T/events"
    local begin=$SECONDS
    hulld_stop
    [ $((SECONDS - begin)) -lt 8 ]
    wait "$watcher" || true
}

@test "a head without end is cut off and costs nobody else anything" {
    local port
    net_begin
    port=$(free_port)
    hulld_start -H "tcp://127.0.0.1:$port"
    cat >"$T/flood" <<'END'
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET /info HTTP/1.1\r\nHost: x\r\nX: ' >&3
head -c 1073741824 /dev/zero | tr '\0' a >&3 2>/dev/null
head -n 1 <&3
END
    local before
    before=$(awk '/VmRSS/ {print $2}' "/proc/$(cat "$T/pid/hulld")/status")
    in_net timeout 60 bash "$T/flood" "$port" >"$T/flood.out" 2>&1 || true
    hulld_answers
    [ $(($(awk '/VmRSS/ {print $2}' "/proc/$(cat "$T/pid/hulld")/status") - before)) -lt 2048 ]
}
