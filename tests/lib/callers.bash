# What those who call a runtime (dockerd, podman, containerd) ask of it, in the words of their clients.
#
#   expect_limits CGROUP MEMORY CPU    what is in force
#   as_users_do CLIENT CGROUP [FLAG...]    a container's life through Docker's command line or one like it
#   monitors_cgroup_gone               after podman: the group that it leaves

# expect_limits CGROUP MEMORY CPU: bytes, and microseconds of 100,000, in a group below the test's, on either version
expect_limits() {
    local group memory cpu
    group=$(test_cgroup)/$1
    if [ -e /sys/fs/cgroup/memory ]; then
        memory=$(cat /sys/fs/cgroup/memory/$group/memory.limit_in_bytes) cpu=$(cat /sys/fs/cgroup/cpu/$group/cpu.cfs_quota_us)
    else
        memory=$(cat /sys/fs/cgroup/$group/memory.max) cpu=$(cut -d' ' -f1 /sys/fs/cgroup/$group/cpu.max)
    fi
    [ "$memory $cpu" = "$2 $3" ] || fail "limits of $group: $memory bytes, $cpu us"
}

# as_users_do CLIENT CGROUP [FLAG...]: what both clients spell alike: run, stdin, limits, exec, pause, update, top, stop, start,
# kill and delete. CGROUP is the group's name before the container's id.
as_users_do() {
    local client=$1 cgroup=$2 flags=(--network none --cgroup-parent "/$(test_cgroup)" "${@:3}") id
    local service='trap "exit 5" TERM; echo ready; while :; do sleep 0.1; done'
    run -3 "$client" run --rm "${flags[@]}" busybox sh -c 'echo from the container; exit 3'
    expect_output 'from the container'
    run -0 "$client" run --rm -i "${flags[@]}" --pids-limit 50 --cap-drop ALL --read-only --tmpfs /t --user 1000:1000 \
        --ulimit nofile=64:64 --ulimit nproc=1024:1024 busybox sh -c 'cat; id -u; ulimit -n; grep CapEff /proc/self/status; touch /t/f /f; true' <<<'stdin'
    expect_match $'^stdin\n1000\n64\nCapEff:\t0+\n.*Read-only file system$'
    run -127 "$client" run --rm "${flags[@]}" busybox /no/such/program
    expect_match 'no such file or directory'
    "$client" run -d --name web "${flags[@]}" --memory 64m --memory-swap 64m --cpus 0.5 busybox sh -c "$service"
    id=$("$client" inspect -f '{{.Id}}' web)
    expect_limits "$cgroup$id" 67108864 50000
    run -7 "$client" exec web sh -c 'exit 7'
    run -0 "$client" exec -i -u 1000 -w /tmp -e X=y web sh -c 'cat; id -u; pwd; echo $X' <<<'stdin'
    expect_output $'stdin\n1000\n/tmp\ny'
    "$client" pause web
    [ "$("$client" inspect -f '{{.State.Status}}' web)" = paused ]
    "$client" unpause web
    "$client" update --memory 128m --memory-swap 256m --cpus 0.25 web
    expect_limits "$cgroup$id" 134217728 25000
    run -0 "$client" top web
    expect_match 'sleep 0.1|trap'
    "$client" stop web
    [ "$("$client" inspect -f '{{.State.ExitCode}}' web)" = 5 ]
    "$client" start web
    "$client" kill web
    run -0 "$client" wait web
    expect_output 137
    "$client" rm web
    "$client" run -d --name web "${flags[@]}" busybox sh -c "$service"
    "$client" rm -f web
    run -0 "$client" ps -aq
    expect_output ''
}

# podman never removes the cgroup of its monitors; where a controller is not mounted it writes a plain file.
monitors_cgroup_gone() {
    find /sys/fs/cgroup -path "*/$(test_cgroup)/conmon/tasks" -exec sh -c '
        for file; do [ "$(stat -f -c %T "$file")" != tmpfs ] || rm "$file"; done' sh {} +
    find /sys/fs/cgroup -depth -type d -path "*/$(test_cgroup)/conmon" -exec rmdir {} +
}
