#!/usr/bin/env bats
# Registries with the newest originals on the other side: Docker's client on hulld, ctr 2 on hull-containerd, hulld on containerd 2.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/originals
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    test_begin
    net_begin
}
teardown() {
    test_end
}

# digest_at NAME TAG: what the registry has, as skopeo sees it
digest_at() {
    in_net skopeo inspect --tls-verify=false ${registry_creds:+--creds=$registry_creds} --format '{{.Digest}}' "docker://$registry/$1:$2"
}

@test "Docker's client on hulld: login, pull, push, all tags, by digest, logout" {
    need_docker
    registry_tokens
    registry_start
    registry_creds=u:p
    registry_push "$(image_file busybox)" private/busybox:latest
    registry_push "$(image_file pages)" private/busybox:pages
    hulld_start
    run -1 docker pull -q "$registry/private/busybox"
    expect_match "pull access denied for $registry/private/busybox"
    run -1 docker login -u u -p wrong "$registry"
    expect_match 'unauthorized: incorrect username or password'
    run -0 docker login -u u -p p "$registry"
    expect_match 'Login Succeeded'
    run -0 docker pull -a "$registry/private/busybox"
    expect_match "Digest: $(digest_at private/busybox pages)"
    docker tag "$registry/private/busybox" "$registry/private/copy"
    docker tag "$registry/private/busybox:pages" "$registry/private/copy:2"
    run -0 docker push -a "$registry/private/copy"
    expect_match "latest: digest: $(digest_at private/busybox latest) size: "
    [ "$(digest_at private/copy 2)" = "$(digest_at private/busybox pages)" ]
    run -0 docker push "$registry/private/copy:2"
    expect_match 'Layer already exists'
    run -0 docker pull -q "$registry/private/busybox@$(digest_at private/busybox pages)"
    run -0 hull push "$registry/private/copy" # what docker stored serves hull, too
    run -0 docker logout "$registry"
    run -1 docker push "$registry/private/copy:2"
    expect_match 'unauthorized: authentication required'
}

@test "ctr 2 pushes from hull-containerd by transfer, with a password, through a directory of hosts" {
    peers_start
    registry_htpasswd
    registry_start
    registry_creds=u:p
    registry_push "$(image_file busybox)" busybox:1
    containerd_start
    ctr2() { peer ctr --address "$T/c.sock" "$@"; }
    ctr2 images pull --plain-http --user u:p "$registry/busybox:1"
    ctr2 images tag "$registry/busybox:1" "$registry/copy:1"
    run -1 ctr2 images push --plain-http "$registry/copy:1"
    run -0 ctr2 images push --plain-http --user u:p "$registry/copy:1"
    [ "$(digest_at copy 1)" = "$(digest_at busybox 1)" ]
    mkdir -p "$T/hosts/other.test"
    printf 'server = "http://%s"\n' "$registry" >"$T/hosts/other.test/hosts.toml"
    ctr2 images tag "$registry/busybox:1" other.test/copy:2
    run -0 ctr2 images push --hosts-dir "$T/hosts" --user u:p other.test/copy:2
    [ "$(digest_at copy 2)" = "$(digest_at busybox 1)" ]
    containerd_stop
}

@test "hulld on containerd 2: credentials, push, a mirror, an insecure registry" {
    peers_start
    registry_htpasswd
    registry_start
    registry_creds=u:p
    registry_push "$(image_file busybox)" busybox:latest
    peer_containerd_start
    hulld_start --containerd "$ctr_address"
    run -1 hull pull -q "$registry/busybox"
    run -0 hull login -u u -p p "$registry"
    run -0 hull pull -q "$registry/busybox"
    hull tag "$registry/busybox" "$registry/copy:1"
    run -0 hull push "$registry/copy:1"
    expect_match "1: digest: $(digest_at busybox latest) size: "
    [ "$(digest_at copy 1)" = "$(digest_at busybox latest)" ]
    hulld_stop
    own=$registry
    registry_extra='' registry_creds='' registry_start mirror
    registry_creds='' registry_push "$(image_file pages)" library/pages:latest
    in_net ip addr add 198.18.255.1/32 dev lo
    registry_extra='' registry_address=198.18.255.1:5000 registry_start plain
    registry_creds='' registry_push "$(image_file pages)" pages:latest
    printf '{"registry-mirrors": ["http://%s"], "insecure-registries": ["198.18.255.0/24"]}' "127.0.0.1:$(
        sed -n 's/.*addr: "127.0.0.1:\([0-9]*\)".*/\1/p' "$T/mirror.yml")" >"$T/daemon.json"
    hulld_start --containerd "$ctr_address"
    run -0 hull pull -q pages
    run -0 hull pull -q 198.18.255.1:5000/pages
    hull tag pages 198.18.255.1:5000/copy
    run -0 hull push 198.18.255.1:5000/copy
    hulld_stop
    finish peer-containerd
}
