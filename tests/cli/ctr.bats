#!/usr/bin/env bats
# Every command of `ctr` that speaks to containerd, on hull-containerd: contents, images, snapshots, leases, namespaces and
# containers. Tasks are in containerd.bats and seams.bats.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/originals
load ../lib/hull

setup() {
    need_root
    need hull-containerd hull-unpack
    test_begin
    net_begin
    ctr_namespace=t${T##*.}
    containerd_start
    our_ctr images import "$(image_file pages)" >/dev/null
    image=docker.io/library/pages:latest
    # what is named by a digest below
    manifest=$(our_ctr images ls | awk -v name="$image" '$1 == name {print $3}')
    upper=$(our_ctr snapshots ls | awk '$2 ~ /^sha256:/ {print $1}')
    lower=$(our_ctr snapshots ls | awk '$2 ~ /^sha256:/ {print $2}')
}
teardown() {
    finish containerd
    test_end
}

sha256_of() { printf 'sha256:%s\n' "$(sha256sum | cut -d' ' -f1)"; }

@test "content: ls, get, ingest, active, label, rm, fetch, fetch-object, push-object, prune" {
    run -0 our_ctr content ls -q
    [ "${#lines[@]}" = 4 ] # manifest, config, two layers
    expect_match "$manifest"
    [ "$(our_ctr content get "$manifest" | sha256_of)" = "$manifest" ]
    echo hello >"$T/blob"
    local blob
    blob=$(sha256_of <"$T/blob")
    our_ctr content ingest --expected-size 6 --expected-digest "$blob" mine <"$T/blob"
    run ! our_ctr content ingest --expected-digest "sha256:$(printf %064d 1)" lies <"$T/blob"
    expect_match 'unexpected commit digest'
    run -0 our_ctr content active
    expect_match 'lies'
    run -0 our_ctr content label "$blob" colour=red
    run -0 our_ctr content ls 'labels.colour==red'
    expect_match "$blob"
    our_ctr content rm "$blob"
    run ! our_ctr content get "$blob"
    expect_match 'not found'
    our_ctr content prune references
    registry_start
    registry_push "$(image_file pages)" hull/pages:1
    our_ctr content fetch --plain-http "$registry/hull/pages:1" >/dev/null
    [ "$(our_ctr content fetch-object --plain-http "$registry/hull/pages:1" "$manifest" | sha256_of)" = "$manifest" ]
    our_ctr content push-object --plain-http "$registry/hull/pages:2" "$manifest"
}

@test "images: ls, check, tag, label, export, import, mount, unmount, push, pull, convert, rm" {
    run -0 our_ctr images check "name==$image"
    expect_match 'complete \(3/3\).*true'
    our_ctr images tag "$image" two:1
    run ! our_ctr images tag "$image" two:1
    expect_match 'already exists'
    our_ctr images tag --force "$image" two:1
    our_ctr images label "$image" colour=red
    run -0 our_ctr images ls -q 'labels.colour==red'
    expect_output "$image"
    our_ctr images export "$T/out.tar" "$image" two:1
    our_ctr images rm --sync "$image" two:1
    run -0 our_ctr content ls -q
    expect_output ''
    run -0 our_ctr snapshots ls
    [ "${#lines[@]}" = 1 ]
    our_ctr images import "$T/out.tar"
    run -0 our_ctr images ls -q
    expect_output "$image"$'\n'two:1
    mkdir "$T/m"
    our_ctr images mount "$image" "$T/m"
    [ -s "$T/m/srv/www/index.html" ]
    run ! touch "$T/m/new"
    our_ctr images unmount --rm "$T/m"
    our_ctr images convert --uncompress "$image" plain:1
    run -0 our_ctr images check name==plain:1
    expect_match 'complete \(3/3\)'
    registry_start
    our_ctr images push --plain-http "$registry/hull/pushed:1" "$image" >/dev/null
    our_ctr images rm --sync "$image" two:1 plain:1
    run -0 our_ctr images pull --plain-http --print-chainid "$registry/hull/pushed:1"
    expect_match "image chain ID: $upper"
    run ! our_ctr images pull --plain-http --snapshotter native "$registry/hull/pushed:1"
    expect_match 'snapshotter not loaded: native'
    our_ctr images rm --sync "$registry/hull/pushed:1"
}

@test "snapshots: ls, info, prepare, view, mounts, usage, tree, diff, label, commit, unpack, rm" {
    run -0 our_ctr snapshots info "$upper"
    [ "$(jq -r '.Kind, .Parent' <<<"$output")" = "Committed"$'\n'"$lower" ]
    mkdir "$T/m"
    our_ctr snapshots prepare --target "$T/m" work "$upper" >"$T/mount"
    sh "$T/mount"
    echo changed >"$T/m/new"
    umount "$T/m"
    run -0 our_ctr snapshots usage work
    expect_match 'work +[0-9.]+ KiB +2'
    run -0 our_ctr snapshots commit done work
    run -0 our_ctr snapshots tree
    expect_match '_ done'
    our_ctr snapshots diff "$upper" done | tar -tzf - >"$T/list"
    [ "$(cat "$T/list")" = new ]
    our_ctr snapshots label done colour=red
    run -0 our_ctr snapshots info done
    [ "$(jq -r .Labels.colour <<<"$output")" = red ]
    our_ctr snapshots view --target "$T/m" seen done >"$T/mount"
    sh "$T/mount"
    [ "$(cat "$T/m/new")" = changed ]
    run ! touch "$T/m/other"
    umount "$T/m"
    run ! our_ctr snapshots rm done
    expect_match 'cannot remove snapshot with child'
    our_ctr snapshots rm seen
    our_ctr snapshots rm done
    our_ctr images tag "$image" keep:1 # the contents stay when their snapshots go
    our_ctr snapshots rm "$upper"
    our_ctr snapshots unpack "$manifest"
    our_ctr snapshots info "$upper"
}

@test "leases, namespaces, containers, plugins" {
    our_ctr leases create --id mine colour=red
    run ! our_ctr leases create --id mine
    expect_match 'already exists'
    run -0 our_ctr leases ls
    expect_match 'mine .*colour=red'
    our_ctr leases rm mine
    run -0 our_ctr namespaces ls -q
    expect_output "$ctr_namespace"
    our_ctr namespaces create other colour=red
    our_ctr namespaces label other colour=blue
    run -0 our_ctr namespaces ls
    expect_match 'other +colour=blue'
    our_ctr namespaces rm other
    run ! our_ctr namespaces rm "$ctr_namespace"
    expect_match 'must be empty'
    our_ctr containers create "$image" c sleep 100
    run ! our_ctr containers create "$image" c sleep 100
    expect_match 'already exists'
    run -0 our_ctr containers ls -q
    expect_output c
    run -0 our_ctr containers info c
    [ "$(jq -r .Image <<<"$output")" = "$image" ]
    our_ctr containers label c colour=red
    run -0 our_ctr containers ls -q 'labels.colour==red'
    expect_output c
    our_ctr containers rm c
    run -0 our_ctr plugins ls -d id==overlayfs
    expect_match 'io.containerd.snapshotter.v1'
}

@test "what was made without a lease outlives the collector, but not a collection that was asked for" {
    gone() { ! our_ctr content get "$1"; }
    local blob other
    echo mine >"$T/blob"
    blob=$(sha256_of <"$T/blob")
    our_ctr content ingest mine <"$T/blob"
    our_ctr snapshots view seen "$upper"
    # it comes for the lease of this, and takes what that held alone
    our_ctr images import "$(image_file busybox)" >/dev/null
    other=$(our_ctr images ls | awk '$1 ~ /busybox/ {print $3}')
    our_ctr images rm docker.io/library/busybox:latest
    wait_until gone "$other"
    [ "$(our_ctr content get "$blob")" = mine ]
    run -0 our_ctr snapshots info seen
    our_ctr images rm --sync "$image"
    run ! our_ctr content get "$blob"
    run ! our_ctr snapshots info seen
}
