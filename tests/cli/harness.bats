#!/usr/bin/env bats
# The tools of the other tests, proved on the originals: our images are real images, and what stays behind is found.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/originals

setup() {
    need_root
    test_begin
}
teardown() {
    test_end
}

@test "mkimage: the same packages give the same bytes" {
    "$top/tests/fixtures/mkimage" busybox "$T/one" >"$T/first"
    "$top/tests/fixtures/mkimage" busybox "$T/two" >"$T/second"
    cmp "$T/first" "$T/second"
    cmp "$T/one/busybox.oci.tar" "$T/two/busybox.oci.tar"
    cmp "$T/one/busybox.docker.tar" "$T/two/busybox.docker.tar"
}

@test "mkimage: digests, sizes and diff ids are true in both archives" {
    local oci docker config layer n=0
    oci=$T/oci docker=$T/docker
    mkdir "$oci" "$docker"
    tar -xf "$(image_file pages oci)" -C "$oci"
    tar -xf "$(image_file pages docker)" -C "$docker"
    (cd "$oci/blobs/sha256" && for blob in *; do [ "$(sha256sum <"$blob" | cut -d' ' -f1)" = "$blob" ]; done)
    config=$(jq -r '.[0].Config' "$docker/manifest.json")
    [ "$(sha256sum <"$docker/$config" | cut -d' ' -f1).json" = "$config" ]
    for layer in $(jq -r '.[0].Layers[]' "$docker/manifest.json"); do
        [ "sha256:$(sha256sum <"$docker/$layer" | cut -d' ' -f1)" = "$(jq -r ".rootfs.diff_ids[$n]" "$docker/$config")" ]
        n=$((n + 1))
    done
    [ $n = 2 ]
    # one history entry for each layer that is not marked empty
    [ "$(jq '[.history[] | select(.empty_layer | not)] | length' "$docker/$config")" = 2 ]
}

@test "mkimage: busybox and pages share their first layer" {
    local busybox pages
    busybox=$(skopeo inspect "oci-archive:$(image_file busybox)" | jq -r '.Layers[0]')
    pages=$(skopeo inspect "oci-archive:$(image_file pages)" | jq -r '.Layers[0]')
    [ -n "$busybox" ]
    [ "$busybox" = "$pages" ]
}

@test "a real registry serves our image, Debian's containerd runs it" {
    net_begin
    registry_start
    registry_push "$(image_file pages)" hull/pages:1
    debian_containerd_start
    ctr images pull --plain-http "$registry/hull/pages:1"
    run -7 ctr run --rm --cgroup "/$(test_cgroup)/c1" "$registry/hull/pages:1" c1 \
        /bin/sh -c 'cat /srv/www/index.html; ls /var/spool /etc/shadow; exit 7'
    expect_match 'served from a container'
    expect_match 'pages'
    [[ $output != *mail* ]] || fail "the opaque directory shows what is below it"
    [[ $output == *"/etc/shadow: No such file"* ]] || fail "the whiteout hides nothing"
    ctr images rm "$registry/hull/pages:1"
    debian_containerd_stop
}

@test "leaks: a mount, a process and a sanitizer report are found and named" {
    mkdir "$T/stays"
    mount -t tmpfs stays "$T/stays"
    HULL_TEST_ID=$T setsid sleep 300 </dev/null >/dev/null 2>&1 3>&- 4>&- &
    local pid=$!
    printf '==1==ERROR: AddressSanitizer: heap-use-after-free\n' >"$T/log/sanitizer.1"
    wait_until grep -qz "^HULL_TEST_ID=$T\$" /proc/$pid/environ
    run -1 leaks_end
    expect_match "left behind \(leaked mounts\):.*$T/stays"
    expect_match "left behind \(leaked processes\):.*sleep 300"
    expect_match 'left behind \(crash reports\):.*heap-use-after-free'
    gone $pid
    ! mountpoint -q "$T/stays"
    rm "$T/log/sanitizer.1"
}

@test "finish: a program that died of a signal fails the test" {
    background crasher bash -c 'kill -SEGV $$'
    wait_until gone "$(cat "$T/pid/crasher")"
    run -1 finish crasher
    expect_match 'died of SIGSEGV'
}

@test "wait_until gives the last output when time is up" {
    run -1 wait_until -t 1 sh -c 'echo not yet; false'
    expect_match 'not within 1 s: sh.*not yet'
}

@test "cache: what is used stays, what nobody used for days and what is beyond the newest few goes, what may be in use never" {
    local cache_dir=$T/cache
    mkdir -p "$cache_dir"
    aged() { # NAME AGE
        mkdir "$cache_dir/$1"
        echo x >"$cache_dir/$1/file"
        touch -d "$2 ago" "$cache_dir/$1"
    }
    aged vm-a '1 minute'
    aged vm-b '10 minutes'
    aged vm-c '2 days'
    aged vm-d '9 days'
    aged vm-e '9 days'
    aged peers-x '90 days' # of another kind
    cache_used "$cache_dir/vm-e"
    cache_trim vm
    [ "$(cd "$cache_dir" && echo *)" = "peers-x vm-a vm-b vm-c vm-e" ] || fail "$(ls "$cache_dir")"
    aged vm-f '3 hours'
    aged vm-g '4 hours'
    aged vm-h '5 hours'
    cache_trim vm
    # four are the newest; of the others only those of the last two hours stay
    [ "$(cd "$cache_dir" && echo vm-?)" = "vm-a vm-b vm-e vm-f" ] || fail "$(ls "$cache_dir")"
}
