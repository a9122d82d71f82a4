#!/usr/bin/env bats
# hull-runc on real bundles: its command line as dockerd, containerd and podman use it, and what a container may not do.

load ../lib/common
load ../lib/originals
load ../lib/bundle

setup() {
    bundle_begin
}
teardown() {
    bundle_end
}

# --- life ------------------------------------------------------------------------------------------------------------

@test "create, state, start, exec, kill, delete" {
    sh_c 'echo started >/tmp/f; exec sleep 1000'
    config '.root.readonly = false'
    rt create --pid-file "$T/pid1" c1
    is_status c1 created
    [ "$(rt state c1 | jq .pid)" = "$(cat "$T/pid1")" ]
    [ ! -e rootfs/tmp/f ]
    run ! rt create c1
    [[ $output == *"container with given ID already exists"* ]]
    rt start c1
    is_status c1 running
    wait_until test -s rootfs/tmp/f
    run ! rt start c1
    [[ $output == *"cannot start an already running container"* ]]
    run -0 rt exec c1 sh -c 'echo $$ in; ps | grep -c "[s]leep 1000"'
    expect_match 'in'
    run -3 rt exec c1 sh -c 'exit 3'
    run ! rt delete c1
    [[ $output == *"cannot delete container c1 that is not stopped: running"* ]]
    rt kill c1 KILL
    wait_until is_status c1 stopped
    [ "$(rt state c1 | jq .pid)" = 0 ]
    run ! rt kill c1 TERM
    [[ $output == *"container not running"* ]]
    run ! rt exec c1 true
    rt delete c1
    nothing_left c1
    run ! rt state c1
    [[ $output == *"container does not exist"* ]]
}

@test "run passes the exit status on and leaves nothing" {
    sh_c 'exit 7'
    run -7 rt run c1
    nothing_left c1
    sh_c 'kill -9 $$'
    config '.linux.namespaces |= map(select(.type != "pid"))'
    run -137 rt run c1
    nothing_left c1
    args true
    run -0 rt run --keep c1
    is_status c1 stopped
    rt delete c1
    nothing_left c1
}

@test "delete --force ends what runs; of an unknown id it says nothing" {
    args sleep 1000
    rt create c1 && rt start c1
    rt delete --force c1
    nothing_left c1
    rt create c1
    rt delete c1 # only created: no --force needed
    nothing_left c1
    run -0 rt delete --force c1
    expect_output ''
    run -1 rt delete c1
    [[ $output == *"container does not exist"* ]]
}

@test "delete of what a killed create left; of a state that cannot be read nothing is lost" {
    args sleep 1000
    rt create c1 >/dev/null 2>&1 </dev/null 3>&- 4>&-
    local pid
    pid=$(rt state c1 | jq .pid)
    mv "$T/s/c1/state.json" "$T/state.json"
    mkdir "$T/s/c1/state.json" # reading it is an error of the system
    run -1 rt delete --force c1
    [ -e "$T/s/c1/config.json" ]
    rmdir "$T/s/c1/state.json"
    kill -KILL "$pid"
    wait_until eval '! kill -0 $pid 2>/dev/null || grep -q Z /proc/$pid/stat'
    rt delete --force c1
    nothing_left c1
}

@test "errors in the words that callers match" {
    args nope
    run -1 rt run c1
    [[ $output == *'runc run failed: unable to start container process: error during container init: exec: "nope": executable file not found in $PATH'* ]]
    nothing_left c1
    args /nope
    run -1 rt create c1
    [[ $output == *'exec: "/nope": stat /nope: no such file or directory'* ]]
    args /etc/passwd
    run -1 rt create c1
    [[ $output == *'exec: "/etc/passwd": permission denied'* ]]
    args /tmp
    run -1 rt create c1
    [[ $output == *'exec: "/tmp": is a directory'* ]]
    run -1 rt create --bundle "$T/nonexist" c1
    [[ $output == *"runc create failed: chdir $T/nonexist: no such file or directory"* ]]
    run -1 rt create a/b
    [[ $output == *"invalid container ID format"* ]]
    run -3 rt foo
    run -1 rt state
    [[ $output == *'"state" requires exactly 1 argument(s)'* ]]
    run -1 rt state --nope c1
    [[ $output == *'flag provided but not defined: -nope'* ]]
    run -255 rt exec c1 true
    [[ $output == *"exec failed: container does not exist"* ]]
    run -1 rt --systemd-cgroup create c1
    [[ $output == *systemd* ]]
    mkdir "$T/empty"
    run -1 rt create --bundle "$T/empty" c1
    [[ $output == *"JSON specification file config.json not found"* ]]
    nothing_left c1
}

@test "the log is JSON that the shim can read" {
    args nope
    run -1 "$T/bin/hull-runc" --root "$T/s" --log "$T/l.json" --log-format json create c1
    [ "$(jq -r .level "$T/l.json")" = error ]
    jq -r .msg "$T/l.json" | grep -q 'executable file not found in \$PATH'
    jq -e .time "$T/l.json"
    [[ $output == *"executable file not found"* ]]
}

