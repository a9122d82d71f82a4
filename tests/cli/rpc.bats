#!/usr/bin/env bats
# rpc/ against the originals: `ctr` (grpc-go's client) on our server, our client on containerd (grpc-go's server), and both
# sides of ttrpc with containerd's own shim.

load ../lib/common
load ../lib/originals

setup() {
    need_root
    test_begin
    need grpc_peer ttrpc_peer
}
teardown() {
    test_end
}

serve() {
    original containerd containerd ctr
    ctr_address=$T/peer.sock
    background peer "$(program grpc_peer)" serve "$ctr_address" 100000000
    wait_until ctr version
}

@test "ctr: calls, answers and errors" {
    serve
    run -0 ctr version
    expect_match 'Version: +7\.7\.7-test'
    run -0 ctr namespaces ls
    expect_match 'alpha colour=red'
    run -1 ctr namespaces create alpha
    expect_match 'namespace "alpha" with 100 % näme: already exists'
    run -1 ctr images ls
    expect_match 'unknown service containerd.services.images.v1.Images: not implemented'
    finish peer
}

@test "ctr: 100 MB each way, under grpc-go's flow control" {
    serve
    [ "$(ctr content get "sha256:$(printf x | sha256sum | cut -d' ' -f1)" | wc -c)" = 100000000 ]
    head -c 100000000 /dev/zero >"$T/zeros"
    run -0 ctr content ingest --expected-size 100000000 \
        --expected-digest "sha256:$(sha256sum <"$T/zeros" | cut -d' ' -f1)" ref <"$T/zeros"
    grep -q 'committed 100000000 bytes' "$T/log/peer"
    finish peer
}

@test "ctr: a subscriber that goes away is noticed" {
    serve
    background events "$T/bin/ctr" --address "$ctr_address" events
    wait_until grep -q '^subscribed' "$T/log/peer"
    kill -KILL "$(cat "$T/pid/events")"
    rm "$T/pid/events"
    wait_until grep -q '^subscriber gone' "$T/log/peer"
    finish peer
}

@test "our gRPC client on containerd" {
    debian_containerd_start
    run -0 "$(program grpc_peer)" ask "$ctr_address"
    expect_match 'version [0-9]'
    expect_match 'namespace alpha'
    expect_match 'error 6 namespace "alpha": already exists'
    expect_match 'event alpha /tasks/start web 42'
    expect_match 'error 12 unknown method Nope for service containerd.services.namespaces.v1.Namespaces'
    debian_containerd_stop
}

@test "ttrpc with containerd-shim-runc-v2: calls, a call that waits, events" {
    original containerd containerd-shim-runc-v2
    original runc runc
    local bundle=$T/b ttrpc=$T/events
    mkdir -p "$bundle/rootfs/bin" "$bundle/rootfs/proc"
    cp "$(busybox_file)" "$bundle/rootfs/bin/sleep"
    (cd "$bundle" && "$T/bin/runc" spec)
    jq '.process.terminal = false | .process.args = ["sleep", "1000"] | .process.rlimits = []' \
        "$bundle/config.json" >"$bundle/new" && mv "$bundle/new" "$bundle/config.json"
    background peer "$(program ttrpc_peer)" "$ttrpc" "$T/address" peer1 "$bundle" containerd.task.v2.Task
    wait_until grep -q '^listening' "$T/log/peer"
    # closed descriptors: the shim's daemon inherits them
    (cd "$bundle" && mkfifo log && exec 9<>log && HULL_TEST_ID=$T TTRPC_ADDRESS=$ttrpc "$T/bin/containerd-shim-runc-v2" \
        -namespace peer -address "$T/none" -publish-binary /bin/true -id peer1 start >"$T/address.new" 3>&- 4>&-)
    mv "$T/address.new" "$T/address"
    wait_until gone "$(cat "$T/pid/peer")"
    run -0 cat "$T/log/peer"
    expect_match 'error 5 State: container not created: not found'
    expect_match 'error 12 Nope: '
    expect_match 'event peer /tasks/create containerd.events.TaskCreate'
    expect_match 'event peer /tasks/start containerd.events.TaskStart'
    expect_match 'same pid 1'
    expect_match "state 2 bundle $bundle"
    expect_match 'exit of peer1 with 137'
    expect_match 'waited 137'
    expect_match 'deleted 137'
    expect_match 'event peer /tasks/delete containerd.events.TaskDelete'
    expect_match 'shim gone'
    finish peer
}
