#!/usr/bin/env bats
# Our boxes with the newest originals of Debian's testing suite on the other side.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/originals
load ../lib/peers
load ../lib/hull
load ../lib/callers

setup() {
    need_root
    test_begin
    peers_start
    # ctr's; shims and runtimes keep things by namespace outside of our folders
    export CONTAINERD_NAMESPACE=t${T##*.}
}
teardown() {
    local status=0
    test_end || status=1
    runtime_folders_gone "$CONTAINERD_NAMESPACE" || status=1
    return $status
}

# typed COMMAND...: a terminal of 33 x 101 on the command's three streams; what it showed goes to $output, its status to $status
typed() {
    local words keys
    printf -v words '%q ' "$@"
    [ -p "$T/keys" ] || mkfifo "$T/keys"
    exec {keys}<>"$T/keys" # nothing is typed, but the keyboard stays
    run in_net script -qefc "stty rows 33 cols 101; $words" /dev/null <&$keys
    exec {keys}>&-
}
# in_terminal STATUS COMMAND...: the command line, ended by this, runs a shell in the terminal that it was given.
# Some clients send the size only after the start; until then there is none, and stty fails. no_size: it is not asked for.
in_terminal() {
    local expected=$1
    shift
    typed "$@" sh -c "i=0; until stty size 2>/dev/null || [ \$((i += 1)) -gt 40 ]; do sleep 0.05; done
        test -t 0 && test -t 1 && tty && exit $expected"
    [ "$status" = "$expected" ] || fail "the terminal's shell ended with $status: $output"
    [[ $output == *"/dev/pts/0"* ]] || fail "no output of the terminal: $(printf %q "$output")"
    [ -n "${no_size:-}" ] || [[ $output == *"33 101"* ]] || fail "no size in the terminal: $(printf %q "$output")"
}

@test "hulld on containerd 2: run -i and -it, exec, logs, stop" {
    need hulld hull containerd-shim-hull-v2
    peer_containerd_start
    hulld_start --containerd "$ctr_address"
    engine_load busybox
    run -3 hull run --rm --network none busybox sh -c 'echo on containerd 2; exit 3'
    expect_output 'on containerd 2'
    run -0 hull run --rm -i --network none busybox cat <<<'through stdin'
    expect_output 'through stdin'
    in_terminal 4 hull run --rm -it --network none busybox
    [ "$(hull run --rm --network none busybox head -c 20000000 /dev/zero | wc -c)" = 20000000 ]
    hull run -d --name web --network none busybox sh -c 'trap "exit 5" TERM; echo ready; while :; do sleep 0.1; done'
    run -0 hull exec -i web cat <<<'through exec'
    expect_output 'through exec'
    in_terminal 6 hull exec -it web
    wait_until sh -c 'hull logs web | grep -qx ready'
    hull stop web
    run -0 hull wait web
    expect_output 5
    hull start web
    wait_until sh -c '[ "$(hull logs web | grep -cx ready)" = 2 ]'
    hull rm -f web
    run -127 hull run --rm --network none busybox /no/such/program
    expect_match 'no such file or directory'
    run -7 docker run --rm --network none busybox sh -c 'exit 7'
    hull rmi busybox
    run -0 hull ps -aq
    expect_output ''
    hulld_stop
}

@test "hulld on containerd 2 with --userns-remap: its layers are shown id-mapped by its shim and by ours" {
    need hulld hull containerd-shim-hull-v2 hull-sandbox
    chmod 755 "$T" # root of a user namespace must get through
    peer_containerd_start
    hulld_own_etc
    printf '{"runtimes":{"io.containerd.runc.v2":{"runtimeType":"io.containerd.runc.v2"}}}' >"$T/daemon.json"
    hulld_start --containerd "$ctr_address" --userns-remap daemon
    engine_load pages
    for runtime in hull io.containerd.runc.v2; do
        docker run -d --name web --runtime "$runtime" -p 8080:80 pages sh -c 'touch /new; chown 5:6 /new; exec httpd -f -p 80 -h /srv/www'
        wait_until says 'served from a container' in_net curl -fsS --max-time 5 http://127.0.0.1:8080/
        run -0 docker exec web sh -c 'cat /proc/self/uid_map | xargs; stat -c "%n %u:%g" /bin/busybox /srv/www/index.html /new'
        expect_output $'0 200000 65536\n/bin/busybox 0:0\n/srv/www/index.html 0:0\n/new 5:6'
        [ "$(stat -c %u:%g "/proc/$(docker inspect -f '{{.State.Pid}}' web)/root/new")" = 200005:300006 ]
        run -1 docker commit web again
        expect_match 'commit of a container with a user namespace needs hull-containerd'
        docker stop -t 0 web
        run -0 sh -c "docker cp web:/new - | tar --numeric-owner -tv"
        expect_match ' 5/6 '
        run -0 sh -c "docker export web | tar --numeric-owner -tv | grep -E 'index.html|new$'"
        expect_match ' 5/6 .* 0/0 | 0/0 .* 5/6 '
        docker rm web
    done
    docker rmi pages
    hulld_stop
}

@test "hulld on containerd 2: killed and started again, it adopts what runs and learns what ended" {
    need hulld hull containerd-shim-hull-v2
    peer_containerd_start
    hulld_start --containerd "$ctr_address"
    engine_load busybox
    hull run -d --name stays --network none busybox sh -c 'i=0; while :; do echo line $((i += 1)); sleep 0.02; done'
    hull run -d --name ends --network none busybox sh -c 'while [ ! -e /go ]; do sleep 0.05; done; echo gone; exit 23'
    local ends
    ends=$(hull inspect -f '{{.State.Pid}}' ends)
    hulld_stop KILL
    touch "/proc/$ends/root/go"
    wait_until gone "$ends"
    hulld_start --containerd "$ctr_address"
    run -0 hull wait ends
    expect_output 23
    run -0 hull logs ends
    expect_output gone
    run -0 hull exec stays echo still here
    expect_output 'still here'
    local lines
    lines=$(hull logs stays | wc -l)
    wait_until sh -c "[ \$(hull logs stays | wc -l) -gt $lines ]"
    hull kill stays
    run -0 hull wait stays
    expect_output 137
    hull logs stays | awk '$2 != NR {exit 1}' || fail "lines are missing or doubled"
    hull rm stays ends
    # and so when containerd is killed with it
    hull run -d --name both --network none busybox sleep 1000
    finish peer-containerd KILL
    hulld_stop KILL
    peer_containerd_start
    hulld_start --containerd "$ctr_address"
    run -9 hull exec both sh -c 'exit 9'
    hull rm -f both
    hulld_stop
}

# with_dockerd: our client with the dockerd of DOCKER_HOST
with_dockerd() {
    hull version
    hull load -i "$(image_file busybox docker)"
    run -0 hull images --format '{{.Repository}}'
    expect_output busybox
    run -3 hull run --rm --network none busybox sh -c 'echo dockerd; exit 3'
    expect_output dockerd
    run -0 hull run --rm -i --network none busybox cat <<<'through stdin'
    expect_output 'through stdin'
    in_terminal 4 hull run --rm -it --network none busybox
    hull run -d --name dd --network none busybox sh -c 'trap "exit 5" TERM; echo logged; while :; do sleep 0.1; done'
    run -0 hull ps --format '{{.Names}} {{.Image}} {{.State}}'
    expect_output 'dd busybox running'
    wait_until sh -c 'hull logs dd | grep -qx logged'
    run -0 hull exec dd echo inside
    expect_output inside
    run -0 hull exec -i dd cat <<<'through exec'
    expect_output 'through exec'
    in_terminal 6 hull exec -it dd
    printf 'copied\n' >"$T/file"
    "$T/bin/hull" cp "$T/file" dd:/file # by its path: hull-unpack is beside it
    "$T/bin/hull" cp dd:/file "$T/back"
    cmp "$T/file" "$T/back"
    run -0 hull stats --no-stream --format '{{.Name}}' dd
    expect_output dd
    hull stop dd
    run -0 hull wait dd
    expect_output 5
    run -0 hull ps -a --format '{{.Names}} {{.Status}}'
    expect_match '^dd Exited \(5\)'
    hull rm dd
    run -1 hull rm dd
    expect_match 'No such container: dd'
    hull rmi busybox
}

@test "hull with dockerd 28: run, -i, -it, ps, logs, exec, cp, stats, stop" {
    need hull
    peer_dockerd_start
    with_dockerd
}

@test "hull with Debian 12's dockerd 20.10: the same" {
    need hull
    original docker.io dockerd
    "$T/bin/dockerd" --version | grep -qF ' 20.10.' || skip "Debian's dockerd here: $("$T/bin/dockerd" --version 2>&1)"
    debian_dockerd_start
    # this one may miss the size that comes after the start ("failed to resize tty", says Docker's own client then)
    local no_size=1
    with_dockerd
    debian_dockerd_stop
}

@test "hull-runc under dockerd 28: run, -it, exec, limits, pause, update, stop, ports" {
    need hull-runc
    peer_dockerd_start --add-runtime "hull=$T/bin/hull-runc" --default-runtime hull
    docker load -i "$(image_file busybox docker)"
    as_users_do docker ''
    mapfile -t words < <(docker_client)
    in_terminal 4 "${words[@]}" run --rm -it --network none busybox
    docker run -d --name web -p 8080:80 --health-cmd 'test -e /healthy' --health-interval 300ms busybox \
        sh -c 'trap "exit 5" TERM; touch /healthy; mkdir /w; echo page >/w/index.html; httpd -h /w; while :; do sleep 0.1; done'
    [ "$(docker inspect -f '{{.HostConfig.Runtime}}' web)" = hull ]
    wait_until in_net curl -fsS --max-time 2 http://127.0.0.1:8080/
    run -7 docker exec web sh -c 'exit 7'
    in_terminal 6 "${words[@]}" exec -it web
    wait_until healthy web
    docker stop web
    [ "$(docker inspect -f '{{.State.ExitCode}}' web)" = 5 ]
    docker start web
    docker rm -f web
}
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$1")" = healthy ]; }

