#!/usr/bin/env bats
# Checkpoint and restore: what hull-runc tells criu and does around it, with a criu of our own making (criu itself can't
# dump on every kernel; runc's suite runs with it in the VM).

load ../lib/common
load ../lib/originals
load ../lib/bundle
load ../lib/criu

setup() {
    bundle_begin
    mkdir "$T/path"
    criu_begin
    fake_criu "$T/path"
    PATH=$T/path:$PATH
    args sleep 1000
}
teardown() {
    bundle_end
}

# asked TYPE JQ: of the last request of that type
asked() { jq -cs "map(select(.type == \"$1\")) | last | .opts | $2" "$T/fake/log"; }
nothing_mounted() { ! grep -F " $T/" /proc/self/mountinfo || fail "mounts are left"; }
start() { rt run -d c1 </dev/null >/dev/null 2>&1; }

@test "without criu both say so, and change nothing" {
    # shellcheck disable=SC2016
    local words='CRIU version check failed: exec: "criu": executable file not found in $PATH'
    start
    run -1 env PATH=/nowhere "$T/bin/hull-runc" --root "$T/s" --log /dev/null checkpoint c1
    expect_output "$words"
    mkdir images
    run -1 env PATH=/nowhere "$T/bin/hull-runc" --root "$T/s" --log /dev/null restore --image-path images c2
    expect_output "$words"
    is_status c1 running
    [ ! -e checkpoint ]
    [ ! -e "$T/s/c2" ]
}

@test "what cannot be done is refused in runc's words" {
    local words flags
    start
    mkdir images
    touch images/file
    while IFS='|' read -r words flags; do
        # shellcheck disable=SC2086
        run -1 rt checkpoint $flags
        expect_output "$words"
    done <<'END'
container does not exist|c9
--parent-path must be relative|--image-path images --parent-path /x c1
invalid --parent-path: stat images/none: no such file or directory|--image-path images --parent-path none c1
invalid --parent-path: images/file: not a directory|--image-path images --parent-path file c1
Use --page-server ADDRESS:PORT to specify page server|--page-server 127.0.0.1 c1
Use --page-server ADDRESS:PORT to specify page server|--page-server ::1:80 c1
Invalid port number|--page-server 127.0.0.1:http c1
namespace "mount" is not supported|--empty-ns mount c1
invalid manage-cgroups-mode value|--manage-cgroups-mode hard c1
invalid --status-fd argument 77: bad file descriptor|--lazy-pages --status-fd 77 c1
criu is missing features: [LazyPages]|--lazy-pages c1
END
    is_status c1 running
    run -1 rt restore --image-path nowhere c2
    expect_output 'open nowhere: no such file or directory'
    run -1 rt restore --image-path images c2
    [[ $output == *"descriptors.json"*"no such file or directory" ]] || fail "$output"
    echo 3.14.2 >"$T/fake/version"
    run -1 rt checkpoint c1
    expect_output 'CRIU version 31402 must be 31500 or higher'
    [ ! -e "$T/s/c2" ]
    rt delete -f c1
    rt create c1 </dev/null >/dev/null 2>&1
    run -1 rt checkpoint c1
    expect_output 'Container cannot be checkpointed in created state'
}

