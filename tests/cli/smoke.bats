#!/usr/bin/env bats
# The shortest way through every box: load, run, exec, logs, stop, rm. Runs on the machine and inside the VM.

load ../lib/common
load ../lib/images
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    need hull hulld hull-containerd containerd-shim-hull-v2
    test_begin
    hulld_start
}
teardown() {
    test_end
}

# bats test_tags=smoke
@test "the daemon answers ping and version" {
    api GET /_ping
    [ "$http_status" = 200 ]
    expect_output OK
    api GET /version
    [ "$http_status" = 200 ]
    [ "$(jq -r .ApiVersion <<<"$output")" = 1.51 ]
}

# bats test_tags=smoke
@test "a loaded image runs; output and exit status come back" {
    engine_load busybox
    run -0 hull run --rm busybox echo hello
    expect_output hello
    run -7 hull run --rm busybox sh -c 'exit 7'
    run -127 hull run --rm busybox /no/such/program
    run -126 hull run --rm busybox /etc/passwd
    run -0 hull ps -aq
    expect_output ''
}

# bats test_tags=smoke
@test "stdin goes in, 5 MB come out whole" {
    engine_load busybox
    run -0 hull run --rm -i busybox cat <<<x
    expect_output x
    hull run --rm busybox sh -c 'yes 0123456789abcde | head -c 5242880' >"$T/out"
    [ "$(stat -c %s "$T/out")" = 5242880 ]
    [ "$(uniq "$T/out")" = 0123456789abcde ]
}

# bats test_tags=smoke
@test "a detached container: exec, logs, stop, start, rm" {
    engine_load busybox
    hull run -d --name web busybox sh -c 'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done'
    wait_until says '^up$' hull logs web
    run -0 hull exec web hostname
    run -5 hull exec web sh -c 'exit 5'
    run -0 hull stop web
    run -0 hull inspect -f '{{.State.Status}} {{.State.ExitCode}}' web
    expect_output 'exited 0'
    hull start web
    run -1 hull rm web
    run -0 hull rm -f web
    run -1 hull inspect web
}

@test "an unknown image is refused in Docker's words and leaves nothing" {
    api POST /containers/create '{"Image": "no-such-image"}'
    [ "$http_status" = 404 ]
    [ "$(jq -r .message <<<"$output")" = "No such image: no-such-image:latest" ]
    api POST /containers/create '{"Image": '
    [ "$http_status" = 400 ]
    api GET '/containers/json?all=1'
    expect_output '[]'
}

@test "Docker's own client runs a container" {
    need_docker
    engine_load busybox
    run -3 docker run --rm busybox sh -c 'echo from docker; exit 3'
    expect_output 'from docker'
    docker run -d --name dd busybox sleep 300
    run -0 docker exec dd echo inside
    expect_output inside
    docker rm -f dd
}