@test "hull-runc under podman: run, -it, exec, limits, pause, update, stop" {
    need hull-runc
    pod() {
        peer env PODMAN_IGNORE_CGROUPSV1_WARNING=1 podman --root "$T/podman" --runroot "$T/podman-run" --runtime "$T/bin/hull-runc" --cgroup-manager cgroupfs "$@"
    }
    pod load -i "$(image_file busybox docker)"
    as_users_do pod libpod- --log-driver k8s-file
    local prefix
    peer_prefix
    in_terminal 4 "${prefix[@]}" podman --root "$T/podman" --runroot "$T/podman-run" --runtime "$T/bin/hull-runc" \
        --cgroup-manager cgroupfs run --rm -it --network none --log-driver k8s-file busybox
    monitors_cgroup_gone
}

@test "hull-runc under BuildKit: steps with output, mounts, a failing one" {
    need hull-runc
    # the builder of dockerd knows this name only
    printf '#!/bin/sh\necho "$@" >>%q\nexec %q "$@"\n' "$T/calls" "$(program hull-runc)" >"$T/bin/runc"
    chmod +x "$T/bin/runc"
    peer_dockerd_start
    docker load -i "$(image_file busybox docker)"
    mkdir "$T/context"
    cat >"$T/context/Dockerfile" <<-'END'
	FROM busybox
	RUN --network=none --mount=type=cache,target=/cache echo built >/file && id -u >>/file && touch /cache/f
	USER 1000
	RUN --network=none id -u >/tmp/user
	END
    run -0 peer docker build --progress plain -t built "$T/context"
    [ "$(grep -c ' run .*--keep' "$T/calls")" = 2 ] || fail "$(cat "$T/calls")"
    run -0 docker run --rm --network none built cat /file /tmp/user
    expect_output $'built\n0\n1000'
    printf 'FROM busybox\nRUN --network=none exit 7\n' >"$T/context/Dockerfile"
    run -1 peer docker build --progress plain "$T/context"
    expect_match 'exit code: 7'
}