@test "a dump tells what is not the container's own, and its container is deleted" {
    mkdir -p rootfs/real "$T/data/for"
    ln -s /real rootfs/link
    config --arg data "$T/data" '.mounts += [{source: $data, destination: "/link/data", options: ["rbind"]},
        {source: "data2", destination: "/data2", options: ["bind", "ro"]}] | .annotations = {"org.criu.config": "/x/y.conf"} |
        .linux.namespaces |= map(if .type == "network" then .path = "/proc/self/ns/net" else . end) |
        .linux.maskedPaths = ["/proc/timer_list", "/proc/acpi", "/proc/nothing"]'
    mkdir data2
    start
    rt checkpoint --image-path images --work-path logs --file-locks --tcp-established --page-server '[::1]:99' c1
    nothing_left c1
    [ "$(cat images/descriptors.json)" = '["/dev/null","/dev/null","/dev/null"]' ]
    [ -d logs ]
    [ "$(asked DUMP '[.root, .log_file, .config_file, .cgroups_mode, .ps, .leave_running, .file_locks, .tcp_established, .shell_job]')" = \
        "[\"$PWD/rootfs\",\"dump.log\",\"/x/y.conf\",6,{\"::1\":99},0,1,1,0]" ] || fail "$(cat "$T/fake/log")"
    [ "$(asked DUMP '.external')" = "[\"net[$(stat -Lc %i /proc/self/ns/net)]:extRootNetNS\"]" ]
    asked DUMP '.ext_mnt' | jq -e '.["/real/data"] == "/real/data" and .["/data2"] == "/data2" and
        .["/proc/timer_list"] == "/dev/null" and .["/proc/nothing"] == null and .["/dev/tty"] == "/dev/tty"' || fail "$(asked DUMP '.ext_mnt')"
    [[ $(asked DUMP '.freeze_cgroup') == *"$(test_cgroup)/b\"" ]]
}

@test "--leave-running and --pre-dump leave it" {
    start
    rt checkpoint --pre-dump --image-path first c1
    is_status c1 running
    [ ! -e first/descriptors.json ]
    rt checkpoint --leave-running --image-path second --parent-path ../first --manage-cgroups-mode ignore c1
    is_status c1 running
    [ "$(asked DUMP '[.parent_img, .track_mem, .leave_running, .cgroups_mode]')" = '["../first",1,1,0]' ]
}

@test "a failure names criu's log and quotes its errors; the container runs on" {
    start
    echo DUMP >"$T/fake/refuse"
    run -1 "$T/bin/hull-runc" --root "$T/s" checkpoint --image-path images c1
    [[ $output == *'--- Quoting \"images/dump.log\"'*'msg="4:line 4"'*'msg="9:Error (criu/fake.c:1): refused"'* ]] || fail "$output"
    [[ $output != *'3:line 3'* && $output != *'10:last'* ]]
    [[ $output == *'criu failed: type DUMP errno 52: log file: images/dump.log"' ]] || fail "$output"
    is_status c1 running
}

@test "a restore: places, cgroup, hooks, pipes and the record are there; nothing of it stays on the host" {
    cat >"$T/hook" <<'END'
#!/bin/sh
echo "$1 $(jq -r .status) $(pwd)" >>"$2"
END
    chmod +x "$T/hook"
    mkdir -p volume
    config --arg hook "$T/hook" --arg out "$T/hooks" '.mounts += [{source: "./volume/.", destination: "/new/volume", options: ["bind"]},
        {source: "/etc/hostname", destination: "/new/volume/deep/file", options: ["bind"]}] |
        .hooks = {prestart: [{path: $hook, args: ["hook", "prestart", $out], env: ["PATH=" + env.PATH]}],
            createRuntime: [{path: $hook, args: ["hook", "createRuntime", $out], env: ["PATH=" + env.PATH]}],
            poststop: [{path: $hook, args: ["hook", "poststop", $out], env: ["PATH=" + env.PATH]}]} |
        .linux.namespaces |= map(if .type == "uts" then .path = "/proc/self/ns/uts"
            elif .type == "network" then .path = "/proc/self/ns/net" else . end)'
    mkdir images
    echo '["/dev/null","pipe:[12]","pipe:[13]"]' >images/descriptors.json
    rt restore -d --image-path images --pid-file "$T/init" --lsm-profile apparmor:x c1 </dev/null >"$T/out" 2>&1 || fail "$(cat "$T/out")"
    is_status c1 running
    [ "$(rt state c1 | jq .pid)" = "$(cat "$T/init")" ]
    wait_until grep -q restored "$T/out"
    nothing_mounted
    [ ! -e "$T/s/c1/criu-root" ]
    [ -f volume/deep/file ]
    jq -e '.mounted and .places["/new/volume"] == "dir" and .places["/new/volume/deep/file"] == null' "$T/fake/restored"
    [[ $(jq -r .cgroup "$T/fake/restored") == *"/$(test_cgroup)/b"* ]]
    [ "$(asked RESTORE '[.inherit_fd, .join_ns, .rst_sibling, .lsm_profile]')" = \
        '[{"pipe:[12]":1,"pipe:[13]":2,"extRootNetNS":4},{"uts":"/proc/self/ns/uts"},1,"apparmor:x"]' ] || fail "$(asked RESTORE .)"
    [ "$(asked RESTORE '[.ext_mnt["/new/volume"], .ext_mnt["/dev/null"]]')" = "[\"$PWD/volume\",\"/dev/null\"]" ]
    asked RESTORE '.cg_root' | grep -q "/$(test_cgroup)/b"
    [ "$(cat "$T/hooks")" = "prestart creating $PWD"$'\n'"createRuntime creating $PWD" ] || fail "$(cat "$T/hooks")"
    run -1 rt restore -d --image-path images c1
    expect_output 'container with given ID already exists'
    rt delete -f c1
    nothing_left c1
}

