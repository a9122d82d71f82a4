#!/usr/bin/env bats
# hull-runc's command line: flags, logs, sockets, what is passed on; one that knows runc notices no difference.

load ../lib/common
load ../lib/originals
load ../lib/bundle

setup() {
    bundle_begin
}
teardown() {
    bundle_end
}

# receive SOCKET: one message with one descriptor; `pidfd MESSAGE PID` in the log, then the process gets SIGKILL.
receive() {
    cat >"$T/receive.py" <<'PY'
import array, re, signal, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
c, _ = s.accept()
msg, anc, _, _ = c.recvmsg(4096, 1024)
fds = array.array("i"); fds.frombytes(anc[0][2])
assert len(anc) == 1 and len(fds) == 1, "one descriptor"
pid = re.search(r"^Pid:\s+(\d+)", open(f"/proc/self/fdinfo/{fds[0]}").read(), re.M)[1]
print("pidfd", msg.decode(), pid, flush=True)
signal.pidfd_send_signal(fds[0], signal.SIGKILL)
PY
    background receive python3 "$T/receive.py" "$1"
    wait_until test -S "$1"
}

@test "--debug tells the steps of parent and child, to --log or stderr, as text or JSON" {
    args true
    run -0 "$T/bin/hull-runc" --root "$T/s" --debug run c1
    [[ $output == *level=debug*"nsexec container setup"*"child process in init()"*"closing the pipe to signal completion"* ]]
    run -0 "$T/bin/hull-runc" --root "$T/s" --debug --log "$T/d.json" --log-format json run c1
    expect_output ''
    [ "$(jq -r .level "$T/d.json" | sort -u)" = debug ]
    run -0 "$T/bin/hull-runc" --root "$T/s" run c1
    expect_output ''
    args sleep 1000
    rt run -d c1
    run -0 "$T/bin/hull-runc" --root "$T/s" --debug exec c1 true
    [[ $output == *"nsexec container setup"*"child process in init()"*"setns_init: about to exec"* ]]
}

@test "an ambient capability that is not inheritable is warned of" {
    sh_c 'grep CapAmb /proc/self/status'
    config '.process.capabilities |= (.inheritable = ["CAP_KILL"] | .ambient = ["CAP_KILL", "CAP_CHOWN"])'
    run -0 "$T/bin/hull-runc" --root "$T/s" run c1
    [[ $output == *"level=warning msg=\"can't raise ambient capability CAP_CHOWN: operation not permitted\""* ]]
    [[ $output == *$'CapAmb:\t0000000000000020'* ]]
}

