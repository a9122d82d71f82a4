#!/usr/bin/env bats
# Our shim under Debian's containerd, with our own runtime inside it and with runc; our logger under containerd's shim.

load ../lib/common
load ../lib/images
load ../lib/originals
load ../lib/criu

image=docker.io/library/busybox:latest

setup() {
    need_root
    test_begin
    # runtimes keep their state by namespace and id: other tests may run beside this one
    export ctr_namespace=t${T##*.} CONTAINERD_NAMESPACE=t${T##*.}
    criu_begin
    debian_containerd_start
    ctr images import "$(image_file busybox)" >/dev/null
    runtime=(--runtime io.containerd.hull.v2)
}
teardown() {
    local id status=0
    for id in $(ctr containers ls -q 2>/dev/null); do
        timeout -s KILL 5 "$T/bin/ctr" --address "$ctr_address" tasks kill -s KILL "$id" 2>/dev/null || true
        wait_until -t 5 stopped "$id" || true
        timeout -s KILL 5 "$T/bin/ctr" --address "$ctr_address" tasks rm -f "$id" >/dev/null 2>&1 || true
        timeout -s KILL 5 "$T/bin/ctr" --address "$ctr_address" containers rm "$id" >/dev/null 2>&1 || true
    done
    test_end || status=1
    # what stays of a namespace is an empty folder
    for id in /run/hull-runc /run/containerd/runc; do
        [ ! -e "$id/$ctr_namespace" ] || rmdir "$id/$ctr_namespace" || status=1
    done
    return $status
}

# with_runc: from now on the shim is ours and the runtime Debian's runc. `ctr` passes a runtime's name only to a shim with this name.
with_runc() {
    ln -sf "$(program containerd-shim-hull-v2)" "$T/bin/containerd-shim-runc-v2"
    runtime=(--runtime io.containerd.runc.v2 --runc-binary "$T/bin/runc")
}

# run_in ID [OPTION...] -- COMMAND...: ctr run with the runtime of the test
run_in() {
    local id=$1 options=()
    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    timeout -s KILL 30 "$T/bin/ctr" --address "$ctr_address" run "${runtime[@]}" --cgroup "/$(test_cgroup)/$id" \
        "${options[@]}" "$image" "$id" "$@" </dev/null
}
stopped() { ctr tasks ls | grep -qE "^$1 +[0-9]+ +STOPPED" || ! ctr tasks ls | grep -qE "^$1 "; }
status_is() { ctr tasks ls | grep -qE "^$1 +[0-9]+ +$2"; }
# the shim's pid: the process that listens on the address in the bundle
shim_of() {
    local pid
    for pid in $(pgrep -f "containerd-shim-hull-v2 .*-id $1 "); do
        # others may come and go meanwhile
        if grep -qz "^HULL_TEST_ID=$T\$" "/proc/$pid/environ" 2>/dev/null; then
            printf '%s\n' "$pid"
        fi
    done
}
# log_has FILE TEXT: the json-file log holds a record of this text
log_has() { jq -r .log "$1" 2>/dev/null | grep -qxF "$2"; }

common_tour() {
    run -7 run_in a --rm -- /bin/sh -c 'echo to stdout; echo to stderr >&2; exit 7'
    expect_match 'to stdout'
    expect_match 'to stderr'
    run -1 run_in b --rm -- /nope
    expect_match 'failed to create shim task: OCI runtime create failed: .*exec: "/nope": stat /nope: no such file or directory'
    [ "$(run_in c --rm -- head -c 100000000 /dev/zero | wc -c)" = 100000000 ]
    run -0 script -qec "$T/bin/ctr --address $ctr_address run --rm -t ${runtime[*]} --cgroup /$(test_cgroup)/t $image t \
        /bin/sh -c 'tty; echo from the terminal'" /dev/null </dev/null
    expect_match '/dev/pts/0'
    expect_match 'from the terminal'

    run_in d -d -- /bin/sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done'
    status_is d RUNNING
    run -5 ctr tasks exec --exec-id e1 d /bin/sh -c 'echo from exec; exit 5'
    expect_output 'from exec'
    [ "$(echo typed | ctr tasks exec --exec-id e2 d cat)" = typed ]
    run -1 ctr tasks exec --exec-id e3 d /nope
    expect_match 'OCI runtime exec failed: .*exec: "/nope": stat /nope: no such file or directory'
    run -0 script -qec "$T/bin/ctr --address $ctr_address tasks exec -t --exec-id e4 d tty" /dev/null </dev/null
    expect_match '/dev/pts/0'
    [ "$(ctr tasks ps d | awk 'NR > 1 {print $1}' | head -n 1)" = "$(ctr tasks ls | awk '$1 == "d" {print $2}')" ]
    ctr tasks metrics d | grep -qE '^(memory.usage_in_bytes|memory.usage) +[1-9]'
    ctr tasks pause d
    status_is d PAUSED
    ctr tasks resume d
    status_is d RUNNING
    ctr tasks kill -s TERM d
    wait_until stopped d
    run -0 ctr tasks rm d
    expect_match 'exit with non-zero exit code 9'
    ctr containers rm d

    run_in k -d -- sleep 1000
    ctr tasks kill -s KILL k
    wait_until stopped k
    run -0 ctr tasks rm k
    expect_match 'exit with non-zero exit code 137'
    ctr containers rm k
}

@test "our runtime in our shim: run, terminal, exec, pause, metrics, kill and exit codes" {
    common_tour
}

@test "2019-5736: a container with every capability cannot write to the shim that makes its processes" {
    local shim before i
    shim=$(readlink -f "$(program containerd-shim-hull-v2)")
    before=$(sha256sum <"$shim")
    need_tool cc
    cc -static -O1 -o "$T/overwrite" "$top/tests/fixtures/overwrite.c"
    timeout -s KILL 30 "$T/bin/ctr" --address "$ctr_address" run -d "${runtime[@]}" --cgroup "/$(test_cgroup)/a" --privileged \
        --mount "type=bind,src=$T/overwrite,dst=/overwrite,options=bind" --log-uri "file://$T/found" "$image" a /overwrite 100
    wait_until grep -q looking "$T/found"
    for i in $(seq 60); do # each has the shim's program until it executes its own
        ctr tasks exec --exec-id "e$i" a /bin/true
        ! grep -q found "$T/found" || break
    done
    wait_until grep -qE 'WROTE|in vain' "$T/found"
    if grep -q WROTE "$T/found"; then fail "it was written to"; fi
    [ "$before" = "$(sha256sum <"$shim")" ]
}

@test "2024-21626: no descriptor of the shim is a way out" {
    local n
    run_in a -d -- sleep 1000
    for n in $(seq 3 24); do
        run timeout -s KILL 20 "$T/bin/ctr" --address "$ctr_address" tasks exec --exec-id "e$n" --cwd "/proc/self/fd/$n" a ls .
        [ "$status" != 0 ] || fail "$n: $output"
    done
    run -0 ctr tasks exec --exec-id fds a sh -c 'ls /proc/self/fd | tr "\n" " "' # 3 is ls reading the directory
    [ "$output" = '0 1 2 3 ' ] || fail "$output"
    ctr tasks kill -s KILL a
    wait_until stopped a
}

@test "runc in our shim: the same" {
    with_runc
    common_tour
}

# checkpoint_tour: both run; a criu of our own making, whose restored process is a shell
checkpoint_tour() {
    local pid
    fake_criu "$T/bin"
    run_in c -d -- sleep 1000
    ctr containers checkpoint --task --image c example/c:1
    status_is c RUNNING
    jq -es 'last | .type == "DUMP" and .opts.leave_running == 1' "$FAKE_CRIU/log"
    ctr tasks kill -s KILL c
    wait_until stopped c
    ctr tasks rm c || true # says how it ended
    ctr containers rm c

    ctr containers restore --live r example/c:1
    wait_until status_is r RUNNING
    pid=$(ctr tasks ls | awk '$1 == "r" {print $2}')
    [ "$pid" = "$(ctr tasks ps r | awk 'NR > 1 {print $1}' | head -n 1)" ]
    [[ $(readlink "/proc/$pid/fd/1") == pipe:* ]] # ctr does not wait for what it says
    if [ "${runtime[1]}" = io.containerd.runc.v2 ]; then # ctr knows the options of this name alone
        ctr tasks checkpoint --exit --image-path "$T/images" --work-path "$T/work" r
        [ "$(ls "$T/images")" = descriptors.json ]
        jq -es 'last.opts.leave_running == 0' "$FAKE_CRIU/log"
    else
        ctr tasks kill -s KILL r
    fi
    wait_until stopped r
    run -0 ctr tasks rm r
    expect_match 'exit with non-zero exit code 137'
    ctr containers rm r

    # one that cannot be restored is deleted like any other
    echo RESTORE >"$FAKE_CRIU/refuse"
    run -1 ctr containers restore --live x example/c:1
    expect_match 'OCI runtime restore failed: criu failed: type RESTORE errno 52.*log file: .*/x/criu-work/restore.log'
    ctr tasks rm x
    ctr containers rm x
}

@test "a container is checkpointed and goes on elsewhere, with our runtime in our shim" {
    checkpoint_tour
}

@test "a container is checkpointed and goes on elsewhere, with runc in our shim" {
    with_runc
    checkpoint_tour
}

@test "with criu itself a task goes on, in a container that is made of its checkpoint" {
    local was
    need_criu
    run_in c -d -- /bin/sh -c "$(counting /dev/shm/count)"
    wait_until ctr tasks exec --exec-id e0 c test -s /dev/shm/count
    was=$(ctr tasks exec --exec-id e1 c cat /dev/shm/count)
    ctr containers checkpoint --task --image c example/c:1
    ctr tasks kill -s KILL c
    wait_until stopped c
    ctr tasks rm c || true # says how it ended
    ctr containers rm c
    ctr containers restore --live r example/c:1
    wait_until status_is r RUNNING
    went_on "$was" "$(ctr tasks exec --exec-id e1 r cat /dev/shm/count)"
    ctr tasks metrics r | grep -qE '^memory.usage'
}

@test "a runtime's last words are found in its log, whatever it looks like" {
    with_runc
    cat >"$T/bin/talker" <<-'END'
	#!/bin/sh
	case " $* " in *" create "*) ;; *) exit 0 ;; esac
	while [ "$1" != --log ]; do shift; done
	cat "$0.log" >"$2"
	exit 1
	END
    chmod +x "$T/bin/talker"
    runtime=(--runtime io.containerd.runc.v2 --runc-binary "$T/bin/talker")
    says() { # LOG WORDS [END]
        printf '%b' "$1" >"$T/bin/talker.log"
        run -1 run_in talks -- true
        [[ $output == *"OCI runtime create failed: $2"*"${3:-}" ]] || fail "$output"
        ctr containers rm talks
    }
    says '{"level":"warning","msg":"w"}\n{"time":"t","msg":"first","level":"error"}\n{"level":"error","msg":"last"}\n{"level":"info","msg":"i"}\n' \
        'last: unknown'
    says 'crun: a warning\n{"msg":"one `line`","level":"error","time":"2026-11-23T22:09:17.642106Z"}\n\n' 'one `line`: unknown'
    says '{\n  "msg": "two \\"}{ \\/",\n  "level": "error",\n  "time": "t"\n}\n{\n  "msg": "w",\n  "level": "warning"\n}\n' 'two "}{ /: unknown'
    says 'warn: no matter\nsetrlimit (RLIM_MEMLOCK): Operation not permitted\n' 'setrlimit (RLIM_MEMLOCK): Operation not permitted: unknown'
    says '{"level":"fatal","msg":"torn' '{"level":"fatal","msg":"torn: unknown'
    says '{"level":"info","msg":"i"}\n' 'unable to retrieve OCI runtime error (no error in its log): ' 'did not terminate successfully: exit status 1: unknown'
    says '' 'unable to retrieve OCI runtime error (no error in its log): ' ': unknown'
}

