#!/usr/bin/env bats
# Every system call of hull-runc fails once: whatever it was doing, nothing stays of it. The short form is in runtime.bats.

load ../lib/common
load ../lib/originals
load ../lib/bundle
load ../lib/faults

setup() {
    need_root
    need hull-runc
    need_tool jq strace
    test_begin
    export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # cannot be done below strace
    bundle_new b
    config '.root.readonly = false'
}
teardown() {
    bundle_end
}

no_leaks() {
    [ ! -e "$T/hangs" ] || fail "$1 hangs or crashes: $(cat "$T/hangs")"
    [ -z "$(leaked_mounts)" ] || fail "$1: $(leaked_mounts)"
    [ -z "$(leaked_processes)" ] || fail "$1: $(leaked_processes)"
}

@test "run: each failing call leaves no state, cgroup, mount or process" {
    local call n
    args true
    rt run warm # the cache of filters is made once
    while read -r call n <&5; do
        with_fault "$call" "$n" "$T/bin/hull-runc" --root "$T/s" run c1 || true
        nothing_of c1 "$call" "$n"
    done 5< <(fault_points "$T/bin/hull-runc" --root "$T/s" run c1)
    no_leaks run
}

@test "create and delete: each failing call leaves what a second delete takes away" {
    local call n both
    args sleep 1000
    # strace would wait for a container that stays
    both="'$T/bin/hull-runc' --root '$T/s' create --pid-file '$T/pid' c1 && { '$T/bin/hull-runc' --root '$T/s' delete --force c1 || kill -9 \$(cat '$T/pid'); }"
    while read -r call n <&5; do
        with_fault "$call" "$n" sh -c "$both" || true
        rt delete --force c1 >/dev/null 2>&1 || true
        [ -z "$(left_of c1)" ] || fail "$call $n left: $(left_of c1)"$'\n'"$(cat "$T/out")"
    done 5< <(fault_points sh -c "$both")
    sed -i '/^kill /d' "$T/hangs" 2>/dev/null || true # that was ours
    [ -s "$T/hangs" ] || rm -f "$T/hangs"
    no_leaks "create and delete"
}

@test "start: each failing call leaves a container that a delete takes away" {
    local call n
    args sleep 1000
    rt create c1 >/dev/null 2>&1 </dev/null 3>&- 4>&-
    fault_points "$T/bin/hull-runc" --root "$T/s" start c1 >"$T/all"
    rt delete --force c1
    while read -r call n <&5; do
        rt create c1 >/dev/null 2>&1 </dev/null 3>&- 4>&-
        if with_fault "$call" "$n" "$T/bin/hull-runc" --root "$T/s" start c1; then
            is_status c1 running || fail "$call $n: started, but $(status c1)"
        fi
        rt delete --force c1
        [ -z "$(left_of c1)" ] || fail "$call $n left: $(left_of c1)"
    done 5<"$T/all"
    no_leaks start
}

@test "exec: each failing call leaves the container alone, and no second process" {
    local call n
    args sleep 1000
    rt run -d c1 >/dev/null 2>&1 </dev/null 3>&- 4>&-
    while read -r call n <&5; do
        with_fault "$call" "$n" "$T/bin/hull-runc" --root "$T/s" exec c1 true || true
        is_status c1 running || fail "exec with $call $n: $(status c1)"
        wait_until one_process || fail "exec with $call $n left: $(rt ps c1)"
    done 5< <(fault_points "$T/bin/hull-runc" --root "$T/s" exec c1 true)
    rt delete --force c1
    no_leaks exec
}
one_process() { [ "$(rt ps -f json c1 | jq length)" = 1 ]; }

@test "run with a helper for namespaces, id-mapped mounts and devices that move: each failing call leaves nothing" {
    local call n ns one within
    ns=$(test_cgroup)
    ip netns add "$ns"
    ip netns add "$ns-in"
    mkdir "$T/src"
    args true
    chown -R 100000:100000 rootfs
    chmod 755 "$T"
    config --arg s "$T/src" --arg p "/run/netns/$ns-in" '.linux.namespaces |= map(if .type == "network" then .path = $p else . end) + [{"type": "user"}, {"type": "time"}] |
        .linux.uidMappings = [{"containerID": 0, "hostID": 100000, "size": 65536}] | .linux.gidMappings = .linux.uidMappings |
        .linux.timeOffsets = {boottime: {secs: 5}} | .linux.netDevices = {nd0: {}} | .mounts |= map(select(.type != "sysfs" and .type != "cgroup")) |
        .linux.readonlyPaths = [] | .linux.maskedPaths = [] |
        .mounts += [{source: $s, destination: "/tmp", options: ["bind", "idmap"], uidMappings: .linux.uidMappings, gidMappings: .linux.gidMappings}]'
    one="ip -n '$ns-in' link del nd0 2>/dev/null; ip -n '$ns' link add nd0 type veth peer name nd1 2>/dev/null"
    # a static program in front: some of these calls are its, and a loader would crash when they fail
    within=("$BATS_FILE_TMPDIR/bin/busybox" nsenter "--net=/run/netns/$ns" "$T/bin/hull-runc" --root "$T/s")
    sh -c "$one" || true
    "${within[@]}" run warm
    sh -c "$one" || true
    fault_points "${within[@]}" run c1 >"$T/all"
    while read -r call n <&5; do
        sh -c "$one" || true
        with_fault "$call" "$n" "${within[@]}" run c1 || true
        nothing_of c1 "$call" "$n"
    done 5<"$T/all"
    ip netns del "$ns"
    ip netns del "$ns-in"
    no_leaks run
}
