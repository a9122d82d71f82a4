#!/usr/bin/env bats
# Nothing stops a running container but the user: hulld, hull-containerd or both are killed at random moments while
# containers write numbered lines and exit with known codes. And a stopped shim slows nobody else down.

load ../lib/common
load ../lib/images
load ../lib/hull

# as many kills as the drill has; fewer make a quick look
drills=${HULL_KILLS:-20}

setup() {
    need_root
    need hull hulld hull-containerd containerd-shim-hull-v2
    test_begin
    hulld_start
    engine_load busybox
}
teardown() {
    [ ! -s "$T/stopped" ] || kill -CONT "$(cat "$T/stopped")" 2>/dev/null || true
    test_end
}

supervisor_pid() { # hull-containerd is hulld's child, or was adopted by one of its own
    local pid
    for pid in $(grep -lzE "^HULL_TEST_ID=$T\$" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != hull-containerd ] || printf '%s\n' "$pid"
    done
}

kill_some() { # WHAT: hulld, supervisor or both, with SIGKILL; hulld is started again
    case $1 in
    supervisor) supervisor_pid | xargs -r kill -KILL ;;
    hulld)
        finish hulld KILL
        hulld_start
        ;;
    both)
        supervisor_pid | xargs -r kill -KILL
        finish hulld KILL
        hulld_start
        ;;
    esac
}

# took_ms COMMAND...: how long it takes
took_ms() {
    local began
    began=$(date +%s%N)
    "$@" >&2 || return 1
    printf '%s\n' $((($(date +%s%N) - began) / 1000000))
}
# within_a_second COMMAND...: it succeeds 1 s from now at the latest; on a machine so busy that it takes long when all is
# well, that much later
within_a_second() {
    local ms usual_ms
    ms=$(took_ms wait_until "$@")
    [ "$ms" -gt 1000 ] || return 0
    usual_ms=$(took_ms "$@")
    [ "$ms" -le $((1000 + 10 * usual_ms)) ] || fail "$* took $ms ms, and then $usual_ms ms"
}
page() { in_net curl -fsS --max-time 1 http://127.0.0.1:8080/ | grep -qx hi; }
exited() { [ "$(in_net hull inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$1")" = "exited $2" ]; }

@test "the kill drill: no container ends, no line is lost or doubled, every exit code is told" {
    local n what lines
    in_net hull run -d --name web -p 8080:80 busybox sh -c 'echo hi >/index.html; exec httpd -f -p 80 -h /'
    # writes numbered lines until told to end, then exits with its own code
    in_net hull run -d --name writer busybox sh -c '
        n=0; trap "echo last \$n; exit 42" TERM
        while :; do n=$((n + 1)); echo line $n; usleep 2000; done'
    wait_until page
    for ((n = 1; n <= drills; n++)); do
        what=$(shuf -n 1 -e hulld supervisor both)
        printf 'drill %d: %s\n' "$n" "$what"
        in_net hull run -d --name "short$n" busybox sh -c "usleep $((RANDOM % 400000)); echo out $n; exit $((n % 100 + 1))" \
            >/dev/null
        in_net hull run -d --name "rm$n" --rm busybox sh -c "usleep $((RANDOM % 400000)); exit 3" >/dev/null
        # a random moment of the next half second
        read -rt "0.$((RANDOM % 500 + 100))" <><(:) || true
        kill_some "$what"
        within_a_second page
        [ "$(in_net hull inspect -f '{{.State.Status}}' writer)" = running ]
    done
    for ((n = 1; n <= drills; n++)); do
        wait_until exited "short$n" $((n % 100 + 1))
        [ "$(in_net hull logs "short$n")" = "out $n" ]
    done
    # those with --rm are gone, whoever was dead at that moment
    wait_until fails says '^rm' in_net hull ps -a --format '{{.Names}}'
    in_net hull kill -s TERM writer
    wait_until exited writer 42
    in_net hull logs writer >"$T/lines"
    lines=$(sed -n 's/^last //p' "$T/lines")
    [ -n "$lines" ] || fail "the writer's last line is missing"
    seq -f 'line %.0f' "$lines" >"$T/expected"
    # TERM may arrive between the count and its echo: then one number is counted and not written
    grep '^line ' "$T/lines" | cmp - "$T/expected" || grep '^line ' "$T/lines" | cmp - <(head -n -1 "$T/expected")
    in_net hull rm -f web writer $(seq -f 'short%.0f' "$drills") >/dev/null
}

# soon ARG...: hull, which has twenty seconds
soon() { in_net timeout -k 1 20 "$T/bin/hull" "$@"; }

four_calls() {
    soon ps | grep -q stuck
    soon exec free true
    soon run --rm busybox true
    soon inspect stuck >/dev/null
}

@test "a stopped shim leaves every other call at its usual speed" {
    local shim usual_ms ms
    in_net hull run -d --name stuck busybox sleep 600
    in_net hull run -d --name free busybox sleep 600
    usual_ms=$(took_ms four_calls)
    shim=$(awk '/^PPid:/ {print $2}' "/proc/$(in_net hull inspect -f '{{.State.Pid}}' stuck)/status")
    grep -q shim "/proc/$shim/comm"
    kill -STOP "$shim"
    printf '%s\n' "$shim" >"$T/stopped"
    (soon exec stuck true || true) >/dev/null 2>&1 3>&- & # somebody waits on it all the time
    ms=$(took_ms four_calls)
    soon stop -t 0 free
    kill -CONT "$shim"
    [ "$ms" -le $((3000 + 3 * usual_ms)) ] || fail "four calls took $ms ms beside a stopped shim, $usual_ms ms else"
    in_net hull rm -f stuck free
}