@test "events come in the order that clients rely on" {
    background events "$T/bin/ctr" --address "$ctr_address" events
    local i
    wait_until heard
    for i in 1 2 3 4 5; do
        run_in "e$i" --rm -- true
    done
    run -137 run_in o --rm --memory-limit 8000000 -- /bin/sh -c 'x=a; while :; do x=$x$x; done'
    wait_until grep -q '/tasks/oom.*"o"' "$T/log/events"
    run_in x -d -- sleep 1000
    ctr tasks exec --exec-id one x true
    ctr tasks exec -d --exec-id two x sleep 1000
    wait_until grep -q '/tasks/exec-started.*two' "$T/log/events"
    ctr tasks kill -s KILL x
    wait_until stopped x
    ctr tasks rm x
    wait_until grep -q '/tasks/delete.*"x"' "$T/log/events"
    finish events
    for i in 1 2 3 4 5; do
        [ "$(grep -oE "/tasks/[a-z-]+ .*\"e$i\"" "$T/log/events" | cut -d' ' -f1 | xargs)" = \
            "/tasks/create /tasks/start /tasks/exit /tasks/delete" ]
    done
    [ "$(grep -oE '/tasks/[a-z-]+ .*"x"' "$T/log/events" | cut -d' ' -f1 | xargs)" = \
        "/tasks/create /tasks/start /tasks/exec-added /tasks/exec-started /tasks/exit /tasks/exec-added /tasks/exec-started /tasks/exit /tasks/exit /tasks/delete" ]
    # the exec's exit comes before the first process's
    grep -oE '/tasks/exit .*"id":"[a-z]+"' "$T/log/events" | tail -n 2 | head -n 1 | grep -q '"id":"two"'
}