# under_our_shim RUNTIME: ctr 2 and containerd 2 with our shim, which starts this runtime
under_our_shim() {
    need containerd-shim-hull-v2
    # ctr names a runtime binary to this shim only, so ours takes its place
    ln -sf "$(program containerd-shim-hull-v2)" "$T/bin/containerd-shim-runc-v2"
    peer_containerd_start
    run_with_ctr io.containerd.runc.v2 --runc-binary "$1"
}
# run_with_ctr RUNTIME [FLAG...]: output, exit status, stdin, a terminal, exec and kill, through ctr 2 and containerd 2
run_with_ctr() {
    local image=docker.io/library/busybox:latest start prefix no_size=1
    start=(--runtime "$1" "${@:2}")
    peer ctr --address "$ctr_address" images import "$(image_file busybox)"
    run -3 peer ctr --address "$ctr_address" run --rm "${start[@]}" --cgroup "/$(test_cgroup)/c" "$image" c1 sh -c 'echo out; exit 3'
    expect_match out
    run ! peer ctr --address "$ctr_address" run --rm "${start[@]}" --cgroup "/$(test_cgroup)/c" "$image" c1 /no/such/program
    expect_match '/no/such/program.*(not found|no such file or directory)|No such file or directory'
    [ "$( (echo typed; sleep 1) | peer ctr --address "$ctr_address" run --rm "${start[@]}" --cgroup "/$(test_cgroup)/c" "$image" c2 cat)" = typed ]
    peer_prefix
    in_terminal 4 "${prefix[@]}" ctr --address "$ctr_address" run --rm -t "${start[@]}" --cgroup "/$(test_cgroup)/c" "$image" c3
    peer ctr --address "$ctr_address" run -d "${start[@]}" --cgroup "/$(test_cgroup)/c" "$image" c4 sleep 1000
    run -0 peer ctr --address "$ctr_address" tasks ls
    expect_match 'c4 +[0-9]+ +RUNNING'
    run -5 peer ctr --address "$ctr_address" tasks exec --exec-id e1 c4 sh -c 'exit 5'
    peer ctr --address "$ctr_address" tasks rm -f c4 || [ $? = 137 ]
    peer ctr --address "$ctr_address" containers rm c4
    finish peer-containerd
}

