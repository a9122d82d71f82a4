#!/usr/bin/env bats
# store/, registry/ and hull-unpack against the originals: a real docker-registry, real images, skopeo, tar and overlayfs.

load ../lib/common
load ../lib/images
load ../lib/registry

setup() {
    need_root
    test_begin
    need store_peer hull-unpack
}
teardown() {
    test_end
}

store() {
    "$(program store_peer)" "$T/store" "$(program hull-unpack)" "$@"
}
chain_of() { # the chain id that `pull` printed
    sed -n 's/^chain //p' <<<"$output"
}

@test "pull: a second image shares layers, deleting both leaves nothing" {
    registry_start
    registry_push "$(image_file busybox)" busybox:latest
    registry_push "$(image_file pages)" pages:1
    run -0 store pull "$registry/busybox"
    expect_match 'Pull complete'
    run -0 store pull "$registry/pages:1"
    expect_match 'Already exists'
    expect_match 'Pull complete'
    run -0 store pull "$registry/pages:1"
    expect_match 'up to date'
    run -1 store pull "$registry/pages:2"
    expect_match 'manifest for .*/pages:2 not found: manifest unknown: manifest unknown'
    store rm "$registry/busybox:latest"
    store rm "$registry/pages:1"
    [ -z "$(ls "$T"/store/blobs/sha256 "$T"/store/snapshots "$T"/store/ingest | grep -v :)" ]
}

@test "pull: what lands on disk is what tar makes of the layer" {
    registry_start
    registry_push "$(image_file debian)" debian:latest
    run -0 store pull "$registry/debian"
    mkdir "$T/x" "$T/tar"
    tar -C "$T/x" -xf "$(image_file debian docker)"
    tar --xattrs --same-owner --numeric-owner -C "$T/tar" -xf "$T/x/$(jq -r '.[0].Layers[0]' "$T/x/manifest.json")"
    list() { (cd "$1" && find . -mindepth 1 \( -type d -printf '%p %m %U:%G %TY%Tj%TH%TM\n' -o -printf '%p %y %m %U:%G %TY%Tj%TH%TM %l %s %n\n' \) | sort); }
    diff <(list "$T/tar") <(list "$T"/store/snapshots/*/fs)
    diff -r --no-dereference "$T/tar" "$T"/store/snapshots/*/fs
}

@test "pull: killed at any moment, it goes on and leaves nothing" {
    registry_start
    registry_push "$(image_file debian)" debian:latest
    for ms in 0.05 0.1 0.2 0.3 0.4 0.5; do
        timeout -s KILL "$ms" "$(program store_peer)" "$T/store" "$(program hull-unpack)" pull "$registry/debian" || true
    done
    run -0 store pull "$registry/debian"
    [ "$(ls "$T/store/snapshots" | wc -l)" = 1 ]
    [ -z "$(ls "$T/store/ingest")" ]
    store rm "$registry/debian:latest"
    # what the killed pulls fetched is held for a day, but no half unpacked layer
    [ "$(ls "$T/store/snapshots" | wc -l)" -le 1 ]
}

@test "pull: a full disk is said, and leaves nothing" {
    registry_start
    registry_push "$(image_file debian)" debian:latest
    registry_push "$(image_file busybox)" busybox:latest
    mkdir "$T/store"
    mount -t tmpfs -o size=100M tmpfs "$T/store"
    run -1 store pull "$registry/debian"
    expect_match '[Nn]o space left on device'
    store rm none || true # opens the store, which sweeps
    [ -z "$(ls "$T/store/snapshots")" ]
    run -0 store pull "$registry/busybox"
    umount "$T/store"
}

@test "load and save: both layouts, in and out, and skopeo reads them" {
    for layout in oci docker; do
        run -0 store import "$(image_file pages "$layout")"
        expect_match 'Loaded image: docker.io/library/pages:latest sha256:'
    done
    store export "$T/out.tar" docker.io/library/pages:latest
    [ "$(tar -tf "$T/out.tar" | grep -v '^blobs/sha256/.')" = $'blobs/\nblobs/sha256/\nindex.json\nmanifest.json\noci-layout' ]
    [ "$(tar -xOf "$T/out.tar" manifest.json | jq -r '.[0].RepoTags[0]')" = pages:latest ]
    skopeo copy --quiet "docker-archive:$T/out.tar:pages:latest" "dir:$T/skopeo"
    mkdir "$T/oci"
    tar -C "$T/oci" -xf "$T/out.tar"
    skopeo inspect "oci:$T/oci:latest" >/dev/null
    rm -r "$T/store"
    run -0 store import "$T/out.tar"
    expect_match 'Loaded image: docker.io/library/pages:latest sha256:'
}

@test "load: archives that lie or miss something" {
    mkdir "$T/a"
    tar -C "$T/a" -xf "$(image_file pages)"
    printf x >>"$(find "$T/a/blobs" -type f -size +100k | head -n 1)"
    tar -C "$T/a" -cf "$T/bad.tar" .
    run -1 store import "$T/bad.tar"
    expect_match 'unexpected commit digest'
    rm "$(find "$T/a/blobs" -type f -size +100k | head -n 1)"
    tar -C "$T/a" -cf "$T/less.tar" .
    run -1 store import "$T/less.tar"
    expect_match 'not found'
    tar -C "$T/a" -cf "$T/none.tar" oci-layout
    run -1 store import "$T/none.tar"
    expect_match 'invalid archive: does not contain a manifest.json'
    head -c 100000 "$(image_file pages)" >"$T/cut.tar"
    run -1 store import "$T/cut.tar"
    expect_match 'invalid tar'
    [ -z "$(ls "$T"/store/blobs/sha256 "$T"/store/snapshots "$T"/store/ingest | grep -v :)" ]
}

@test "diff and apply: a change, turned into a layer and applied again, is the same change" {
    run -0 store import "$(image_file pages)"
    local chain
    chain=$(store snapshots | awk '$2 != "" {print $1}')
    mkdir "$T/m"
    mount -t overlay overlay -o "$(store change "$chain")" "$T/m"
    echo new >"$T/m/new"
    rm "$T/m/etc/passwd"
    rm -r "$T/m/srv"
    mkdir "$T/m/srv"
    echo again >"$T/m/srv/again"
    ln "$T/m/new" "$T/m/hard"
    (cd "$T/m" && find . | sort) >"$T/before"
    umount "$T/m"
    run -0 store diff "$chain"
    mount -t overlay overlay -o "${lines[1]}" "$T/m"
    (cd "$T/m" && find . | sort) >"$T/after"
    diff "$T/before" "$T/after"
    [ "$(cat "$T/m/hard")" = new ]
    umount "$T/m"
}