# a subscription shows only by what it brings
heard() {
    ctr images label "$image" "heard=$RANDOM" >/dev/null
    grep -q /images/update "$T/log/events"
}

@test "containerd is killed and comes back: the container runs on, its log is whole, its exit code is known" {
    local log=$T/c-json.log shim
    run_in c -d --log-uri "binary://$T/bin/hull-logger?driver=json-file&path=$log" -- \
        /bin/sh -c 'i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); usleep 10000; done; exit 33'
    shim=$(shim_of c)
    [ -n "$shim" ]
    finish debian-containerd KILL
    wait_until log_has "$log" 'line 50'
    background debian-containerd "$T/bin/containerd" --config "$T/containerd.toml"
    wait_until -t 30 ctr version
    status_is c RUNNING
    ctr tasks exec --exec-id after c true
    [ "$(shim_of c)" = "$shim" ]
    finish debian-containerd KILL
    wait_until log_has "$log" 'line 299'
    background debian-containerd "$T/bin/containerd" --config "$T/containerd.toml"
    wait_until -t 30 ctr version
    wait_until stopped c
    run -0 ctr tasks rm c
    expect_match 'exit with non-zero exit code 33'
    [ "$(jq -r .log "$log" | grep -c .)" = 300 ]
    [ "$(jq -r .log "$log" | sed -n 's/^line //p' | sort -n | uniq | wc -l)" = 300 ]
    wait_until gone "$shim"
}