@test "broken configs change nothing" {
    local bad
    args true
    rt run c0
    for bad in '.process.cwd = "rel"' '.process.args = []' '.linux.namespaces += [{"type": "pid"}]' \
        '.linux.namespaces += [{"type": "nope"}]' '.root = null' '.process.rlimits = [{"type": "RLIMIT_FOO", "hard": 1, "soft": 1}]' \
        '.linux.sysctl = {"kernel.panic": "1"}' '.linux.seccomp = {"defaultAction": "SCMP_ACT_NOPE"}' \
        '.linux.resources.unified = {"memory.max": "1"}' '.process.env = ["X"]' '.linux.rootfsPropagation = "odd"' \
        '.linux.namespaces += [{"type": "user"}]' '.mounts += [{"destination": "/x", "type": "nofs"}]' \
        '.mounts += [{"destination": "/x", "source": "/nonexist", "options": ["bind"]}]' '.process.args = 3'; do
        jq "$bad" config.json >"$T/bad.json"
        run -1 rt create --config "$T/bad.json" c1
        nothing_left c1
    done
    printf '{"ociVersion": "1.0.0", "process": {' >"$T/bad.json"
    run -1 rt create --config "$T/bad.json" c1
    nothing_left c1
}

@test "list, ps, pause, resume" {
    args sleep 1000
    run -1 rt list -f json
    expect_output "open $T/s: no such file or directory"
    mkdir "$T/s"
    run -0 rt list -f json
    expect_output null
    rt create c1 && rt start c1
    run -0 rt list
    [[ ${lines[0]} =~ ^ID\ +PID\ +STATUS\ +BUNDLE\ +CREATED\ +OWNER$ ]]
    [[ ${lines[1]} =~ ^c1\ +[0-9]+\ +running\ + ]]
    [ "$(rt list -q)" = c1 ]
    [ "$(rt ps -f json c1 | jq -c .)" = "[$(rt state c1 | jq .pid)]" ]
    run -0 rt ps c1
    [ ${#lines[@]} = 2 ]
    rt pause c1
    is_status c1 paused
    run -255 rt exec c1 true
    [[ $output == *"cannot exec in a paused container (use --ignore-paused to override)"* ]]
    rt resume c1
    is_status c1 running
    run -1 rt resume c1
    [[ $output == *"container not paused"* ]]
    rt pause c1
    rt delete --force c1
    nothing_left c1
}

# --- what the process is -----------------------------------------------------------------------------------------------

@test "user, groups, umask, home, cwd, environment" {
    config '.process.user = {"uid": 1000, "gid": 1000, "umask": 63, "additionalGids": [5, 6]} | .process.cwd = "/made/here" |
        .process.env += ["A=1", "A=2"] | .root.readonly = false'
    sh_c 'id -u; id -G; umask; echo $HOME; pwd; echo $A'
    run -0 rt run c1
    expect_output $'1000\n1000 5 6\n0077\n/home/u\n/made/here\n2'
}

@test "capabilities, no_new_privs, bounding set" {
    args grep -E '^(Cap|NoNewPrivs)' /proc/self/status
    config '.process.capabilities = {"bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]}'
    run -0 rt run c1
    expect_match 'CapInh:.0000000000000020.*CapPrm:.0000000000000021.*CapEff:.0000000000000021.*CapBnd:.0000000000000021.*CapAmb:.0000000000000020.*NoNewPrivs:.1'
    config 'del(.process.capabilities)'
    run -0 rt run c1
    expect_match 'CapPrm:.0000000000000000.*CapBnd:.0000000000000000'
}

@test "seccomp: rules, arguments, unknown names, newer system calls" {
    config '.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [{"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
                     {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"},
                     {"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS", "args": [{"index": 1, "value": 12, "op": "SCMP_CMP_EQ"}]}]}'
    sh_c 'grep Seccomp: /proc/self/status; mkdir /tmp/x 2>&1; kill -0 $$ && echo alive; kill -12 $$'
    run -159 rt run c1
    [[ $output == *"Seccomp:"*2*"No space left on device"*alive* ]]
    # the filter comes from the cache now; a damaged one is built anew
    [ "$(ls "$T/s/@seccomp" | wc -l)" = 1 ]
    run -159 rt run c1
    [[ $output == *"Seccomp:"*2*"No space left on device"*alive* ]]
    truncate -s 100 "$T/s/@seccomp/"*
    run -159 rt run c1
    [[ $output == *"Seccomp:"*2*"No space left on device"*alive* ]]
    [ -z "$(rt list -q)" ]
    config '.process.noNewPrivileges = false'
    run -159 rt run c1
    [[ $output == *"No space left on device"*alive* ]]
}

@test "seccomp: an agent decides about system calls, with the container's state, also for exec" {
    cat >"$T/agent.py" <<'PY'
# Gets listeners; each mkdir that they tell of is answered with "no medium found".
import array, fcntl, json, os, socket, struct, sys, threading
RECV, SEND = 0xC0502100, 0xC0182101
def serve(fd):
    while True:
        note = bytearray(80)
        try:
            fcntl.ioctl(fd, RECV, note)
            fcntl.ioctl(fd, SEND, struct.pack("<QqiI", struct.unpack_from("<Q", note)[0], 0, -123, 0))
        except OSError:
            return
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(8)
open(sys.argv[1] + ".ready", "w").close()
while True:
    c, _ = s.accept()
    text, anc, _, _ = c.recvmsg(1 << 20, 256)
    fds = array.array("i")
    fds.frombytes(anc[0][2])
    assert len(anc) == 1 and len(fds) == 1
    print(text.decode(), flush=True)
    threading.Thread(target=serve, args=(fds[0],), daemon=True).start()
PY
    background agent python3 "$T/agent.py" "$T/agent.sock"
    wait_until test -e "$T/agent.sock.ready"
    local nnp
    for nnp in true false; do
        config --arg s "$T/agent.sock" --argjson n $nnp '.process.noNewPrivileges = $n | .annotations.a = "b" | .linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": $s, "listenerMetadata": "meta", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]}'
        sh_c 'mkdir /tmp/x; ls /proc/self/fd | wc -l; exec sleep 1000'
        rt create c1 >"$T/out" 2>&1 3>&- 4>&-
        [ "$(ls "/proc/$(rt state c1 | jq .pid)/fd" | wc -l)" = 4 ] # the listener is the agent's alone
        rt start c1
        wait_until grep -q '^4$' "$T/out"
        grep -q 'mkdir:.*No medium found' "$T/out" || fail "$(cat "$T/out")"
        tail -1 "$T/log/agent" | jq -e --argjson p "$(rt state c1 | jq .pid)" --arg b "$PWD" '.fds == ["seccompFd"] and .pid == $p and .metadata == "meta" and
            (.state | .id == "c1" and .status == "creating" and .pid == $p and .bundle == $b and .annotations.a == "b")'
        run -1 rt exec c1 mkdir /tmp/y
        [[ $output == *"No medium found"* ]] || fail "$output"
        tail -1 "$T/log/agent" | jq -e --argjson p "$(rt state c1 | jq .pid)" '.pid != $p and .state.status == "running" and .state.pid == $p'
        rt delete --force c1
    done
    finish agent
    args true
    run -1 rt run c1
    [[ $output == *"failed to connect with seccomp agent specified in the seccomp profile: dial unix $T/agent.sock: connect: "* ]] || fail "$output"
    nothing_left c1
    config '.linux.seccomp.listenerPath = "@hull-no-such-agent"'
    run -1 rt run c1
    [[ $output == *"dial unix @hull-no-such-agent: connect: connection refused"* ]] || fail "$output"
    nothing_left c1
}

@test "seccomp: what a profile may not say" {
    local change text
    while IFS='|' read -r change text; do
        config ".linux.seccomp = {\"defaultAction\": \"SCMP_ACT_ALLOW\", \"listenerPath\": \"/x\", \"syscalls\": [{\"names\": [\"mkdir\"], \"action\": \"SCMP_ACT_ERRNO\"}]} | .linux.seccomp$change"
        run -1 rt run c1
        [[ $output == *"$text"* ]] || fail "$change: $output"
    done <<'END'
.defaultAction = "ODD"|string ODD is not a valid action for seccomp
.defaultAction = ""|string  is not a valid action for seccomp
.defaultAction = "SCMP_ACT_NOTIFY"|SCMP_ACT_NOTIFY cannot be used as default action
.architectures = ["ODD"]|string ODD is not a valid arch for seccomp
.flags = ["ODD"]|seccomp flag ODD is not known to runc
.flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]|error loading seccomp filter: invalid argument
.syscalls[0].action = "ODD"|string ODD is not a valid action for seccomp
.syscalls[0] += {"action": "SCMP_ACT_KILL", "errnoRet": 3}|seccomp: errnoRet is not supported with action SCMP_ACT_KILL
.syscalls[0].names = [""]|empty string is not a valid syscall
.syscalls[0].args = [{"index": 1, "op": "ODD"}]|string ODD is not a valid operator for seccomp
.syscalls[0].args = [{"index": 7, "op": "SCMP_CMP_EQ"}]|syscalls only have up to 6 arguments (7 given)
.syscalls[0] += {"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"}|SCMP_ACT_NOTIFY cannot be used for the write syscall
 += {"listenerPath": "", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}|seccomp listenerPath is not set
END
    nothing_left c1
}

