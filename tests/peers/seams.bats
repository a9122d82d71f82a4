#!/usr/bin/env bats
# Our boxes with the newest originals of Debian's testing suite on the other side.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    test_begin
    peers_start
}
teardown() {
    test_end
}

@test "hulld on containerd 2: run, logs, restart of the daemon" {
    need hulld hull containerd-shim-hull-v2
    peer_containerd_start
    hulld_start --containerd "$ctr_address"
    engine_load busybox
    run -3 hull run --rm --network none busybox sh -c 'echo on containerd 2; exit 3'
    expect_output 'on containerd 2'
    run -0 hull run --rm -i --network none busybox cat <<<'through stdin'
    expect_output 'through stdin'
    hull run -d --name stays --network none busybox sh -c 'echo first; while :; do sleep 1; done'
    hulld_stop KILL
    hulld_start --containerd "$ctr_address"
    run -0 hull logs stays
    expect_output first
    hull rm -f stays
    hulld_stop
}

@test "hull with dockerd 28: run, ps, logs, exec" {
    need hull
    peer_dockerd_start
    docker load -i "$(image_file busybox docker)"
    run -3 hull run --rm --network none busybox sh -c 'echo dockerd; exit 3'
    expect_output dockerd
    hull run -d --name dd --network none busybox sh -c 'echo logged; sleep 300'
    run -0 hull ps --format '{{.Names}}'
    expect_output dd
    wait_until sh -c 'hull logs dd | grep -qx logged'
    run -0 hull exec dd echo inside
    expect_output inside
    hull rm -f dd
}

@test "hull-runc under dockerd 28" {
    need hull-runc
    peer_dockerd_start --add-runtime "hull=$T/bin/hull-runc"
    docker load -i "$(image_file busybox docker)"
    run -3 docker run --rm --runtime hull --network none busybox sh -c 'echo hull-runc; exit 3'
    expect_output 'hull-runc'
}

@test "hull-runc under podman" {
    need hull-runc
    peer podman --root "$T/podman" --runroot "$T/podman-run" load -i "$(image_file busybox docker)"
    run -3 peer podman --root "$T/podman" --runroot "$T/podman-run" --runtime "$T/bin/hull-runc" --cgroup-manager cgroupfs \
        run --rm --network none --log-driver k8s-file busybox sh -c 'echo podman; exit 3'
    expect_match 'podman'
}

@test "crun under our shim, under containerd 2" {
    need containerd-shim-hull-v2
    [ -z "$(cat /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null)" ] || skip "crun refuses a hybrid cgroup tree with controllers in v2"
    # ctr names a runtime binary to this shim only, so ours takes its place
    ln -sf "$(program containerd-shim-hull-v2)" "$T/bin/containerd-shim-runc-v2"
    peer_containerd_start
    peer ctr --address "$ctr_address" images import "$(image_file busybox)"
    run -3 peer ctr --address "$ctr_address" run --rm --runtime io.containerd.runc.v2 --runc-binary crun \
        --cgroup "/$(test_cgroup)/c" docker.io/library/busybox:latest c sh -c 'echo crun; exit 3'
    expect_match 'crun'
}

@test "our shim and hull-runc under containerd 2" {
    need containerd-shim-hull-v2 hull-runc
    peer_containerd_start
    peer ctr --address "$ctr_address" images import "$(image_file busybox)"
    run -3 peer ctr --address "$ctr_address" run --rm --runtime io.containerd.hull.v2 \
        --cgroup "/$(test_cgroup)/c" docker.io/library/busybox:latest c sh -c 'echo hull; exit 3'
    expect_match 'hull'
}

@test "ctr 2 with hull-containerd: import, pull, tag and export by transfer, run" {
    need hull-containerd containerd-shim-hull-v2 hull-unpack
    containerd_start
    ctr2() { peer ctr --address "$T/c.sock" "$@"; }
    cp "$(image_file busybox docker)" "$T/busybox.tar"
    ctr2 images import "$T/busybox.tar"
    local name
    name=$(ctr2 images ls -q)
    [[ $name == */busybox:* ]] || fail "imported: $name"
    ctr2 images tag "$name" localhost/copy:1
    ctr2 images export "$T/out.tar" localhost/copy:1
    tar -tf "$T/out.tar" >"$T/list"
    grep -qx index.json "$T/list" && grep -qx manifest.json "$T/list"
    registry_start
    registry_push "$(image_file busybox)" bb:1
    ctr2 images pull --plain-http "$registry/bb:1"
    run ! ctr2 images pull --plain-http "$registry/nope:1"
    expect_match 'manifest unknown'
    run ! ctr2 images push --plain-http "$registry/bb:2" "$registry/bb:1"
    expect_match 'not supported yet'
    run -3 ctr2 run --rm --fifo-dir "$T/fifo" --runtime io.containerd.hull.v2 "$registry/bb:1" r1 sh -c 'echo ctr two; exit 3'
    expect_match 'ctr two'
    ctr2 images rm --sync "$registry/bb:1" localhost/copy:1 "$name"
    wait_until sh -c "[ -z \"\$(ls $T/c-root/blobs/sha256)\" ]"
    containerd_stop
}