@test "the log: 100,000 lines at once, none lost, rotated" {
    local log=$T/l-json.log
    run_in l -d --log-uri "binary://$T/bin/hull-logger?driver=json-file&path=$log&max-size=1000000&max-file=100" -- \
        /bin/sh -c 'seq 1 50000; seq 50001 100000 >&2'
    wait_until stopped l
    ctr tasks rm l
    [ -e "$log.5" ]
    cat $(ls -v -r "$log"*) >"$T/all"
    # two streams have no order between them
    jq -r 'select(.stream == "stdout") | .log' "$T/all" | grep . | cmp - <(seq 1 50000)
    jq -r 'select(.stream == "stderr") | .log' "$T/all" | grep . | cmp - <(seq 50001 100000)
    [ "$(jq -r .stream "$T/all" | sort | uniq -c | xargs)" = '50000 stderr 50000 stdout' ]
    [ "$(find "$T" -name 'l-json.log*' -size +1001k | wc -l)" = 0 ]
}

@test "a log that cannot be written is refused, and nothing stays" {
    run run_in r -d --log-uri "binary://$T/bin/hull-logger?driver=json-file&path=$T/none/x.log" -- true
    expect_match 'open log file .*no such file or directory'
    run run_in s -d --log-uri "binary://$T/bin/hull-logger?driver=syslog&path=$T/x.log" -- true
    expect_match 'logging program ended (with status 1 )?before it was ready' # its end or its pipe's is seen first
    run run_in u -d --log-uri "binary://$T/bin/hull-logger?driver=json-file&path=relative" -- true
    expect_match 'not an absolute path'
}

@test "our logger under containerd's own shim" {
    local log=$T/o-json.log
    runtime=(--runtime io.containerd.runc.v2 --runc-binary "$T/bin/runc")
    run_in o -d --log-uri "binary://$T/bin/hull-logger?driver=json-file&path=$log" -- \
        /bin/sh -c 'seq 1 1000; echo last >&2'
    wait_until stopped o
    wait_until log_has "$log" last
    jq -r 'select(.stream == "stdout") | .log' "$log" | grep . | cmp - <(seq 1 1000)
}

