#!/usr/bin/env bats
# hull-containerd driven by Debian's ctr: its own life, terminals, both shims, restarts, shims that hang or die.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/originals
load ../lib/hull
load ../lib/criu

setup() {
    need_root
    test_begin
    net_begin
    ctr_namespace=${T##*.} # shims and runtimes keep things by namespace outside of our folders
}
teardown() {
    [ ! -s "$T/stopped" ] || kill -CONT "$(cat "$T/stopped")" 2>/dev/null || true
    test_end
}

# both shims: ours, and containerd's with Debian's runc
ours=io.containerd.hull.v2
theirs=io.containerd.runc.v2
their_shim() {
    original containerd containerd-shim-runc-v2
    original runc runc
}

start_with_image() {
    need containerd-shim-hull-v2 hull-runc hull-unpack
    containerd_start "$@"
    our_ctr images import "$(image_file busybox docker)" >"$T/import"
    image=$(our_ctr images ls -q)
    [ -n "$image" ]
}
status_is() { # ID STATUS
    our_ctr tasks ls | grep -qE "^$1 +[0-9]+ +$2"
}
shim_pid() { # ID
    local pid
    for pid in $(grep -lzE "^HULL_TEST_ID=$T\$" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
        ! tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qE "containerd-shim-.* -id $1 " || printf '%s\n' "$pid"
    done
}
published() { # publish until the subscription to $T/events is there
    # an Any with a ContainerDelete whose id is x
    printf '\x0a\x21containerd.events.ContainerDelete\x12\x03\x0a\x01x' |
        "$T/bin/hull-containerd" --address "$T/c.sock" publish --topic /test/said --namespace one
    grep -q ' one /test/said' "$T/events"
}
remove() { # ID: a stopped task and its container
    our_ctr tasks rm "$1" >/dev/null 2>&1 || true # ctr passes the task's exit status on
    our_ctr containers rm "$1"
}

@test "flags, configuration, one instance a root" {
    need hull-containerd
    run -0 "$T/bin/hull-containerd" --version
    expect_match '^hull-containerd [0-9]'
    run -1 "$T/bin/hull-containerd" --nope
    expect_output 'hull-containerd: flag provided but not defined: -nope'
    run -1 "$T/bin/hull-containerd" --log-level loud
    expect_output 'hull-containerd: not a log level: loud'
    run -1 "$T/bin/hull-containerd" serve
    expect_output 'hull-containerd: unknown command "serve"'
    printf 'root = "%s"\n[grpc\n' "$T/r" >"$T/bad.toml"
    run -1 "$T/bin/hull-containerd" --config "$T/bad.toml"
    expect_match "line 2: expected '\]'"
    printf 'version = 2\nroot = "%s"\nstate = "%s"\n[grpc]\naddress = "%s"\n' "$T/c-root" "$T/c-state" "$T/c.sock" >"$T/c.toml"
    background containerd "$T/bin/hull-containerd" --config "$T/c.toml"
    wait_until our_ctr version
    run -1 "$T/bin/hull-containerd" --address "$T/d.sock" --root "$T/c-root" --state "$T/d-state"
    expect_match "is another hull-containerd running on $T/c-root"
    [ "$(stat -c %a "$T/c.sock") $(stat -c %a "$T/c.sock.ttrpc")" = "660 660" ]
    local uuid
    uuid=$(our_ctr version | sed -n 's/.*UUID: //p')
    [ "${#uuid}" = 36 ]
    containerd_stop
    [ ! -e "$T/c.sock" ]
    containerd_start
    our_ctr version | grep -q "$uuid"
    containerd_stop
}

@test "namespaces, plugins, containers, leases, content and a published event" {
    containerd_start
    our_ctr namespaces create one colour=red
    run -0 our_ctr namespaces ls
    expect_match 'one +colour=red'
    run -1 our_ctr namespaces create one
    expect_match 'namespace "one": already exists'
    run -0 our_ctr plugins ls
    expect_match 'io.containerd.snapshotter.v1 +overlayfs +linux/amd64 +ok'
    our_ctr containers create --runtime $ours --rootfs "$T/bin" c1 true
    run -0 our_ctr containers ls -q
    expect_output c1
    run -1 our_ctr tasks kill c1
    expect_match 'not found'
    our_ctr containers rm c1
    our_ctr leases create --id l1
    run -0 our_ctr leases ls
    expect_match 'l1'
    printf hello | our_ctr content ingest --expected-size 5 ref1
    our_ctr leases rm l1
    our_ctr events >"$T/events" 2>&1 3>&- &
    local events=$!
    wait_until published
    kill $events
    our_ctr namespaces rm one
    containerd_stop
}

run_with() { # RUNTIME
    start_with_image
    run -7 our_ctr run --rm --runtime "$1" "$image" once sh -c 'echo out; echo err >&2; exit 7'
    expect_match out
    expect_match err
    # ctr forgets what was typed when its input ends before the task has begun
    : >"$T/typed"
    (echo typed; wait_until grep -q typed "$T/typed") | our_ctr run --rm --runtime "$1" "$image" in cat >"$T/typed"
    [ "$(cat "$T/typed")" = typed ]
    # -t: a terminal of a size, its output with carriage returns
    printf '#!/bin/bash\nexec nsenter --net=/run/netns/%s -- %s --address %s --namespace %s "$@"\n' "$test_netns" "$(debian_ctr)" "$T/c.sock" "$ctr_namespace" >"$T/bin/octr"
    chmod +x "$T/bin/octr"
    script -qefc "stty rows 33 cols 101; $T/bin/octr run --rm -t --runtime $1 $image tty sh -c 'test -t 1 && tty && exit 5'" "$T/screen" \
        </dev/null >/dev/null 2>&1 || [ $? = 5 ]
    grep -q /dev/pts/0 "$T/screen" || fail "$(cat "$T/screen")"
    our_ctr run -d --runtime "$1" "$image" web sleep 1000
    status_is web RUNNING
    run -1 our_ctr run -d --runtime "$1" "$image" web sleep 1000
    expect_match 'already exists'
    run -4 our_ctr tasks exec --exec-id e1 web sh -c 'exit 4'
    run -0 our_ctr tasks ps web
    expect_match '[0-9]+'
    run -0 our_ctr tasks metrics web
    expect_match 'memory'
    our_ctr tasks pause web
    status_is web PAUSED
    our_ctr tasks resume web
    status_is web RUNNING
    run -1 our_ctr tasks rm web
    expect_match 'must be stopped'
    our_ctr tasks kill -s KILL web
    wait_until status_is web STOPPED
    remove web
    run -1 our_ctr run --rm --runtime "$1" "$image" bad /no/such/program
    expect_match 'no such file'
    [ -z "$(our_ctr tasks ls -q)$(our_ctr containers ls -q)" ]
    [ -z "$(ls "$T/c-state/io.containerd.runtime.v2.task/$ctr_namespace")" ]
    containerd_stop
}
@test "our shim: run, stdin, a terminal, exec, metrics, pause, errors" {
    run_with $ours
}
@test "containerd-shim-runc-v2: run, stdin, a terminal, exec, metrics, pause, errors" {
    their_shim
    run_with $theirs
}

checkpoint_with() { # RUNTIME: and a criu of our own making, whose restored process is a shell
    local bundles=$T/c-state/io.containerd.runtime.v2.task/$ctr_namespace
    criu_begin
    fake_criu "$T/bin"
    start_with_image
    our_ctr run -d --runtime "$1" "$image" c sleep 1000
    our_ctr containers checkpoint --task --image c example/c:1
    status_is c RUNNING
    run ! compgen -G "$bundles/c/work/checkpoint-*"
    our_ctr tasks kill -s KILL c
    wait_until status_is c STOPPED
    remove c

    our_ctr containers restore --live r example/c:1
    wait_until status_is r RUNNING
    [[ $(readlink "/proc/$(cat "$bundles/r/init.pid")/fd/1") == pipe:* ]] # ctr does not wait for what it says
    [ -s "$bundles/r/work/restored/descriptors.json" ]
    # ctr knows the options of this name alone
    if [ "$1" = $theirs ]; then
        our_ctr tasks checkpoint --image-path "$T/images" --exit r
        [ "$(ls "$T/images")" = descriptors.json ]
    else
        our_ctr tasks kill -s KILL r
    fi
    wait_until status_is r STOPPED
    remove r

    # one that cannot be restored, and one that cannot be dumped
    echo RESTORE >"$FAKE_CRIU/refuse"
    run -1 our_ctr containers restore --live x example/c:1
    expect_match 'criu failed: type RESTORE errno 52'
    remove x
    echo DUMP >"$FAKE_CRIU/refuse"
    our_ctr run -d --runtime "$1" "$image" c sleep 1000
    run -1 our_ctr tasks checkpoint c
    expect_match 'criu failed: type DUMP errno 52'
    status_is c RUNNING
    our_ctr tasks kill -s KILL c
    wait_until status_is c STOPPED
    remove c
    [ -z "$(ls "$bundles")" ]
    containerd_stop
}
@test "our shim: a task is checkpointed into an image, and restored from it" {
    checkpoint_with $ours
}
@test "containerd-shim-runc-v2: a task is checkpointed into an image, and restored from it" {
    their_shim
    checkpoint_with $theirs
}
@test "with criu itself a task goes on, restored from an image" {
    local was
    need_criu
    start_with_image
    our_ctr run -d --runtime $ours "$image" c sh -c "$(counting /dev/shm/count)"
    wait_until our_ctr tasks exec --exec-id e0 c test -s /dev/shm/count
    was=$(our_ctr tasks exec --exec-id e1 c cat /dev/shm/count)
    our_ctr containers checkpoint --task --image c example/c:1
    our_ctr tasks kill -s KILL c
    wait_until status_is c STOPPED
    remove c
    our_ctr containers restore --live r example/c:1
    wait_until status_is r RUNNING
    went_on "$was" "$(our_ctr tasks exec --exec-id e1 r cat /dev/shm/count)"
    our_ctr tasks kill -s KILL r
    wait_until status_is r STOPPED
    remove r
    containerd_stop
}

@test "a runtime that is not there" {
    start_with_image
    run -1 our_ctr run --rm --runtime io.containerd.nope.v1 "$image" c true
    expect_match 'failed to start shim: failed to resolve runtime path: runtime "io.containerd.nope.v1" binary not installed "containerd-shim-nope-v1": file does not exist'
    [ -z "$(our_ctr tasks ls -q)" ]
    containerd_stop
}

restart_with() { # RUNTIME
    start_with_image
    our_ctr run -d --runtime "$1" "$image" stays sleep 1000
    our_ctr run -d --runtime "$1" "$image" ends sh -c 'while [ ! -e /go ]; do sleep 0.1; done; exit 23'
    finish containerd KILL
    # the exit while nobody is there
    touch "/proc/$(cat "$T/c-state/io.containerd.runtime.v2.task/$ctr_namespace/ends/init.pid")/root/go"
    wait_until gone "$(cat "$T/c-state/io.containerd.runtime.v2.task/$ctr_namespace/ends/init.pid")"
    containerd_start
    status_is stays RUNNING
    wait_until status_is ends STOPPED
    run our_ctr tasks rm ends # ctr 1.6 tells the exit status in words, later ones pass it on
    [ "$status" = 23 ] || expect_match 'non-zero exit code 23'
    our_ctr containers rm ends
    run -3 our_ctr tasks exec --exec-id e1 stays sh -c 'exit 3'
    our_ctr tasks kill -s KILL stays
    wait_until status_is stays STOPPED
    remove stays
    containerd_stop
}
@test "kill -9 of hull-containerd: our shim is adopted, exit codes are kept" {
    restart_with $ours
}
@test "kill -9 of hull-containerd: containerd-shim-runc-v2 is adopted, exit codes are kept" {
    their_shim
    restart_with $theirs
}

@test "a shim that is stopped slows nobody down, also over a restart" {
    start_with_image
    our_ctr run -d --runtime $ours "$image" stuck sleep 1000
    our_ctr run -d --runtime $ours "$image" fine sleep 1000
    shim_pid stuck >"$T/stopped"
    kill -STOP "$(cat "$T/stopped")"
    # who waited for it would wait for ever
    timeout 4 "$(debian_ctr)" --address "$T/c.sock" --namespace "$ctr_namespace" tasks ls >"$T/ls"
    grep -q 'stuck.*RUNNING' "$T/ls"
    run -0 timeout 20 "$(debian_ctr)" --address "$T/c.sock" --namespace "$ctr_namespace" tasks exec --exec-id e1 fine true
    run ! timeout 1 "$(debian_ctr)" --address "$T/c.sock" --namespace "$ctr_namespace" tasks kill -s KILL stuck
    finish containerd KILL
    containerd_start
    run -0 timeout 20 "$(debian_ctr)" --address "$T/c.sock" --namespace "$ctr_namespace" tasks exec --exec-id e2 fine true
    kill -CONT "$(cat "$T/stopped")"
    rm "$T/stopped"
    our_ctr tasks kill -s KILL stuck 2>/dev/null || true # the first one may have arrived by now
    our_ctr tasks kill -s KILL fine
    wait_until status_is stuck STOPPED
    wait_until status_is fine STOPPED
    remove stuck
    remove fine
    containerd_stop
}

dead_shim_with() { # RUNTIME
    start_with_image
    our_ctr events >"$T/events" 2>&1 3>&- &
    local events=$!
    wait_until published
    our_ctr run -d --runtime "$1" "$image" c sleep 1000
    wait_until grep -q '/tasks/start' "$T/events"
    kill -KILL "$(shim_pid c)"
    wait_until grep -qE '/tasks/exit .*"exit_status":137' "$T/events"
    wait_until grep -q '/tasks/delete' "$T/events"
    wait_until sh -c "[ ! -e $T/c-state/io.containerd.runtime.v2.task/$ctr_namespace/c ]"
    [ -z "$(our_ctr tasks ls -q)" ]
    kill $events
    our_ctr containers rm c
    # one that dies while the daemon is away
    our_ctr run -d --runtime "$1" "$image" d sleep 1000
    finish containerd KILL
    kill -KILL "$(shim_pid d)"
    containerd_start
    wait_until sh -c "[ ! -e $T/c-state/io.containerd.runtime.v2.task/$ctr_namespace/d ]"
    our_ctr containers rm d
    containerd_stop
}
@test "a dead shim of ours: the container is cleaned up and its end is told" {
    dead_shim_with $ours
}
@test "a dead containerd-shim-runc-v2: the container is cleaned up and its end is told" {
    their_shim
    dead_shim_with $theirs
}

@test "idle, it is small" {
    ! sanitized hull-containerd || skip "a sanitizer's shadow is not small"
    containerd_start
    local pid rss
    pid=$(cat "$T/pid/containerd")
    rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
    [ "$rss" -lt 12288 ] || fail "$rss KiB resident"
    containerd_stop
}
