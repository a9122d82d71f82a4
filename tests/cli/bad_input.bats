#!/usr/bin/env bats
# Bad input at each door: a clear error with the right status, nothing outside or left over, and a daemon that goes on.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/hull

setup() {
    need_root
    need hull hulld hull-containerd containerd-shim-hull-v2
    test_begin
    hulld_start
}
teardown() {
    # whatever came in, the daemon is the same one and answers
    if [ -s "$T/pid/hulld" ]; then
        running hulld && hulld_answers
    fi
    test_end
}
hull() { in_net "$T/bin/hull" "$@"; }

message_is() { [ "$(jq -r .message <<<"$output")" = "$1" ] || fail "the message is: $output"; }

# --- requests --------------------------------------------------------------------------------------------------------

@test "malformed JSON and wrong types are 400" {
    local body
    for body in '{' '{"Image": "x"' '[]' '"text"' '{"Image": 5}' '{"Cmd": {"a": 1}}' '{"HostConfig": {"Memory": "much"}}' \
        '{"HostConfig": {"Mounts": [{"Type": 7}]}}'; do
        api POST /containers/create "$body"
        [ "$http_status" = 400 ] || fail "$body is answered with $http_status: $output"
        [ -n "$(jq -r .message <<<"$output")" ]
    done
    api GET '/containers/json?filters=nonsense'
    [ "$http_status" = 400 ] || [ "$http_status" = 500 ]
    api GET '/containers/json?all=1'
    [ "$output" = '[]' ]
}

@test "what is not there is 404, in Docker's words" {
    api GET /containers/nobody/json
    [ "$http_status" = 404 ]
    message_is 'No such container: nobody'
    api POST /containers/nobody/start
    [ "$http_status" = 404 ]
    message_is 'No such container: nobody'
    api GET /images/nothing:here/json
    [ "$http_status" = 404 ]
    message_is 'No such image: nothing:here'
    api GET /no/such/page
    [ "$http_status" = 404 ]
    message_is 'page not found'
}

@test "a head without end, truncated chunks and broken requests are dropped without harm" {
    # a gigabyte of header: the daemon stops reading long before
    { printf 'GET /_ping HTTP/1.1\r\nHost: x\r\nX: '; head -c 1073741824 /dev/zero | tr '\0' a; } |
        timeout 60 socat -t 5 - "UNIX-CONNECT:$T/hull.sock" >"$T/answer" 2>/dev/null || true
    [[ $(head -n 1 "$T/answer") != *" 200 "* ]]
    # a chunk that promises more than comes
    printf 'POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{' |
        timeout 20 socat -t 5 - "UNIX-CONNECT:$T/hull.sock" >"$T/answer" || true
    [[ $(head -n 1 "$T/answer") != *" 201 "* ]]
    # a chunk size that overflows
    printf 'POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n' |
        timeout 20 socat -t 5 - "UNIX-CONNECT:$T/hull.sock" >"$T/answer" || true
    [[ $(head -n 1 "$T/answer") == *" 400 "* ]]
    # not HTTP at all
    printf '\x16\x03\x01\x02\x00\x01\x00\x01\xfc' | timeout 20 socat -t 5 - "UNIX-CONNECT:$T/hull.sock" >"$T/answer" || true
    hulld_answers
}

# --- layers ----------------------------------------------------------------------------------------------------------

# hostile_image TAR: a docker-archive around one layer tar, so that every digest is true; prints the file
hostile_image() {
    local layer=$1 dir=$T/hostile id config
    rm -rf "$dir"
    mkdir -p "$dir"
    id=$(sha256sum "$layer" | cut -d' ' -f1)
    mkdir "$dir/$id"
    cp "$layer" "$dir/$id/layer.tar"
    jq -cn --arg d "sha256:$id" '{architecture: "amd64", os: "linux", config: {Cmd: ["/x"]},
        rootfs: {type: "layers", diff_ids: [$d]}, history: []}' >"$dir/config"
    config=$(sha256sum "$dir/config" | cut -d' ' -f1).json
    mv "$dir/config" "$dir/$config"
    jq -cn --arg c "$config" --arg l "$id/layer.tar" '[{Config: $c, RepoTags: ["hostile:1"], Layers: [$l]}]' \
        >"$dir/manifest.json"
    tar -C "$dir" -cf "$T/hostile.tar" .
    printf '%s\n' "$T/hostile.tar"
}

# loads FILE: whether the API takes it
loads() {
    curl -sS --max-time 60 --unix-socket "$T/hull.sock" -H 'Content-Type: application/x-tar' --data-binary "@$1" \
        -o "$T/answer" -w '%{http_code}' http://hull/images/load >"$T/status" || return 1
    [ "$(cat "$T/status")" = 200 ] && ! grep -q '"error"' "$T/answer"
}