@test "attach: input with its end, output to all, the log beside it" {
    need_tool python3
    local log=$T/a-json.log second
    run_in a -d --log-uri "binary://$T/bin/hull-logger?driver=json-file&path=$log&attach=$T/a.sock&stdin=1" -- \
        /bin/sh -c 'cat; echo done >&2'
    python3 "$top/tests/lib/attach.py" "$T/a.sock" 2 "$T/attached" </dev/null >"$T/second" &
    second=$!
    wait_until test -e "$T/attached"
    run -0 --separate-stderr python3 "$top/tests/lib/attach.py" "$T/a.sock" 7 < <(seq 1 20000)
    expect_output "$(seq 1 20000)"
    [ "$stderr" = done ]
    wait "$second"
    tail -n 1 "$T/second" | grep -qx 20000
    wait_until stopped a
    ctr tasks rm a
    [ "$(jq -r 'select(.stream == "stdout") | .log' "$log" | grep -c .)" = 20000 ]
    [ ! -e "$T/a.sock" ]
}

@test "attach: a slow client holds up the container, and gets all" {
    need_tool python3
    run_in a -d --log-uri "binary://$T/bin/hull-logger?driver=none&attach=$T/a.sock&stdin=1" -- \
        /bin/sh -c 'read go; head -c 30000000 /dev/zero'
    wait_until test -S "$T/a.sock"
    [ "$( (echo go; sleep 5) | python3 "$top/tests/lib/attach.py" "$T/a.sock" 3 | (sleep 1; wc -c))" = 30000000 ]
    wait_until stopped a
}

@test "our logger holds the FIFOs of a shim that is not ours" {
    need_tool python3
    local log=$T/f-json.log pid seen
    mkfifo "$T/0" "$T/1" "$T/2"
    pid=$("$T/bin/hull-logger" --detach --fifo-stdin "$T/0" --fifo-stdout "$T/1" --fifo-stderr "$T/2" \
        "binary://$T/bin/hull-logger?driver=json-file&path=$log&attach=$T/f.sock&stdin=1")
    kill -0 "$pid"
    [ -S "$T/f.sock" ]
    python3 "$top/tests/lib/attach.py" "$T/f.sock" 7 < <(echo typed) >"$T/seen" &
    seen=$!
    # the container: copies a line, waits for the end of its input
    sh -c 'cat; echo after the end >&2' <"$T/0" >"$T/1" 2>"$T/2"
    wait "$seen"
    [ "$(cat "$T/seen")" = typed ]
    wait_until gone "$pid"
    [ "$(jq -r '.stream + " " + .log' "$log" | grep . | sort | xargs)" = 'stderr after the end stdout typed' ]
    run -1 "$T/bin/hull-logger" --detach --fifo-stdout "$T/none" "binary://$T/bin/hull-logger?driver=none"
    expect_match 'hull-logger: open FIFO .*no such file'
}

@test "a shim that is killed: containerd has it cleaned up" {
    local shim pid socket
    run_in k -d -- sleep 1000
    shim=$(shim_of k)
    # containers are cloned from it: it runs from where nobody can write to its program, under its own name
    run -1 chmod 755 "/proc/$shim/exe"
    expect_match 'Read-only file system'
    [ "$(cat "/proc/$shim/comm")" = containerd-shim ]
    socket=$(sed 's,^unix://,,' "$T"/d-state/io.containerd.runtime.v2.task/*/k/address)
    [ -S "$socket" ]
    pid=$(ctr tasks ls | awk '$1 == "k" {print $2}')
    kill -KILL "$shim"
    wait_until gone "$pid"
    wait_until sh -c "! grep -q '$T/d-state.*/k/rootfs' /proc/self/mountinfo"
    wait_until test ! -e "$socket"
    ctr containers rm k
}

@test "a stopped shim is nobody else's matter; a signal does not end a shim with a container" {
    local shim
    run_in s -d -- sleep 1000
    shim=$(shim_of s)
    kill -TERM "$shim"
    ctr tasks exec --exec-id still s true
    kill -STOP "$shim"
    run -3 run_in other --rm -- /bin/sh -c 'exit 3'
    kill -CONT "$shim"
    status_is s RUNNING
}
