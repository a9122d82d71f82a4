#!/usr/bin/env bats
# rpc/ against the newest originals; tests/cli/rpc.bats does the same with Debian 12's.

load ../lib/common
load ../lib/peers

setup() {
    need_root
    test_begin
    need grpc_peer ttrpc_peer
    peers_start
}
teardown() {
    test_end
}

@test "ctr 2: calls, errors, and 100 MB each way" {
    ctr_address=$T/peer.sock
    background peer-server "$(program grpc_peer)" serve "$ctr_address" 100000000
    wait_until peer ctr --address "$ctr_address" version
    run -0 peer ctr --address "$ctr_address" version
    expect_match 'Version: +7\.7\.7-test'
    run -1 peer ctr --address "$ctr_address" namespaces create alpha
    expect_match 'namespace "alpha" with 100 % näme: already exists'
    [ "$(peer ctr --address "$ctr_address" content get "sha256:$(printf x | sha256sum | cut -d' ' -f1)" | wc -c)" = 100000000 ]
    head -c 100000000 /dev/zero >"$T/zeros"
    peer ctr --address "$ctr_address" content ingest --expected-size 100000000 \
        --expected-digest "sha256:$(sha256sum <"$T/zeros" | cut -d' ' -f1)" ref <"$T/zeros"
    grep -q 'committed 100000000 bytes' "$T/log/peer-server"
    finish peer-server
}

@test "our gRPC client on containerd 2" {
    peer_containerd_start
    run -0 "$(program grpc_peer)" ask "$ctr_address"
    expect_match 'version 2\.'
    expect_match 'error 6 namespace "alpha": already exists'
    expect_match 'event alpha /tasks/start web 42'
    expect_match 'error 12 unknown method Nope for service containerd.services.namespaces.v1.Namespaces'
}

@test "ttrpc with the shim of containerd 2: calls, a call that waits, events" {
    local bundle=$T/b ttrpc=$T/events
    mkdir -p "$bundle/rootfs/bin" "$bundle/rootfs/proc"
    cp "$(command -v busybox)" "$bundle/rootfs/bin/sleep"
    peer sh -c "cd $bundle && runc spec"
    jq '.process.terminal = false | .process.args = ["sleep", "1000"] | .process.rlimits = []' \
        "$bundle/config.json" >"$bundle/new" && mv "$bundle/new" "$bundle/config.json"
    background drive "$(program ttrpc_peer)" "$ttrpc" "$T/address" peer2 "$bundle" containerd.task.v3.Task
    wait_until grep -q '^listening' "$T/log/drive"
    (cd "$bundle" && mkfifo log && exec 9<>log && peer env -C "$bundle" HULL_TEST_ID="$T" TTRPC_ADDRESS="$ttrpc" \
        containerd-shim-runc-v2 -namespace peer -address "$T/none" -publish-binary /bin/true -id peer2 start \
        >"$T/address.new" 3>&- 4>&-)
    mv "$T/address.new" "$T/address"
    wait_until gone "$(cat "$T/pid/drive")"
    run -0 cat "$T/log/drive"
    expect_match 'error 5 State: '
    expect_match 'error 12 Nope: '
    expect_match 'event peer /tasks/create containerd.events.TaskCreate'
    expect_match 'same pid 1'
    expect_match "state 2 bundle $bundle"
    expect_match 'exit of peer2 with 137'
    expect_match 'waited 137'
    expect_match 'deleted 137'
    expect_match 'shim gone'
    finish drive
}