@test "runc 1.3 under our shim, under containerd 2" {
    under_our_shim runc
}

@test "crun under our shim, under containerd 2" {
    # crun refuses a hybrid host whose second tree has controllers: here it sees the first only
    ! mountpoint -q /sys/fs/cgroup/unified || peer umount /sys/fs/cgroup/unified
    under_our_shim crun
}

@test "our shim and hull-runc under containerd 2" {
    need containerd-shim-hull-v2 hull-runc
    peer_containerd_start
    run_with_ctr io.containerd.hull.v2
}

@test "hull-runc under the shim of containerd 2" {
    need hull-runc
    peer_containerd_start
    run_with_ctr io.containerd.runc.v2 --runc-binary "$T/bin/hull-runc"
}

@test "ctr 2 with hull-containerd: import, pull, tag and export by transfer, run, -t, exec" {
    need hull-containerd containerd-shim-hull-v2 hull-unpack
    containerd_start
    ctr2() { peer ctr --address "$T/c.sock" "$@"; }
    cp "$(image_file busybox docker)" "$T/busybox.tar"
    ctr2 images import "$T/busybox.tar"
    local name
    name=$(ctr2 images ls -q)
    [[ $name == */busybox:* ]] || fail "imported: $name"
    ctr2 images tag "$name" localhost/copy:1
    ctr2 images export "$T/out.tar" localhost/copy:1
    tar -tf "$T/out.tar" >"$T/list"
    grep -qx index.json "$T/list" && grep -qx manifest.json "$T/list"
    registry_start
    registry_push "$(image_file busybox)" bb:1
    ctr2 images pull --plain-http "$registry/bb:1"
    run ! ctr2 images pull --plain-http "$registry/nope:1"
    expect_match 'manifest unknown'
    run ! ctr2 images push --plain-http "$registry/bb:2" "$registry/bb:1"
    expect_match 'not supported yet'
    run -3 ctr2 run --rm --fifo-dir "$T/fifo" --runtime io.containerd.hull.v2 "$registry/bb:1" r1 sh -c 'echo ctr two; exit 3'
    expect_match 'ctr two'
    local prefix no_size=1
    peer_prefix
    in_terminal 4 "${prefix[@]}" ctr --address "$T/c.sock" run --rm -t --fifo-dir "$T/fifo" --runtime io.containerd.hull.v2 "$registry/bb:1" r2
    ctr2 run -d --fifo-dir "$T/fifo" --runtime io.containerd.hull.v2 "$registry/bb:1" r3 sleep 1000
    run -0 ctr2 tasks ls
    expect_match 'r3 +[0-9]+ +RUNNING'
    run -5 ctr2 tasks exec --fifo-dir "$T/fifo" --exec-id e1 r3 sh -c 'exit 5'
    run -0 ctr2 tasks metrics r3
    expect_match memory
    ctr2 tasks rm -f r3 || [ $? = 137 ]
    ctr2 containers rm r3
    ctr2 images rm --sync "$registry/bb:1" localhost/copy:1 "$name"
    wait_until sh -c "[ -z \"\$(ls $T/c-root/blobs/sha256)\" ]"
    containerd_stop
}
