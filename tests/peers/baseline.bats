#!/usr/bin/env bats
# The originals alone, on our images: when one of these fails, the machine is at fault and not Hull.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/peers

setup() {
    need_root
    test_begin
    peers_start
}
teardown() {
    test_end
}

@test "dockerd 28 loads and runs our image" {
    peer_dockerd_start
    docker load -i "$(image_file busybox docker)"
    run -3 docker run --rm --network none busybox sh -c 'echo from the peer; exit 3'
    expect_match 'from the peer'
}

@test "containerd 2 pulls our image from the registry and runs it" {
    registry_start
    registry_push "$(image_file pages)" hull/pages:1
    peer_containerd_start
    peer ctr --address "$ctr_address" images pull --plain-http "$registry/hull/pages:1"
    run -5 peer ctr --address "$ctr_address" run --rm --cgroup "/$(test_cgroup)/c2" "$registry/hull/pages:1" c2 \
        sh -c 'cat /srv/www/index.html; exit 5'
    expect_match 'served from a container'
}

@test "our programs are found inside by name, and so is a file of the test" {
    printf 'here\n' >"$T/file"
    run -0 peer cat "$T/file"
    expect_output here
    local path
    if path=$(program hull-runc); then
        run -0 peer hull-runc --version
    fi
}
