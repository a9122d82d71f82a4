#!/usr/bin/env bats
# One test for each seam with Debian's containerd, ctr, shim, runc, dockerd and podman on the other side. The newest ones are in tests/peers.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/originals
load ../lib/hull
load ../lib/callers

setup() {
    need_root
    test_begin
    net_begin
    ctr_namespace=t${T##*.} # shims and runtimes keep things by namespace outside of our folders
}
teardown() {
    local status=0
    test_end || status=1
    runtime_folders_gone "$ctr_namespace" || status=1
    return $status
}

# have_image CTR: the image hull/pages:1 of a registry in the containerd that the command CTR talks to; sets image
have_image() {
    registry_start
    registry_push "$(image_file pages)" hull/pages:1
    image=$registry/hull/pages:1
    "$1" images pull --plain-http "$image"
}

@test "ctr with hull-containerd: version, pull, run, tasks, exec, kill, snapshots, events" {
    containerd_start
    our_ctr version
    our_ctr events >"$T/events" 3>&- &
    local events=$!
    have_image our_ctr
    run -0 our_ctr images ls -q
    expect_output "$image"
    run -7 our_ctr run --rm --runtime io.containerd.hull.v2 "$image" once sh -c 'cat index.html; exit 7'
    expect_match 'served from a container'
    our_ctr run -d --runtime io.containerd.hull.v2 "$image" web sleep 300
    run -0 our_ctr tasks ls
    expect_match 'web +[0-9]+ +RUNNING'
    run -4 our_ctr tasks exec --exec-id e1 web sh -c 'exit 4'
    our_ctr tasks kill -s KILL web
    wait_until says 'web.*STOPPED' our_ctr tasks ls
    our_ctr tasks rm web || [ $? = 137 ] # ctr passes the task's exit status on
    our_ctr containers rm web
    run -0 our_ctr snapshots ls
    expect_match 'Committed'
    for topic in /images/create /containers/create /tasks/create /tasks/start /tasks/exit /tasks/delete; do
        wait_until grep -qF " $topic " "$T/events" || fail "no event $topic"
    done
    kill $events
    our_ctr images rm "$image"
    containerd_stop
}

@test "a task's name can be used again at once, and each task leaves nothing" {
    containerd_start
    have_image our_ctr
    local i
    for i in 1 2 3 4 5 6 7 8; do # deletion is answered before shim and mounts are gone
        run -$i our_ctr run --rm --runtime io.containerd.hull.v2 "$image" again sh -c "exit $i"
    done
    wait_until sh -c "! find '$T/c-state' '$T/c-root' -path '*/again*' | grep -q ."
    run -1 grep -F "$T/c-state" /proc/self/mounts
    containerd_stop
}

@test "hull-runc under Debian's containerd: run, exec, limits, pause, metrics, kill, delete" {
    need hull-runc
    debian_containerd_start
    have_image ctr
    local start=(--runc-binary "$T/bin/hull-runc" --cgroup "/$(test_cgroup)/c")
    run -9 ctr run --rm "${start[@]}" "$image" c sh -c 'cat index.html; exit 9'
    expect_match 'served from a container'
    run ! ctr run --rm "${start[@]}" "$image" c /no/such/program
    expect_match 'no such file or directory'
    ctr run -d "${start[@]}" --memory-limit 67108864 --cpus 0.5 "$image" web sleep 300
    expect_limits c 67108864 50000
    run -4 ctr tasks exec --exec-id e1 web sh -c 'exit 4'
    ctr tasks pause web
    run -0 ctr tasks ls
    expect_match 'web +[0-9]+ +PAUSED'
    ctr tasks resume web
    run -0 ctr tasks ps web
    expect_match '[0-9]+'
    run -0 ctr tasks metrics web
    expect_match 'memory.usage_in_bytes|memory.usage|memory '
    ctr tasks kill -s KILL web
    wait_until task_stopped web
    ctr tasks rm web || [ $? = 137 ] # ctr passes the task's exit status on
    ctr containers rm web
    debian_containerd_stop
}
task_stopped() { ctr tasks ls | grep -q "$1.*STOPPED"; }

@test "hull-runc under Debian's dockerd: run, exec, limits, pause, update, stop, kill, delete" {
    need hull-runc
    debian_dockerd_start --add-runtime "hull=$T/bin/hull-runc" --default-runtime hull
    debian_docker load -i "$(image_file busybox docker)"
    as_users_do debian_docker ''
    debian_dockerd_stop
}

@test "hull-runc under Debian's podman: run, exec, limits, pause, update, stop, kill, delete" {
    need hull-runc
    debian_podman_start --runtime "$T/bin/hull-runc"
    podman load --signature-policy "$T/policy.json" -i "$(image_file busybox docker)"
    as_users_do podman libpod-
    debian_podman_stop
}

@test "our shim under Debian's containerd" {
    need containerd-shim-hull-v2 hull-runc
    debian_containerd_start
    have_image ctr
    run -9 ctr run --rm --runtime io.containerd.hull.v2 --cgroup "/$(test_cgroup)/c" "$image" c sh -c 'cat index.html; exit 9'
    expect_match 'served from a container'
    debian_containerd_stop
}

@test "runc under our shim" {
    need containerd-shim-hull-v2
    debian_containerd_start
    # ctr names a runtime binary to this shim only, so ours takes its place
    ln -sf "$(program containerd-shim-hull-v2)" "$T/bin/containerd-shim-runc-v2"
    have_image ctr
    run -9 ctr run --rm --runtime io.containerd.runc.v2 --runc-binary "$T/bin/runc" --cgroup "/$(test_cgroup)/c" "$image" c \
        sh -c 'cat index.html; exit 9'
    expect_match 'served from a container'
    debian_containerd_stop
}

@test "containerd-shim-runc-v2 under hull-containerd, adopted after a restart" {
    need hull-containerd
    original containerd containerd-shim-runc-v2
    original runc runc
    containerd_start
    have_image our_ctr
    run -6 our_ctr run --rm --runtime io.containerd.runc.v2 --cgroup "/$(test_cgroup)/once" "$image" once sh -c 'exit 6'
    our_ctr run -d --runtime io.containerd.runc.v2 --cgroup "/$(test_cgroup)/stay" "$image" stay sleep 300
    finish containerd KILL
    containerd_start
    run -0 our_ctr tasks ls
    expect_match 'stay +[0-9]+ +RUNNING'
    run -0 our_ctr tasks exec --exec-id e stay echo still here
    expect_match 'still here'
    our_ctr tasks rm -f stay || [ $? = 137 ]
    our_ctr containers rm stay
    our_ctr images rm "$image"
    containerd_stop
}
