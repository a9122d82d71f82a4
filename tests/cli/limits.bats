#!/usr/bin/env bats
# Limits bite: what a container may not take is measured inside real containers, on cgroup v1 or v2, whichever is here.

load ../lib/common
load ../lib/images
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    need hull hulld hull-containerd containerd-shim-hull-v2
    test_begin
    hulld_start
    engine_load busybox
}
teardown() {
    test_end
    [ -z "${loop:-}" ] || losetup -d "$loop"
}

v2() { [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; }
cgroup_file() { # CONTAINER V1-CONTROLLER FILE
    local dir=/sys/fs/cgroup
    v2 || dir=/sys/fs/cgroup/$2
    printf '%s/%s/%s/%s' "$dir" "$(test_cgroup)" "$(hull inspect -f '{{.Id}}' "$1")" "$3"
}
cpu_us() { # CONTAINER: processor time used, in microseconds
    if v2; then
        sed -n 's/^usage_usec //p' "$(cgroup_file "$1" cpu cpu.stat)"
    else
        echo $(($(cat "$(cgroup_file "$1" cpuacct cpuacct.usage)") / 1000))
    fi
}

@test "--cpus 0.5 gives half a processor" {
    hull run -d --name box --cpus 0.5 busybox sh -c 'while :; do :; done'
    local share=0 try from used
    for try in {1..8}; do # a busy machine may give less, never more
        from=$(date +%s%6N) used=$(cpu_us box)
        sleep 2
        used=$(($(cpu_us box) - used))
        share=$((used * 100 / ($(date +%s%6N) - from)))
        [ $share -le 55 ] || fail "$share % in try $try"
        [ $share -lt 45 ] || break
    done
    hull rm -f box
    [ $share -ge 45 ] || ! busy || skip "the machine is so busy that it gives $share %"
    [ $share -ge 45 ] || fail "only $share %"
}
busy() { awk -v n="$(nproc)" '{exit $1 <= n}' /proc/loadavg; }

@test "--pids-limit stops a fork bomb" {
    hull run -d --name box --pids-limit 25 busybox sh -c 'bomb() { bomb | bomb & }; bomb; exec sleep 1000'
    wait_until refused
    [ "$(cat "$(cgroup_file box pids pids.current)")" -le 25 ]
    [ "$(cat "$(cgroup_file box pids pids.max)")" = 25 ]
    hull rm -f box
}
refused() { [ "$(sed -n 's/^max //p' "$(cgroup_file box pids pids.events)")" -gt 0 ]; }

# bats test_tags=smoke
@test "--ulimit above ours, --oom-score-adj below: done where we may, the kernel's error where not; never our own wishes" {
    local hard=$(($(ulimit -Hq) + 1)) limit="sed -n 's/^Max msgqueue size *//p' /proc/self/limits" score='cat /proc/self/oom_score_adj'
    # what nobody asked for is left alone in silence
    run -0 hull run --rm busybox sh -c "$limit; $score"
    expect_match "^$((hard - 1)) .*"$'\n0$'
    if has_capability 24; then # CAP_SYS_RESOURCE
        run -0 hull run --rm --ulimit "msgqueue=$hard" --oom-score-adj -500 busybox sh -c "$limit; $score"
        expect_match "^$hard +$hard .*"$'\n-500$'
    else
        run -125 hull run --rm --ulimit "msgqueue=$hard" busybox true
        expect_match 'OCI runtime create failed: .*unable to start container process: error during container init: error setting rlimits for ready process: error setting rlimit type 12: operation not permitted'
        run -126 hull run --rm --oom-score-adj -500 busybox true # Docker takes "permission denied" for the program's
        expect_match 'failed to set oom_score_adj to -500: permission denied'
    fi
    run -0 hull run --rm --ulimit nofile=77:88 --oom-score-adj 500 busybox sh -c 'ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj'
    expect_output $'77\n88\n500'
    [ -z "$(hull ps -aq)" ]
}

@test "an engine that may not lower its own score starts containers all the same; the score 0 asked for by nobody is no error" {
    need_tool setpriv
    hulld_stop
    cat >"$T/lowered" <<-'END'
	#!/bin/sh
	echo 300 >/proc/self/oom_score_adj
	exec setpriv --bounding-set -sys_resource --inh-caps -sys_resource "$@"
	END
    chmod +x "$T/lowered"
    hulld_as=("$T/lowered")
    hulld_start
    run -0 hull run --rm busybox cat /proc/self/oom_score_adj
    ((output >= 300)) || fail "$output"
    run -0 hull run --rm --oom-score-adj 500 busybox cat /proc/self/oom_score_adj
    expect_output 500
}

# bats test_tags=smoke
@test "--memory: a hog is killed, and everybody is told" {
    run -137 hull run --name big --memory 16m busybox tail -c 100000000 /dev/zero
    run -0 hull inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' big
    expect_output 'true 137'
    wait_until oom_is_told
    hull rm big
}
oom_is_told() {
    api GET "/events?since=0&until=$(date +%s.%N)&filters=%7B%22event%22%3A%5B%22oom%22%5D%7D"
    [ "$(jq -r .Action <<<"$output" | sort -u)" = oom ]
}

# bats test_tags=smoke
@test "--device-write-bps halves a write" {
    v2 || [ -e /sys/fs/cgroup/blkio/blkio.throttle.write_bps_device ] || skip "this kernel does not throttle block devices"
    truncate -s 64M "$T/disk"
    loop=$(losetup -f --show "$T/disk")
    local ms=() rate from
    for rate in 2mb 1mb; do
        hull create --name "at-$rate" --device "$loop:/dev/disk" --device-write-bps "$loop:$rate" busybox \
            dd if=/dev/zero of=/dev/disk bs=64k count=48 oflag=direct
        from=$(date +%s%3N)
        run -0 hull start -a "at-$rate"
        ms+=($(($(date +%s%3N) - from)))
        hull rm "at-$rate"
    done
    # 3 MB: 1.5 seconds, and 3; what starting the container costs comes on top
    ((ms[0] >= 1400 && ms[1] >= 2900)) || fail "took ${ms[0]} and ${ms[1]} ms"
}