@test "memory policy: of the process and of what is executed later" {
    [ -e /proc/self/numa_maps ] || skip "the kernel has no NUMA"
    config '.linux.memoryPolicy = {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}'
    args sleep 1000
    rt run -d c1 >"$T/out" 2>&1 3>&- 4>&-
    grep -q 'bind=static:0' "/proc/$(rt state c1 | jq .pid)/numa_maps"
    run -0 rt exec c1 head -n 1 /proc/self/numa_maps
    [[ $output == *"bind=static:0"* ]]
    rt delete --force c1
    config '.linux.memoryPolicy = {"mode": "MPOL_BIND", "nodes": "1023"}'
    run -1 rt run c1
    [[ $output == *"set_mempolicy: invalid argument"* ]] || fail "$output"
    nothing_left c1
}

@test "rlimits; what we may not raise is the user's error" {
    config '.process.rlimits = [{"type": "RLIMIT_NOFILE", "hard": 77, "soft": 66}]'
    sh_c 'ulimit -n; ulimit -Hn'
    run -0 rt run c1
    expect_output $'66\n77'
    local above=$(($(ulimit -Hq) + 1))
    if has_capability 24; then # CAP_SYS_RESOURCE
        config --argjson l "$above" '.process.rlimits = [{"type": "RLIMIT_MSGQUEUE", "hard": $l, "soft": $l}] | .process.oomScoreAdj = -500'
        sh_c "grep 'Max msgqueue' /proc/self/limits; cat /proc/self/oom_score_adj"
        run -0 rt run c1
        expect_match "^Max msgqueue size +$above +$above .*"$'\n-500$'
    else
        config --argjson l "$above" '.process.rlimits = [{"type": "RLIMIT_MSGQUEUE", "hard": $l, "soft": 66}]'
        run -1 rt run c1
        [[ $output == *"error setting rlimit type 12: operation not permitted"* ]]
        nothing_left c1
        config '.process.rlimits = [] | .process.oomScoreAdj = -500'
        run -1 rt run c1
        [[ $output == *"oom_score_adj"*"ermission denied"* ]]
        nothing_left c1
    fi
    config '.process.rlimits = [] | .process.oomScoreAdj = 500'
    args cat /proc/self/oom_score_adj
    run -0 rt run c1
    expect_output 500
}

