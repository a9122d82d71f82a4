#!/usr/bin/env bats
# hull-containerd in the place of containerd, under dockerd: its whole image store and its builder work on ours.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/originals
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    need hull-containerd containerd-shim-hull-v2 hull-unpack
    test_begin
    peers_start
    our_containerd=("$T/bin/hull-containerd" --address "$T/c.sock" --root "$T/c-root" --state "$T/c-state" --log-level debug)
}
teardown() {
    test_end
}

# dockerd mounts root file systems itself and tells their paths, so both must be in one mount namespace.
our_containerd_inside() {
    peer_background containerd "${our_containerd[@]}"
    wait_until -t 30 our_ctr version
}
docker_inside() { peer env "DOCKER_HOST=$DOCKER_HOST" docker "$@"; }
nothing_stored() { # NAMESPACE
    [ -z "$(ctr_namespace=$1 our_ctr content ls -q; ctr_namespace=$1 our_ctr leases ls -q)" ] && [ -z "$(ls "$T/c-root/snapshots")" ]
}

@test "dockerd 28 with its containerd image store: pull, run, exec, commit, save, load, push, build, prune" {
    our_containerd_inside
    registry_start
    registry_push "$(image_file pages)" hull/pages:1
    local image=$registry/hull/pages:1 built
    printf '{"features": {"containerd-snapshotter": true}, "insecure-registries": ["127.0.0.0/8"]}\n' >"$T/dockerd.json"
    peer_dockerd_start --containerd "$T/c.sock" --config-file "$T/dockerd.json"
    docker_inside pull "$image"
    run -0 docker_inside images --format '{{.Repository}}:{{.Tag}}'
    expect_output "$image"
    run -0 docker_inside run --rm "$image" cat index.html
    expect_match 'served from a container'
    [ "$( (echo x && sleep 1) | docker_inside run --rm -i "$image" cat)" = x ]
    docker_inside run -d --name web --memory 50m "$image" sleep 1000
    docker_inside exec web sh -c 'echo new >/new'
    run -0 docker_inside diff web
    expect_output 'A /new'
    run -0 docker_inside stats --no-stream --format '{{.MemUsage}}' web
    expect_match '/ 50MiB$'
    docker_inside commit web committed:1
    docker_inside save -o "$T/saved.tar" committed:1
    docker_inside rm -f web
    docker_inside rmi committed:1
    docker_inside load -i "$T/saved.tar"
    run -0 docker_inside run --rm committed:1 cat /new
    expect_output new
    docker_inside tag committed:1 "$registry/hull/committed:1"
    docker_inside push "$registry/hull/committed:1"
    mkdir "$T/context"
    printf 'FROM %s\nRUN echo built >/b\nCMD ["cat", "/b"]\n' "$image" >"$T/context/Dockerfile"
    docker_inside build -t built:1 "$T/context"
    run -0 docker_inside run --rm built:1
    expect_output built
    built=$(docker_inside image inspect -f '{{.Id}}' built:1)
    docker_inside build -t built:2 "$T/context" # all of it from the cache
    [ "$(docker_inside image inspect -f '{{index .RootFS.Layers 2}}' built:2)" = \
        "$(docker_inside image inspect -f '{{index .RootFS.Layers 2}}' "$built")" ]
    docker_inside system prune -af
    run -0 docker_inside images -q
    expect_output ''
    wait_until nothing_stored moby # what is left is the history of builds, in a namespace of its own
    finish peer-dockerd
    finish containerd
}

@test "dockerd 20.10: load, run, exec, logs, stop; the names of runc and its shim find ours" {
    # where neither containerd-shim-runc-v2 nor runc is installed
    background containerd env "PATH=$T/bin" "${our_containerd[@]}"
    wait_until -t 30 our_ctr version
    ctr_address=$T/c.sock
    debian_dockerd_start
    docker_inside load -i "$(image_file busybox docker)"
    run -3 docker_inside run --rm --network none busybox sh -c 'echo old; exit 3'
    expect_output old
    [ "$( (echo x && sleep 1) | docker_inside run --rm -i --network none busybox cat)" = x ]
    docker_inside run -d --name web --network none busybox sh -c 'trap "exit 5" TERM; echo up; while :; do sleep 0.1; done'
    wait_until says '^up$' docker_inside logs web
    pgrep -f "containerd-shim-hull-v2 -namespace moby .*$T/c.sock" >"$T/shims"
    run -4 docker_inside exec web sh -c 'exit 4'
    docker_inside stop web
    run -0 docker_inside inspect -f '{{.State.ExitCode}}' web
    expect_output 5
    docker_inside rm web
    finish dockerd
    containerd_stop
}