@test "capabilities that nobody knows are named and left out, also by exec; so is one that is not spelt right" {
    args sleep 1000
    config '.process.capabilities.bounding += ["CAP_NOPE", "kill", "CAP_NOPE"]'
    "$T/bin/hull-runc" --root "$T/s" run -d c1 >"$T/out" 2>&1
    grep -qF 'level=warning msg="ignoring unknown or unavailable capabilities: [CAP_NOPE kill]"' "$T/out"
    run -0 "$T/bin/hull-runc" --root "$T/s" exec --cap sys_chroot c1 grep CapEff /proc/self/status
    [[ $output == *"capabilities: [CAP_NOPE kill sys_chroot]"* ]] || fail "$output"
    [ $((0x${output##*[[:space:]]} & 1 << 18)) = 0 ]
}

@test "--pidfd-socket gets the process of a container and of an exec" {
    args sleep 1000
    receive "$T/p1"
    rt run -d --pidfd-socket "$T/p1" --pid-file "$T/ipid" c1
    wait_until is_status c1 stopped
    [ "$(cat "$T/log/receive")" = "pidfd standard $(cat "$T/ipid")" ]
    finish receive
    rt delete c1
    rt run -d c1
    receive "$T/p2"
    rt exec -d --pidfd-socket "$T/p2" --pid-file "$T/epid" c1 sleep 1000
    wait_until test ! -e "/proc/$(cat "$T/epid")/fd/0"
    [ "$(tail -n 1 "$T/log/receive")" = "pidfd setns $(cat "$T/epid")" ]
    is_status c1 running
}

@test "output of a foreground terminal has no carriage return from the first byte on" {
    config '.process.terminal = true'
    sh_c 'echo one; echo two'
    # not script(1): with an empty input it types an end of file
    "$top/tests/runc-suite/ptyrun" sh -c "'$T/bin/hull-runc' --root '$T/s' run c1 >'$T/out'"
    [ "$(cat "$T/out")" = $'one\ntwo' ] || fail "$(od -c "$T/out")"
}

@test "CPUs: the caller's affinity is not inherited; execCPUAffinity before and after the cgroup" {
    [ "$(nproc)" -gt 1 ] || skip "one CPU"
    local all first
    all=$(awk '$1 == "Cpus_allowed_list:" { print $2 }' /proc/self/status) first=${all%%[-,]*}
    args grep Cpus_allowed_list /proc/self/status
    run -0 taskset -c "$first" "$T/bin/hull-runc" --root "$T/s" run c1
    expect_output $'Cpus_allowed_list:\t'"$all"
    args sleep 1000
    config --arg c "$first" '.process.execCPUAffinity = {initial: $c}'
    rt run -d c1
    run -0 taskset -c "$first" "$T/bin/hull-runc" --root "$T/s" --debug exec c1 grep Cpus_allowed_list /proc/self/status
    [[ $output == *": affinity: 0x$(printf %x $((1 << first)))"*$'Cpus_allowed_list:\t'"$all"* ]]
    jq --arg c "$first" '.process | .args = ["grep", "Cpus_allowed_list", "/proc/self/status"] | .execCPUAffinity = {final: $c}' config.json >"$T/p.json"
    run -0 rt exec --process "$T/p.json" c1
    expect_output $'Cpus_allowed_list:\t'"$first"
    jq '.process | .execCPUAffinity = {final: "3-1"}' config.json >"$T/p.json"
    run -255 rt exec --process "$T/p.json" c1
    [[ $output == *'invalid CPU list "3-1"'* ]]
}

@test "exec --cgroup: below the container's, by controller; never above it" {
    [ -d /sys/fs/cgroup/pids ] || skip "no cgroup v1 here: cgroup2.bats has v2"
    args sleep 1000
    rt run -d c1
    mkdir "$(own_cgroup pids sub)"
    run -0 rt exec --cgroup pids:sub c1 cat /proc/self/cgroup
    [[ $'\n'$output$'\n' == *":pids:/$(test_cgroup)/b/sub"$'\n'* ]] || fail "$output"
    [[ $'\n'$output$'\n' == *":memory:/$(test_cgroup)/b"$'\n'* ]] || fail "$output"
    run -0 rt exec --cgroup / c1 cat /proc/self/cgroup
    [[ $'\n'$output$'\n' == *":pids:/$(test_cgroup)/b"$'\n'* ]] || fail "$output"
    run -255 rt exec --cgroup sub c1 true
    [[ $output == *" adding pid "*"no such file or directory"* ]]
    local bad
    for bad in .. sub/../.. pids:../x ''; do
        run -255 rt exec --cgroup "$bad" c1 true
        [[ $output == *"bad sub cgroup path"* ]] || fail "$bad: $output"
    done
    run -255 rt exec --cgroup whaaat:/ c1 true
    [[ $output == *"unknown controller whaaat"* ]]
    run -255 rt exec --cgroup pids:sub --cgroup pids:sub c1 true
    [[ $output == *"more than once"* ]]
}

@test "signals: 0 asks, a created container ends on TERM, --all is content with a stopped one" {
    args sleep 1000
    rt create c1
    rt kill c1 0
    rt kill c1 # TERM
    wait_until is_status c1 stopped
    run -1 rt kill c1 0
    [[ $output == *"container not running"* ]]
    rt kill --all c1 0
    run -1 rt kill c1 65
    [[ $output == *'unknown signal "65"'* ]]
}

@test "what execve refuses is said by the program's own stderr, once" {
    printf '#!/mmnnttbb foo\n' >rootfs/bin/odd
    chmod +x rootfs/bin/odd
    args /bin/odd
    run -255 "$T/bin/hull-runc" --root "$T/s" run c1
    expect_output 'exec /bin/odd: no such file or directory'
    nothing_left c1
}

@test "a startContainer hook without an environment has the process's" {
    printf '#!/bin/sh -u\necho "$ONE $HOME" >/tmp/hooked\n' >rootfs/bin/hook
    chmod +x rootfs/bin/hook
    args true
    config '.process.env = ["ONE=two", "PATH=/bin"] | .root.readonly = false | .hooks.startContainer = [{path: "/bin/hook"}]'
    rt run c1
    [ "$(cat rootfs/tmp/hooked)" = 'two /root' ]
    config '.hooks.startContainer[0].env = ["HOME=/x"]'
    run -1 rt run c1
    [[ $output == *"error running startContainer hook #0: exit status 2"*"ONE: parameter not set"* ]] || fail "$output"
}

@test "in the host's mount namespace mounts stay with the container, not after a failed create" {
    sh_c 'grep -c " / " /proc/mounts; touch /x'
    config '.linux.namespaces |= map(select(.type != "mount")) | .linux.maskedPaths = [] | .linux.readonlyPaths = [] |
        .mounts |= map(select(.destination == "/proc" or .destination == "/dev"))'
    run -1 rt run --keep c1
    [[ $output == *"touch: /x: Read-only file system"* ]] || fail "$output"
    [ -n "$(leaked_mounts)" ]
    umount -R "$PWD/rootfs"
    [ -z "$(leaked_mounts)" ]
    rt delete c1
    config '.hooks.createRuntime = [{path: "/bin/false"}]'
    run -1 rt create c1
    nothing_left c1
    [ -z "$(leaked_mounts)" ] || fail "$(leaked_mounts)"
}

@test "list: an unknown root that was asked for is an error, the default one is not" {
    run -1 "$T/bin/hull-runc" --root "$T/none" list
    [[ $output == *"open $T/none: no such file or directory"* ]]
    run -0 unshare -m sh -c "mount -t tmpfs none /run && '$T/bin/hull-runc' list -f json"
    expect_output null
}

@test "LISTEN_FDS meant for us is passed on, before --preserve-fds; not one meant for another" {
    printf one >"$T/one"
    printf two >"$T/two"
    sh_c 'echo "$LISTEN_FDS $LISTEN_PID"; cat /proc/self/fd/3 /proc/self/fd/4'
    start() { sh -c 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"' sh "$T/bin/hull-runc" --root "$T/s" "$@"; }
    run -0 start run --preserve-fds 1 c1 3<"$T/one" 4<"$T/two"
    expect_output $'1 1\nonetwo'
    run -1 env LISTEN_FDS=1 LISTEN_PID=1 "$T/bin/hull-runc" --root "$T/s" run c1 3<"$T/one" 4<"$T/two"
    [[ $output == " "$'\n'*"can't open '/proc/self/fd/3'"* ]] || fail "$output"
    args sleep 1000
    rt run -d c1
    run -0 start exec c1 sh -c 'echo "$LISTEN_FDS $LISTEN_PID"; cat /proc/self/fd/3' 3<"$T/one"
    expect_output $'1 1\none'
}

@test "NOTIFY_SOCKET: the manager hears of readiness and of the main process; start waits for both" {
    cat >"$T/manager.py" <<'PY'
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1])
while True:
    msg, anc, _, _ = s.recvmsg(4096, 1024)
    print(msg.decode().strip(), flush=True)
    for a in anc:
        fds = array.array("i"); fds.frombytes(a[2])
        for fd in fds: os.close(fd)
PY
    background manager python3 "$T/manager.py" "$T/manager"
    wait_until test -S "$T/manager"
    export NOTIFY_SOCKET=$T/manager
    cat >rootfs/tmp/ready.py <<'PY'
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ["NOTIFY_SOCKET"])
s.send(b"STATUS=not yet"); s.send(b"STATUS=now\nREADY=1")
time.sleep(1000)
PY
    local dir
    for dir in /usr /lib /lib64; do
        [ ! -e "$dir" ] || config --arg d "$dir" '.mounts += [{destination: $d, source: $d, type: "bind", options: ["rbind", "ro"]}]'
    done
    args /usr/bin/python3 /tmp/ready.py
    rt create c1
    rt start c1
    [ "$(cat "$T/log/manager")" = $'READY=1\nMAINPID='"$(rt state c1 | jq .pid)"$'\nBARRIER=1' ] || fail "$(cat "$T/log/manager")"
    rt delete --force c1
    rt run -d c1
    [ "$(grep -c READY "$T/log/manager")" = 2 ]
    rt delete --force c1
    background fore "$T/bin/hull-runc" --root "$T/s" run c1
    third() { [ "$(grep -c BARRIER "$T/log/manager")" = 3 ]; }
    wait_until third
    [ "$(grep MAINPID "$T/log/manager" | tail -n 1)" = "MAINPID=$(cat "$T/pid/fore")" ]
    finish fore # the signal is passed on
    args true # says nothing: nobody waits for the dead
    timeout 20 "$T/bin/hull-runc" --root "$T/s" run -d c2
    rt delete c2
    nothing_left c1
}

@test "help, wrong words and numbers: texts and statuses as scripts know them" {
    local command
    for command in '' create delete events exec features kill list pause ps resume run spec start state update; do
        # shellcheck disable=SC2086
        run -0 "$T/bin/hull-runc" $command --help
        [[ ${lines[0]} == NAME: && ${lines[1]} == *"hull-runc $command"* ]] || fail "$command: $output"
        # shellcheck disable=SC2086
        run -0 "$T/bin/hull-runc" help $command
        [[ ${lines[1]} == *"hull-runc $command"* ]] || fail "$command: $output"
    done
    run -3 "$T/bin/hull-runc" foo -h
    [[ $output == *"level=error msg=\"No help topic for 'foo'"* ]]
    run -3 "$T/bin/hull-runc" help foo
    run -1 "$T/bin/hull-runc" create --preserve-fds abc c1
    [[ $output == *"Incorrect Usage"*'level=error msg="invalid value \"abc\" for flag -preserve-fds: parse error"' ]]
    run -1 "$T/bin/hull-runc" exec --tty=maybe c1 true
    [[ $output == *'invalid boolean value \"maybe\" for -tty: parse error"' ]]
    args sleep 1000
    rt run -d c1
    run -255 rt exec c1
    [[ $output == *"exec args cannot be empty"* ]]
    run -255 rt exec --user abc c1 true
    [[ $output == *'bad uid: strconv.Atoi: parsing "abc": invalid syntax'* ]]
    run -255 rt exec --preserve-fds 50 c1 true
    [[ $output == *"unable to stat preserved-fd "*" (of 50): no such file or directory"* ]]
    run -1 "$T/bin/hull-runc" kill
    [[ $output == *'hull-runc: \"kill\" requires a minimum of 1 argument(s)"' ]] || fail "$output"
    run -1 "$T/bin/hull-runc" --root / list
    [[ $output == *"Option --root argument should not be set to /"* ]]
}

@test "docs/compat.md has every command and every flag that help shows" {
    local command flag row
    awk '/^## / { on = $0 == "## Commands of hull-runc" } on' "$top/docs/compat.md" >"$T/chapter"
    while read -r command; do
        row=$(grep -F "\`$command\`" "$T/chapter" | grep '^|') || fail "no row for $command"
        while read -r flag; do
            [[ $row == *"\`$flag\`"* ]] || fail "$command $flag is not in its row"
        done < <("$T/bin/hull-runc" help "$command" | grep -oE '^   --[a-z0-9-]+' | tr -d ' ')
    done < <("$T/bin/hull-runc" --help | awk '/^COMMANDS/ { on = 1; next } /^$/ { on = 0 } on && $1 != "help," { print $1 }')
}

@test "on v2 an exec follows a container that has left its cgroup, but not when --cgroup is asked for" {
    [ -d /sys/fs/cgroup/unified ] || skip "no v2 tree beside v1 here"
    args sleep 1000
    cat >"$T/inside" <<'SH'
set -e
mount --make-rprivate /
mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup
rt() { "$T/bin/hull-runc" --root "$T/s" "$@"; }
rt run -d c1 >"$T/out" 2>&1
mkdir "/sys/fs/cgroup/$1/elsewhere"
rt state c1 | jq .pid >"/sys/fs/cgroup/$1/elsewhere/cgroup.procs"
rt exec c1 cat /proc/self/cgroup | grep "^0::/$1/b$"
rmdir "/sys/fs/cgroup/$1/b"
rt exec c1 cat /proc/self/cgroup | grep "^0::/$1/elsewhere$"
status=0
rt exec --cgroup / c1 true 2>"$T/err" || status=$?
[ $status = 255 ] && grep " adding pid .* to cgroups.*no such file or directory" "$T/err"
status=0
rt exec --cgroup pids:/ c1 true 2>"$T/err" || status=$?
[ $status = 255 ] && grep "unknown controller pids" "$T/err"
rt delete --force c1
rmdir "/sys/fs/cgroup/$1/elsewhere"
SH
    HULL_TEST_ID=$T unshare -m bash "$T/inside" "$(test_cgroup)"
    nothing_left c1
}