@test "the terminal goes through the console socket" {
    config '.process.terminal = true | .process.consoleSize = {"height": 33, "width": 77}'
    sh_c 'test -t 0 && stty size && tty && ls -l /dev/console | cut -c1'
    run -1 rt create c1
    [[ $output == *"cannot allocate tty if runc will detach without setting console socket"* ]]
    cat >"$T/recv.py" <<'PY'
import socket, array, os, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
open(sys.argv[1] + ".ready", "w").close()
c, _ = s.accept()
msg, anc, _, _ = c.recvmsg(4096, 1024)
fds = array.array("i"); fds.frombytes(anc[0][2])
assert len(anc) == 1 and len(fds) == 1, "one descriptor"
print(msg.decode(), flush=True)
out = b""
while True:
    try: b = os.read(fds[0], 1000)
    except OSError: break
    if not b: break
    out += b
sys.stdout.write(out.decode()); sys.stdout.flush()
PY
    background recv python3 "$T/recv.py" "$T/con.sock"
    wait_until test -e "$T/con.sock.ready"
    rt create --console-socket "$T/con.sock" c1
    rt start c1
    wait_until grep -q '^c' "$T/log/recv"
    tr -d '\r' <"$T/log/recv" >"$T/got"
    [ "$(cat "$T/got")" = $'/dev/pts/0\n33 77\n/dev/pts/0\nc' ] || fail "$(cat "$T/got")"
}

@test "a foreground terminal" {
    need_tool script
    config '.process.terminal = true'
    sh_c 'tty; exit 5'
    run -5 script -qec "$T/bin/hull-runc --root $T/s run c1" /dev/null </dev/null
    [[ $output == *"/dev/pts/0"* ]]
    nothing_left c1
}

# --- isolation ---------------------------------------------------------------------------------------------------------

@test "each namespace is its own" {
    config '.linux.namespaces |= map(select(.type != "cgroup")) + [{"type": "cgroup"}] | .hostname = "inside" | .domainname = "dom" | .linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "12345"}'
    sh_c 'echo $$; ls /proc | grep -c "^[0-9]*$"; hostname; cat /proc/sys/kernel/domainname; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax
        ip -o link | wc -l; ip -o addr show lo | grep -c 127.0.0.1; ls / | grep -c sbin; cut -d: -f3 /proc/self/cgroup | sort -u; ls /proc/sysvipc | wc -l'
    run -0 rt run c1
    [ "${lines[0]}" = 1 ]
    [ "${lines[1]}" -le 4 ]
    [ "${lines[2]}" = inside ]
    [ "${lines[3]}" = dom ]
    [ "${lines[4]}" = 1 ]
    [ "${lines[5]}" = 12345 ]
    [[ $output == *$'\n/\n'* ]]
    [ "$(sysctl -n kernel.shmmax)" != 12345 ]
}

@test "namespaces are joined by path" {
    ip netns add "$(test_cgroup)"
    ip -n "$(test_cgroup)" link add name seen type bridge
    config --arg p "/run/netns/$(test_cgroup)" '.linux.namespaces |= map(if .type == "network" then .path = $p else . end)'
    args ip -o link
    run rt run c1
    ip netns del "$(test_cgroup)"
    [[ $output == *seen* ]]
    config '.linux.namespaces |= map(if .type == "network" then .path = "/nonexist" else . end)'
    run -1 rt run c1
    [[ $output == *"no such file or directory"* ]]
    nothing_left c1
    config '.linux.namespaces |= map(if .type == "network" then del(.path) else . end)'
    args sleep 1000
    rt create c1
    rt start c1
    # a second container in the first one's pid, ipc and network namespaces
    local pid
    pid=$(rt state c1 | jq .pid)
    config --arg p "$pid" '.linux.cgroupsPath += "2" | .linux.namespaces |= map(if .type == "mount" or .type == "uts" then . else .path = "/proc/\($p)/ns/" + {pid: "pid", ipc: "ipc", network: "net", cgroup: "cgroup"}[.type] end)'
    sh_c 'readlink /proc/1/exe; ps | grep -c "[s]leep 1000"'
    run -0 rt run c2
    [[ $output == *1* ]]
}

