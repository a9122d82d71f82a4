#!/usr/bin/env bats
# What the pure cgroup v2 of a fresh machine must do for containers. Elsewhere these tests are skipped: the VM has it.

load ../lib/common
load ../lib/images
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    need hull hulld hull-containerd containerd-shim-hull-v2
    [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || skip "needs pure cgroup v2: tests/vm/run has it"
    test_begin
    hulld_start
    engine_load busybox
}
teardown() {
    test_end
}

cgroup_of() { printf '/sys/fs/cgroup/%s/%s' "$(test_cgroup)" "$(hull inspect -f '{{.Id}}' "$1")"; }
expect_file() { # FILE TEXT
    [ "$(cat "$1")" = "$2" ] || fail "$1: expected $2, is $(cat "$1")"
}

# bats test_tags=smoke
@test "limits reach the cgroup, are seen inside, and hold" {
    hull run -d --name box --memory 64m --cpus 0.5 --pids-limit 20 busybox sh -c 'while :; do :; done'
    local dir
    dir=$(cgroup_of box)
    expect_file "$dir/memory.max" 67108864
    expect_file "$dir/cpu.max" '50000 100000'
    expect_file "$dir/pids.max" 20
    run -0 hull exec box cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max /proc/self/cgroup
    expect_output $'67108864\n50000 100000\n20\n0::/'
    run hull exec box sh -c 'echo 1 >/sys/fs/cgroup/memory.max'
    [[ $output == *"Read-only file system"* ]]
    # the processor: held back again and again
    wait_until sh -c "[ \"\$(awk '\$1 == \"nr_throttled\" {print \$2}' $dir/cpu.stat)\" -gt 3 ]"
    # processes: the kernel refuses what is above the limit
    run hull exec box sh -c 'for i in $(seq 40); do sleep 100 & done'
    expect_match "can't fork"
    [ "$(cat "$dir/pids.current")" -le 20 ]
    hull rm -f box
    [ ! -e "$dir" ] || wait_until test ! -e "$dir"
}

@test "stats come from the v2 files" {
    hull run -d --name box --memory 64m --pids-limit 20 busybox sh -c 'while :; do :; done'
    wait_until stats_are_there
    [ "$(jq .memory_stats.limit "$T/stats")" = 67108864 ]
    [ "$(jq .pids_stats.limit "$T/stats")" = 20 ]
    [ "$(jq '.memory_stats.stats | has("anon") and has("inactive_file")' "$T/stats")" = true ]
    hull rm -f box
}
stats_are_there() {
    api GET '/containers/box/stats?stream=false&one-shot=true'
    printf '%s\n' "$output" | tee "$T/stats"
    jq -e '.memory_stats.usage > 0 and .cpu_stats.cpu_usage.total_usage > 0 and .cpu_stats.online_cpus > 0 and
        .pids_stats.current > 0' "$T/stats"
}

@test "pause freezes every process, unpause goes on" {
    hull run -d --name box busybox sh -c 'while :; do echo x >>/n; done'
    hull pause box
    local dir size
    dir=$(cgroup_of box)
    grep -qx 'frozen 1' "$dir/cgroup.events"
    run -0 hull inspect -f '{{.State.Status}}' box
    expect_output paused
    run -1 hull exec box true
    expect_match 'is paused'
    hull unpause box
    grep -qx 'frozen 0' "$dir/cgroup.events"
    run -0 hull exec box true
    hull rm -f box
}

@test "an update changes the limits of a running container" {
    hull run -d --name box --memory 64m busybox sleep 1000
    api POST /containers/box/update '{"Memory": 33554432, "MemorySwap": 33554432, "NanoCpus": 250000000, "PidsLimit": 9}'
    [ "$http_status" = 200 ] || fail "$output"
    local dir
    dir=$(cgroup_of box)
    expect_file "$dir/memory.max" 33554432
    expect_file "$dir/cpu.max" '25000 100000'
    expect_file "$dir/pids.max" 9
    hull rm -f box
}

@test "devices: only those that were given" {
    run hull run --rm busybox sh -c 'mknod /tmp/mem c 1 1 && cat /tmp/mem; cat /dev/null && echo null'
    expect_match 'Operation not permitted'
    expect_match 'null$'
    run -0 hull run --rm --privileged busybox sh -c 'mknod /tmp/kmsg c 1 11 && exec 3</tmp/kmsg && echo open'
    expect_output open
}