@test "a restore that fails leaves nothing" {
    mkdir images
    echo '[]' >images/descriptors.json
    echo RESTORE >"$T/fake/refuse"
    run -1 rt restore -d --image-path images --work-path logs c1
    expect_output 'criu failed: type RESTORE errno 52: log file: logs/restore.log'
    nothing_left c1
    rm "$T/fake/refuse"
    config '.hooks.prestart = [{path: "/bin/false"}]'
    run -1 rt restore -d --image-path images c1
    [[ $output == *"error running prestart hook #0: exit status 1"* ]] || fail "$output"
    nothing_left c1
    nothing_mounted
}

@test "a restored terminal goes to --console-socket" {
    mkdir images
    echo '[]' >images/descriptors.json
    touch "$T/fake/terminal"
    config '.process.terminal = true'
    run -1 rt restore -d --image-path images c1
    expect_output 'cannot allocate tty if runc will detach without setting console socket'
    cat >"$T/recv.py" <<'PY'
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
c, _ = s.accept()
msg, anc, _, _ = c.recvmsg(4096, 1024)
fds = array.array("i"); fds.frombytes(anc[0][2])
print(msg.decode(), os.isatty(fds[0]), flush=True)
PY
    background recv python3 "$T/recv.py" "$T/con.sock"
    wait_until test -S "$T/con.sock"
    rt restore -d --image-path images --console-socket "$T/con.sock" c1
    wait_until grep -qx 'orphan-pts-master True' "$T/log/recv"
    is_status c1 running
}

# goes_on: the program of the next test writes more than $was, and is the same process as before
goes_on() {
    wait_until eval '[ "$(cut -d" " -f2 rootfs/count)" -gt "$((${was#* } + 2))" ]'
    went_on "$was" "$(cat rootfs/count)"
}

@test "with criu itself a process goes on where it was, also between runc and hull-runc" {
    local was
    rm "$T/path/criu"
    need_tool runc
    need_criu
    sh_c "$(counting /count)"
    config '.root.readonly = false | .linux.seccomp = null'
    start
    wait_until test -s rootfs/count

    rt checkpoint --image-path one c1
    nothing_left c1
    was=$(cat rootfs/count)
    runc --root "$T/runc" restore -d --image-path one c1 </dev/null >"$T/out" 2>&1 || fail "$(cat "$T/out")"
    goes_on
    runc --root "$T/runc" checkpoint --image-path two c1
    was=$(cat rootfs/count)
    rt restore -d --image-path two c1 </dev/null >"$T/out" 2>&1 || fail "$(cat "$T/out" "$T/rt.log")"
    goes_on
    run -0 rt exec c1 cat /proc/1/comm
    expect_output sh
    rt pause c1
    rt checkpoint --image-path three --leave-running c1
    is_status c1 paused
    rt resume c1
    was=$(cat rootfs/count)
    goes_on

    # in the foreground: it ends as its process ends
    rt checkpoint --image-path four c1
    background restored "$T/bin/hull-runc" --root "$T/s" restore --image-path four c1
    wait_until is_status c1 running
    was=$(cat rootfs/count)
    goes_on
    rt kill c1 KILL
    wait_until test ! -e "$T/s/c1"
    nothing_left c1
}