@test "a user namespace: root inside is nobody outside" {
    chmod 755 "$T"
    chown -R 100000:100000 rootfs
    config '.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 100000, "size": 65536}] | .linux.gidMappings = .linux.uidMappings |
        .root.readonly = false'
    sh_c 'id -u; cat /proc/self/uid_map; echo x >/dev/null && echo null; echo x >/tmp/made; exec sleep 1000'
    rt create c1 >"$T/out" 2>&1
    rt start c1
    wait_until grep -q null "$T/out"
    grep -qE '^ +0 +100000 +65536' "$T/out"
    [ "$(stat -c %u "/proc/$(rt state c1 | jq .pid)")" = 100000 ]
    [ "$(stat -c %u rootfs/tmp/made)" = 100000 ]
    run -0 rt exec c1 id -u
    expect_output 0
    # with a network namespace that belongs to the host
    rt delete --force c1
    ip netns add "$(test_cgroup)"
    config --arg p "/run/netns/$(test_cgroup)" '.linux.namespaces |= map(if .type == "network" then .path = $p else . end) |
        .mounts |= map(if .destination == "/sys" then {"destination": "/sys", "source": "/sys", "type": "none", "options": ["rbind", "ro"]} else . end)'
    sh_c 'id -u; ip -o link | wc -l'
    run rt run c1
    ip netns del "$(test_cgroup)"
    [ "${lines[0]}" = 0 ] || fail "$output"
}

@test "a user namespace sees bind sources that its root may not reach" {
    mkdir -p "$T/secret/dir"
    echo here >"$T/secret/dir/f"
    chmod 700 "$T/secret"
    chmod 755 "$T"
    chown -R 100000:100000 rootfs
    config --arg s "$T/secret/dir" '.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 100000, "size": 65536}] |
        .linux.gidMappings = .linux.uidMappings | .mounts += [{"destination": "/mnt", "source": $s, "options": ["rbind"]}] | .root.readonly = false'
    args cat /mnt/f
    run -0 rt run c1
    expect_output here
}

@test "a time namespace has its offsets" {
    [ -e /proc/self/ns/time ] || skip "this kernel has no time namespaces"
    config '.linux.namespaces += [{"type": "time"}] | .linux.timeOffsets = {"boottime": {"secs": 1000000}}'
    sh_c 'cut -d. -f1 /proc/uptime'
    run -0 rt run c1
    [ "$output" -gt $(($(cut -d. -f1 /proc/uptime) + 999000)) ]
}

@test "mounts: options, binds of files and trees, rro, tmpfs, copy-up" {
    mkdir -p "$T/src/sub" rootfs/copied
    echo data >"$T/src/file"
    echo up >rootfs/copied/f
    mount -t tmpfs sub "$T/src/sub"
    config --arg s "$T/src" '.mounts += [
        {"destination": "/etc/newfile", "source": ($s + "/file"), "options": ["bind", "ro"]},
        {"destination": "/tree", "source": $s, "options": ["rbind", "rro", "nosuid", "nodev"]},
        {"destination": "/half", "source": $s, "options": ["rbind", "ro", "rslave"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "noexec"]},
        {"destination": "/copied", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}] | .root.readonly = false'
    sh_c 'cat /etc/newfile /copied/f; echo x >/etc/newfile; echo x >/tree/f; echo x >/tree/sub/f; echo x >/half/sub/f && echo half; stat -c %a /tmp; grep " /tree " /proc/self/mountinfo; grep " /tmp " /proc/self/mountinfo'
    run rt run c1
    umount "$T/src/sub"
    [[ $output == data$'\n'up* ]]
    [ "$(grep -c 'Read-only file system' <<<"$output")" = 3 ] || fail "$output"
    [[ $output == *half*1777*nosuid,nodev*noexec* ]]
    [ "$(cat "$T/src/file")" = data ]
}

@test "masked and read-only paths, read-only root" {
    config '.linux.maskedPaths += ["/nonexist", "/etc/passwd", "/home"] | .linux.readonlyPaths += ["/nonexist"]'
    sh_c 'cat /etc/passwd; ls /home; cat /proc/keys; echo 1 >/proc/sys/kernel/domainname; touch /x; touch /etc/passwd2; echo done'
    run -0 rt run c1
    [ "$(grep -c 'Read-only file system' <<<"$output")" = 3 ] || fail "$output"
    [ "${lines[-1]}" = done ]
    [[ $output != *root:* ]]
}