@test "layers can't write outside their root: .., absolute names, symbolic and hard links" {
    mkdir "$T/outside" "$T/in"
    printf 'secret\n' >"$T/outside/secret"
    printf 'evil\n' >"$T/in/evil"
    local up=../../../../../../../../../.. name
    tar -C "$T/in" -P --transform "s,^evil,$up$T/outside/dots," -cf "$T/dots.tar" evil
    tar -C "$T/in" -P --transform "s,^evil,$T/outside/absolute," -cf "$T/absolute.tar" evil
    ln -s "$T/outside" "$T/in/link"
    tar -C "$T/in" -cf "$T/symlink.tar" link
    rm "$T/in/link"
    tar -C "$T/in" --transform 's,^evil,link/through,' -rf "$T/symlink.tar" evil
    # a hard link whose target is a file of the machine
    mkdir "$T/hl"
    printf 'x\n' >"$T/hl/a"
    ln "$T/hl/a" "$T/hl/b"
    tar -C "$T/hl" -P --transform "flags=h;s,^a,$up$T/outside/secret," -cf "$T/hardlink.tar" a b
    for name in dots absolute symlink hardlink; do
        loads "$(hostile_image "$T/$name.tar")" || printf '%s: %s\n' "$name" "$(cat "$T/answer")"
        [ "$(ls "$T/outside")" = secret ] || fail "$name wrote to the machine: $(ls "$T/outside")"
        [ "$(stat -c %h "$T/outside/secret")" = 1 ] || fail "$name linked to a file of the machine"
        hulld_answers
    done
}

@test "a layer whose bytes are not its diff id's, and an archive cut short, are refused and leave nothing" {
    local file=$T/cut.tar before
    before=$(hull images -aq | sort)
    head -c 500000 "$(image_file busybox docker)" >"$file"
    run ! loads "$file"
    mkdir "$T/x"
    tar -C "$T/x" -xf "$(image_file busybox docker)"
    printf 'more' >>"$(find "$T/x" -name layer.tar)"
    dd if=/dev/zero of="$(find "$T/x" -name layer.tar)" bs=1 seek=600 count=4 conv=notrunc status=none
    tar -C "$T/x" -cf "$T/wrong.tar" .
    run ! loads "$T/wrong.tar"
    run ! loads /bin/ls
    [ "$(hull images -aq | sort)" = "$before" ]
}

# --- registries ------------------------------------------------------------------------------------------------------

# push_files: the pages image in a real registry, whose files a test then falsifies; sets image and blobs
push_files() {
    registry_start
    registry_push "$(image_file pages)" pages:1
    image=$registry/pages:1
    blobs=$T/registry/docker/registry/v2/blobs/sha256
}

@test "a blob that is not what its digest says is refused" {
    push_files
    local layer
    layer=$(skopeo inspect "oci-archive:$(image_file pages)" | jq -r '.Layers[0]')
    layer=${layer#sha256:}
    printf 'changed' | dd of="$blobs/${layer:0:2}/$layer/data" bs=1 seek=1000 conv=notrunc status=none
    run ! hull pull "$image"
    run -0 hull images -q
    expect_output ''
}

@test "a blob that ends early is refused" {
    push_files
    local layer
    layer=$(skopeo inspect "oci-archive:$(image_file pages)" | jq -r '.Layers[0]')
    layer=${layer#sha256:}
    truncate -s 1000 "$blobs/${layer:0:2}/$layer/data"
    run ! hull pull "$image"
    run -0 hull images -q
    expect_output ''
}

@test "an unknown tag, an unknown repository and a registry that is not there are clear errors" {
    push_files
    run -1 hull pull "$registry/pages:none"
    expect_match 'not found|manifest unknown'
    run -1 hull pull "$registry/nothing:1"
    expect_match 'not found|repository|manifest unknown'
    run -1 hull pull "127.0.0.1:1/x:1"
    expect_match 'refused'
    run -1 hull pull 'busybox/UPPER:1'
    expect_match 'must be lowercase|invalid reference format'
}

# --- copies ----------------------------------------------------------------------------------------------------------

@test "cp stays inside the container: links and .. lead nowhere else" {
    engine_load busybox
    mkdir "$T/outside"
    printf 'secret of the machine\n' >"$T/outside/secret"
    hull create --name cc busybox sh -c "mkdir -p /d; ln -s $T/outside /d/link; sleep 300"
    hull start cc
    wait_until hull exec cc test -L /d/link
    run ! hull cp "cc:/d/link/secret" "$T/copied"
    [ ! -e "$T/copied" ]
    run ! hull cp "cc:/../../../../../../..$T/outside/secret" "$T/copied"
    [ ! -e "$T/copied" ]
    printf 'evil\n' >"$T/evil"
    hull cp "$T/evil" cc:/d/link/evil || true
    [ "$(ls "$T/outside")" = secret ]
    # an archive put through the API with names that lead out
    tar -C "$T" -P --transform "s,^evil,../../../../../../../..$T/outside/evil," -cf "$T/up.tar" evil
    curl -sS --unix-socket "$T/hull.sock" -X PUT --data-binary "@$T/up.tar" 'http://hull/containers/cc/archive?path=/d' >/dev/null
    [ "$(ls "$T/outside")" = secret ]
    hull rm -f cc
}

# --- disk ------------------------------------------------------------------------------------------------------------

@test "a full disk is an error that says so, and leaves nothing behind" {
    hulld_stop
    mkdir -p "$T/small"
    mount -t tmpfs -o size=3m tmpfs "$T/small"
    background hulld "$T/bin/hulld" --config-file "$T/daemon.json" --data-root "$T/small/data" --exec-root "$T/exec" \
        --pidfile "$T/hulld.pid" --cgroup-parent "/$(test_cgroup)" -H "unix://$T/hull.sock"
    wait_until -t 30 hulld_answers
    run ! loads "$(image_file busybox docker)"
    grep -qi 'no space left' "$T/answer" || fail "the answer says something else: $(cat "$T/answer")"
    run -0 hull images -q
    expect_output ''
    hulld_stop
    umount "$T/small"
}