@test "limits on this host's cgroups" {
    [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || skip "v1 only; the VM lane has v2"
    config '.linux.resources += {"memory": {"limit": 33554432, "swap": 33554432}, "pids": {"limit": 20}, "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"}}'
    args sleep 1000
    rt create c1
    [ "$(cat "/sys/fs/cgroup/memory/$(test_cgroup)/b/memory.limit_in_bytes")" = 33554432 ]
    [ "$(cat "/sys/fs/cgroup/pids/$(test_cgroup)/b/pids.max")" = 20 ]
    [ "$(cat "/sys/fs/cgroup/cpu/$(test_cgroup)/b/cpu.cfs_quota_us")" = 50000 ]
    [ "$(cat "/sys/fs/cgroup/cpu/$(test_cgroup)/b/cpu.shares")" = 512 ]
    [ "$(cat "/sys/fs/cgroup/cpuset/$(test_cgroup)/b/cpuset.cpus")" = 0 ]
    grep -qx 'c 1:3 rwm' "/sys/fs/cgroup/devices/$(test_cgroup)/b/devices.list"
    run ! grep -q '^a' "/sys/fs/cgroup/devices/$(test_cgroup)/b/devices.list"
    [ -e "/sys/fs/cgroup/unified/$(test_cgroup)/b" ]
    rt start c1
    echo '{"memory": {"limit": 67108864, "swap": 67108864}, "pids": {"limit": 30}, "devices": null}' | rt update --resources=- c1
    [ "$(cat "/sys/fs/cgroup/memory/$(test_cgroup)/b/memory.limit_in_bytes")" = 67108864 ]
    rt update --pids-limit 40 --memory 40m --memory-swap 40m c1
    [ "$(cat "/sys/fs/cgroup/memory/$(test_cgroup)/b/memory.limit_in_bytes")" = 41943040 ]
    [ "$(cat "/sys/fs/cgroup/pids/$(test_cgroup)/b/pids.max")" = 40 ]
    rt delete --force c1
    # the limit bites: a tail that remembers 200 MB dies
    sh_c 'tail -c 200000000 /dev/zero >/dev/null; echo "status $?"'
    config '.linux.resources.pids = null'
    run rt run c1
    [[ $output == *137* ]] || fail "$output"
}

@test "update: one of quota and period keeps the other; a refused one leaves the limits as they were" {
    [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || skip "v1 only; runc's suite has v2 in the VM"
    local cpu=/sys/fs/cgroup/cpu/$(test_cgroup)/b
    config '.linux.resources += {"cpu": {"quota": 50000, "period": 100000}}'
    args sleep 1000
    rt run -d c1 </dev/null >/dev/null 2>&1
    rt update --cpu-period 40000 c1
    [ "$(cat "$cpu/cpu.cfs_quota_us") $(cat "$cpu/cpu.cfs_period_us")" = '50000 40000' ]
    rt update --cpu-burst 10000 --cpu-quota 20000 c1
    [ "$(cat "$cpu/cpu.cfs_quota_us") $(cat "$cpu/cpu.cfs_burst_us")" = '20000 10000' ]
    rt update --cpu-burst 0 c1
    [ "$(cat "$cpu/cpu.cfs_burst_us")" = 0 ]
    run ! rt update --memory 1g --cpu-share 1 c1
    [[ $output == *"the minimum allowed cpu-shares is 2"* ]] || fail "$output"
    run ! rt update --memory 12q c1
    [[ $output == *"invalid value for memory: invalid size: '12q'"* ]] || fail "$output"
    run ! rt update --l3-cache-schema x c1
    [[ $output == *"Intel RDT/CAT: l3 cache schema is not enabled"* ]] || fail "$output"
}

@test "events: numbers once, again and again, and out of memory" {
    config '.linux.resources += {"memory": {"limit": 16777216, "swap": 16777216}}'
    sh_c 'while [ ! -e /tmp/go ]; do sleep 0.05; done; tail -c 100000000 /dev/zero; exec sleep 1000'
    config '.root.readonly = false'
    rt run -d c1 </dev/null >/dev/null 2>&1
    run -0 rt events --stats c1
    jq -e '.type == "stats" and .id == "c1" and .data.memory.usage.limit == 16777216 and .data.pids.current >= 1 and
        (.data | has("cpuset") and has("blkio") and .hugetlb == {} or .hugetlb) and .data.network_interfaces == null' <<<"$output"
    rt events --interval 100ms c1 >"$T/events" &
    wait_until grep -q '^{"type":"stats"' "$T/events"
    : >rootfs/tmp/go
    wait_until grep -qx '{"type":"oom","id":"c1"}' "$T/events"
    rt delete --force c1
    wait $! # the stream ends with the container
    run ! rt events --interval 0s c1
    [[ $output == *"container does not exist"* ]]
}

@test "a container starts within 512 KiB of memory, its filter built on the way" {
    need_static
    [ -e "/sys/fs/cgroup/memory" ] || [ -n "${HULL_IN_VM:-}" ] || skip "no memory controller"
    config '.linux.resources.memory = {"limit": 524288} | .linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": ["mount", "umount2", "reboot", "acct", "bpf", "swapon"], "action": "SCMP_ACT_ERRNO"}]}'
    args echo in
    run -0 rt run c1
    expect_output in
    run -0 rt run c1
    expect_output in
    args sleep 1000
    rt run -d c1 >/dev/null 2>&1 </dev/null 3>&- 4>&-
    run -0 rt exec c1 echo exec
    expect_output exec
}

@test "a pure v2 tree: birth in the cgroup, device filter, freezer, exec beside sub-cgroups" {
    [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || skip "this host is v2: every other test shows it"
    [ -d /sys/fs/cgroup/unified ] || skip "no v2 tree here"
    config '.linux.namespaces |= map(select(.type != "cgroup")) + [{"type": "cgroup"}] | .root.readonly = false | .process.capabilities.effective += ["CAP_MKNOD"] |
        .process.capabilities.permitted = .process.capabilities.effective | .process.capabilities.bounding = .process.capabilities.effective'
    sh_c 'grep ^0:: /proc/self/cgroup; echo x >/dev/null && echo null; mknod /tmp/m c 1 1; cat /tmp/m 2>&1; echo done; exec sleep 1000'
    cat >"$T/inside" <<'SH'
set -e
mount --make-rprivate /
mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup
rt() { "$T/bin/hull-runc" --root "$T/s" "$@"; }
rt create c1 >"$T/out" 2>&1
rt start c1
until grep -q done "$T/out"; do sleep 0.05; done
cg=/sys/fs/cgroup/$1/b
rt pause c1
grep -q 'frozen 1' "$cg/cgroup.events"
[ "$(rt state c1 | jq -r .status)" = paused ]
rt resume c1
mkdir "$cg/sub"
rt state c1 | jq .pid >"$cg/sub/cgroup.procs"
for controller in $(cat "$cg/cgroup.controllers"); do echo "+$controller" >"$cg/cgroup.subtree_control"; done
rt exec c1 true
rt kill --all c1 KILL
rt delete --force c1
[ ! -e "$cg" ]
SH
    HULL_TEST_ID=$T unshare -m bash "$T/inside" "$(test_cgroup)"
    grep -qx '0::/' "$T/out"
    grep -qx null "$T/out"
    grep -q 'Operation not permitted' "$T/out"
    nothing_left c1
}

@test "hooks of all six kinds see the state, in order; a failing one undoes everything" {
    cat >"$T/hook" <<'SH'
#!/bin/sh
printf '%s %s\n' "$1" "$(cat | sed 's/.*"status":"\([a-z]*\)".*/\1/')" >>"$2"
SH
    chmod +x "$T/hook"
    mkdir -p rootfs/hooklog
    cp "$T/hook" rootfs/bin/hook
    config --arg h "$T/hook" --arg l "$T/hooks.log" '.hooks = ({prestart: 1, createRuntime: 1, createContainer: 1, poststart: 1, poststop: 1} |
        with_entries(.value = [{path: $h, args: ["hook", .key, $l], env: ["PATH=/bin:/usr/bin"]}])) |
        .hooks.startContainer = [{path: "/bin/hook", args: ["hook", "startContainer", "/hooklog/l"], env: ["PATH=/bin"]}] | .root.readonly = false'
    sed -i 's#"/bin/sh"#"/bin/sh"#' config.json
    args true
    rt create c1
    rt start c1
    wait_until is_status c1 stopped
    rt delete c1
    [ "$(cat "$T/hooks.log")" = $'prestart creating\ncreateRuntime creating\ncreateContainer creating\npoststart running\npoststop stopped' ] || fail "$(cat "$T/hooks.log")"
    [ "$(cat rootfs/hooklog/l)" = 'startContainer created' ]
    local kind
    for kind in prestart createRuntime createContainer; do
        config --arg k "$kind" '.hooks = {($k): [{path: "/bin/sh", args: ["sh", "-c", "echo why >&2; exit 3"]}]}'
        run -1 rt create c1
        [[ $output == *"error running $kind hook #0: exit status 3, stdout: , stderr: why"* ]] || fail "$output"
        nothing_left c1
    done
    config '.hooks = {prestart: [{path: "/bin/sleep", args: ["sleep", "100"], timeout: 1}]}'
    run -1 rt create c1
    [[ $output == *"hook ran past specified timeout of 1.0s"* ]]
    nothing_left c1
}

@test "exec: user, cwd, environment, capabilities, process file, detached" {
    args sleep 1000
    rt create c1 && rt start c1
    run -0 rt exec --user 1000:1000 --cwd /tmp -e X=y -g 7 c1 sh -c 'id -u; id -G; pwd; echo $X; echo $HOME'
    expect_output $'1000\n1000 7\n/tmp\ny\n/home/u'
    run -0 rt exec --cap CAP_SYS_CHROOT c1 grep CapEff /proc/self/status
    [ $((0x${output##*[[:space:]]} & 1 << 18)) != 0 ]
    jq '.process | .args = ["sh", "-c", "echo from file; cat /proc/self/cgroup | head -1"]' config.json >"$T/p.json"
    run -0 rt exec --process "$T/p.json" c1
    # on v2 a container has a cgroup namespace
    [[ $output == *"from file"* && ($output == *"$(test_cgroup)/b"* || $output == *$'\n0::/') ]]
    rt exec -d --pid-file "$T/epid" c1 sleep 500
    grep -q sleep "/proc/$(cat "$T/epid")/comm"
    run -255 rt exec c1 nope
    [[ $output == *'exec failed: unable to start container process: exec: "nope": executable file not found in $PATH'* ]]
    rt kill --all c1 KILL
    wait_until is_status c1 stopped
}

# --- what a container may not do -----------------------------------------------------------------------------------------

@test "no descriptor leaks; --preserve-fds passes what was asked" {
    sh_c 'exec /bin/ls /proc/self/fd'
    rt run c1 7</etc/passwd 9</etc >"$T/out" 3>&- 4>&-
    [ "$(tr '\n' ' ' <"$T/out")" = '0 1 2 3 ' ] # 3 is ls reading the directory
    args cat /proc/self/fd/3
    run -0 rt run --preserve-fds 1 c1 3</etc/hostname
    expect_output "$(cat /etc/hostname)"
    # while it waits for start nothing but its fifo is open
    args sleep 1000
    rt create c1 3>&- 4>&-
    local pid
    pid=$(rt state c1 | jq .pid)
    [ "$(ls "/proc/$pid/fd" | wc -l)" = 4 ] || fail "$(ls -l "/proc/$pid/fd")"
    rt start c1
    rt exec c1 ls /proc/self/fd 8</etc >"$T/out" 3>&- 4>&-
    [ "$(tr '\n' ' ' <"$T/out")" = '0 1 2 3 ' ]
}

# --- failures -----------------------------------------------------------------------------------------------------------

@test "each failing system call of a start leaves nothing behind" {
    need_tool strace
    export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # cannot be done below strace
    args true
    rt run c0
    local call n found
    for call in clone3 mkdir mkdirat mknodat mount move_mount fsopen fsmount open_tree openat2 pivot_root umount2 sethostname \
        setsid capset setresuid setresgid setgroups execve socketpair sendmsg prlimit64 symlinkat fchdir chdir renameat; do
        for n in 1 2 3 4; do
            # the first execve is strace's own start of the program, the second its seal
            HULL_TEST_ID=$T strace -f -o "$T/trace" -e "inject=$call:error=EIO:when=$n" -e "trace=$call" \
                "$T/bin/hull-runc" --root "$T/s" run "f$n" >"$T/out" 2>&1 3>&- 4>&- || true
            if [ -e "$T/s/f$n" ]; then fail "$call $n left its state: $(cat "$T/out")"; fi
            found=$(find /sys/fs/cgroup -mindepth 2 -type d -path "*/$(test_cgroup)/*" 2>/dev/null || true)
            [ -z "$found" ] || fail "$call $n left cgroups: $found $(cat "$T/out")"
        done
    done
    [ -z "$(leaked_mounts)" ] || fail "$(leaked_mounts)"
    [ -z "$(leaked_processes)" ] || fail "$(leaked_processes)"
}

@test "roots and propagation: no pivot, no mount namespace, no /proc, shared" {
    args ls /bin/true
    run -0 rt run --no-pivot c1
    local kind
    for kind in shared rshared private rprivate slave rslave unbindable; do
        config --arg k "$kind" '.linux.rootfsPropagation = $k'
        run rt run c1
        [ "$output" = /bin/true ] || fail "$kind: $output"
        [ -z "$(leaked_mounts)" ] || fail "$kind: $(leaked_mounts)"
    done
    config '.linux.rootfsPropagation = "private"'
    run -1 rt run --no-pivot c1
    [[ $output == *"rootfsPropagation of [r]private is not safe without pivot_root"* ]]
    config '.linux.rootfsPropagation = "" | .linux.maskedPaths = [] | .linux.readonlyPaths = [] | .mounts |= map(select(.destination != "/proc"))'
    run -0 rt run c1
    expect_output /bin/true
    config '.linux.namespaces |= map(select(.type != "mount")) | .mounts = [] | .root.readonly = false'
    run -0 rt run c1
    expect_output /bin/true
    nothing_left c1
    [ -z "$(leaked_mounts)" ]
}

@test "new directories do not depend on the caller's umask" {
    config '.root.readonly = false | .process.cwd = "/made/by/us"'
    args true
    (umask 077 && rt run c1)
    [ "$(stat -c %a rootfs/made/by)" = 755 ]
}

@test "features and version are what dockerd reads" {
    run -0 rt features
    jq -e '.mountOptions | index("rro")' <<<"$output"
    jq -e '.linux.cgroup.v1 and .linux.seccomp.enabled' <<<"$output"
    run -0 rt --version
    [[ ${lines[0]} == "runc version "* && ${lines[1]} == "commit: "* && ${lines[2]} == "spec: "* ]]
    run -1 rt spec
    [[ $output == *"File config.json exists. Remove it first"* ]]
}
