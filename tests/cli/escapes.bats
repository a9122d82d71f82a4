#!/usr/bin/env bats
# Each known way out of a container, tried against hull-runc: the number of the test's name is the CVE's. What the shim does
# when it makes containers itself is tried in shim.bats.

load ../lib/common
load ../lib/originals
load ../lib/bundle

setup() {
    bundle_begin
    mkdir "$T/outside"
    config '.root.readonly = false'
}
teardown() {
    bundle_end
}

# The mounts of the image's own /dev go, so that what the image has there counts.
image_dev() { config '.mounts |= map(select(.destination | startswith("/dev") | not))'; }

outside_is_empty() { [ -z "$(ls -A "$T/outside")" ] || fail "outside: $(ls -lR "$T/outside")"; }

# with_caps CAP...: the process gets these, too.
with_caps() {
    config '.process.capabilities |= with_entries(if .key == "ambient" or .key == "inheritable" then . else .value += $ARGS.positional end)' --args "$@"
}

# swapping DIR TARGET: from now on DIR is by turns a directory and a link to TARGET, as fast as possible.
swapping() {
    cat >"$T/swap.py" <<'PY'
import os, sys
a, out = sys.argv[1], sys.argv[2]
os.makedirs(a, exist_ok=True)
while True:
    try:
        os.rename(a, a + ".d"); os.symlink(out, a)
        os.unlink(a); os.rename(a + ".d", a)
    except OSError:
        pass
PY
    background swap python3 "$T/swap.py" "$1" "$2"
}

attacker() { # the program that overwrites runtimes, as bin/overwrite of the image
    need_tool cc
    cc -static -O1 -o rootfs/bin/overwrite "$top/tests/fixtures/overwrite.c"
}

# --- the runtime's own processes ---------------------------------------------------------------------------------------

@test "2016-9962: nothing of a process that enters can be seen from inside" {
    with_caps CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_KILL
    cat >rootfs/bin/spy <<'SH'
#!/bin/sh
# whatever another process of ours has open that is not the container's
echo looking
while :; do
    for p in /proc/[0-9]*; do
        [ "$p" != "/proc/$$" ] || continue
        for f in "$p/exe" "$p/cwd" "$p/root" "$p"/fd/*; do
            l=$(readlink "$f" 2>/dev/null) || continue
            case $l in
            */hull-runc* | */s/c1* | *memfd:* | socket:* | anon_inode:*) echo "$f $l" ;;
            esac
        done
    done
done
SH
    chmod +x rootfs/bin/spy
    args spy
    rt run -d c1 >"$T/spied" 2>&1 </dev/null 3>&- 4>&-
    wait_until grep -q looking "$T/spied"
    local i
    for i in $(seq 20); do rt exec c1 true </dev/null >/dev/null 2>&1 3>&- 4>&-; done
    [ "$(cat "$T/spied")" = looking ] || fail "$(cat "$T/spied")"
}

@test "2019-5736: our program cannot be overwritten through /proc/self/exe" {
    local before
    before=$(sha256sum <"$T/bin/hull-runc")
    config '.root.readonly = false | .process.capabilities.bounding += ["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"] | .process.capabilities.permitted = .process.capabilities.bounding |
        .process.capabilities.effective = .process.capabilities.bounding'
    args /proc/self/exe --version
    run rt run c1
    # from outside: while it waits, its executable is on a read-only mount
    args sleep 1000
    rt create c1
    local pid
    pid=$(rt state c1 | jq .pid)
    run ! sh -c "echo evil >>/proc/$pid/exe"
    run ! sh -c "cp /bin/true /proc/$pid/exe"
    # from inside, by a second process of the container
    run rt exec c1 sh -c 'echo evil >>/proc/1/exe; cp /bin/busybox /proc/1/exe'
    [ "$status" != 0 ]
    printf '#!/proc/self/exe\n' >rootfs/bin/evil
    chmod +x rootfs/bin/evil
    rt delete --force c1
    args /bin/evil
    run rt run c1
    [ "$before" = "$(sha256sum <"$T/bin/hull-runc")" ]
}

@test "2019-5736: nor by one that waits for an exec, with every capability" {
    local before
    need_static
    attacker
    before=$(sha256sum <"$T/bin/hull-runc")
    mkfifo rootfs/tmp/log
    config --argjson all "$(rt features | jq .linux.capabilities)" '.process.capabilities |= with_entries(if .key == "ambient" or .key == "inheritable" then . else .value = $all end)'
    args overwrite 100
    rt run -d c1 >"$T/found" 2>&1 </dev/null 3>&- 4>&-
    wait_until grep -q looking "$T/found"
    # our program, executed inside, stays there while nobody reads its log
    rt exec -d c1 /proc/self/exe --log /tmp/log list </dev/null >/dev/null 2>&1 3>&- 4>&-
    wait_until grep -q found "$T/found"
    rt exec c1 cat /tmp/log </dev/null >/dev/null 3>&- 4>&-
    wait_until grep -qE 'WROTE|in vain' "$T/found"
    if grep -q WROTE "$T/found"; then fail "it was written to"; fi
    [ "$before" = "$(sha256sum <"$T/bin/hull-runc")" ]
}

@test "2024-21626: a working directory from a descriptor is refused, for run and exec, also through a link of the image" {
    local n
    args true
    ln -s /proc/self/fd/7 rootfs/way
    for n in /proc/self/fd/{3,4,5,6,7,8,9,10,11,12} /proc/1/fd/7 /way /way/../..; do
        config --arg c "$n" '.process.cwd = $c'
        run rt run c1 7</ 8</sys/fs/cgroup
        [ "$status" = 1 ] || fail "$n: $status $output"
    done
    nothing_left c1
    # what is passed on purpose does not become a way out either
    config '.process.cwd = "/proc/self/fd/3"'
    run -1 rt run --preserve-fds 1 c1 3</
    nothing_left c1
    config '.process.cwd = "/"'
    args sleep 1000
    rt run -d c1 >/dev/null 2>&1 </dev/null 3>&- 4>&-
    for n in /proc/self/fd/{3,4,5,6,7,8,9,10,11,12} /way /way/../..; do
        run rt exec --cwd "$n" c1 ls / 7</ 8</sys/fs/cgroup
        [ "$status" = 255 ] || fail "exec $n: $status $output"
    done
    run -255 rt exec --preserve-fds 1 --cwd /proc/self/fd/3 c1 ls 3</
    [[ $output == *"current working directory is outside of container mount namespace root"* ]] || fail "$output"
}

@test "2022-24769, 2022-29162, 2022-27650: no inheritable capabilities by default, nor by exec --cap" {
    rt spec --bundle "$T/outside"
    jq -e '.process.capabilities.inheritable | length == 0' "$T/outside/config.json"
    args sleep 1000
    rt run -d c1 >/dev/null 2>&1 </dev/null 3>&- 4>&-
    run -0 rt exec --cap CAP_NET_ADMIN c1 grep CapInh /proc/self/status
    expect_match 'CapInh:.0000000000000000'
    run -0 rt exec --cap CAP_NET_ADMIN -u 1000:1000 c1 grep -E 'CapInh|CapAmb' /proc/self/status
    expect_match 'CapInh:.0000000000000000.*CapAmb:.0000000000000000'
}

@test "crun 2026-30892: a user that is no user never means root" {
    local user
    args sleep 1000
    rt run -d c1 >/dev/null 2>&1 </dev/null 3>&- 4>&-
    for user in junk -1 '' ' ' :5 1000: 1000:junk 0x3e8 +1000 ' 1000' 1000x 4294967296 18446744073709552616 4294967295 0:4294967295 1:2:3; do
        run rt exec -u "$user" c1 id -u
        [ "$status" = 255 ] || fail "'$user': $status $output"
    done
    config '.process.user.uid = 4294967295'
    args id
    rt delete --force c1
    run -1 rt run c1
    [[ $output == *"cannot setuid to unmapped uid 4294967295 in user namespace"* ]] || fail "$output"
    config '.process.user = {"uid": 0, "gid": 4294967295}'
    run -1 rt run c1
    [[ $output == *"cannot setgid to unmapped gid 4294967295 in user namespace"* ]] || fail "$output"
    nothing_left c1
}

# --- mounts --------------------------------------------------------------------------------------------------------------

@test "links in the image do not lead mounts outside" {
    mkdir "$T/src"
    echo in >"$T/src/f"
    ln -s "$T/outside" rootfs/link
    ln -s ../../../../../../../../../../.."$T/outside" rootfs/dots
    config --arg s "$T/src" '.mounts += [{"destination": "/link/x", "source": $s, "options": ["bind"]}, {"destination": "/dots/y", "source": $s, "options": ["bind"]}]
        | .root.readonly = false'
    sh_c "cat $T/outside/x/f; cat /dots/y/f"
    run -0 rt run c1
    expect_output $'in\nin'
    outside_is_empty
}

@test "2019-16884, 2019-19921, 2023-27561, 2023-28642: proc and sys want a real directory; nothing else goes over /proc" {
    ln -s /tmp rootfs/proc2
    rm -rf rootfs/proc
    ln -s tmp rootfs/proc
    args true
    run -1 rt run c1
    [[ $output == *'filesystem "proc" must be mounted on ordinary directory'* ]]
    rm rootfs/proc
    config '.mounts += [{"destination": "/proc", "type": "tmpfs", "source": "tmpfs"}]'
    run -1 rt run c1
    [[ $output == *"cannot be mounted because it is not of type proc"* ]]
    config '.mounts[-1].destination = "/proc/self"'
    run -1 rt run c1
    [[ $output == *"cannot be mounted because it is inside /proc"* ]] || fail "$output"
    config --arg s "$T" '.mounts[-1] = {"destination": "/", "source": $s, "options": ["bind"]}'
    run -1 rt run c1
    [[ $output == *"top of rootfs"* ]]
    nothing_left c1
    # nor by a detour through the image, nor below it
    rm -rf rootfs/proc
    ln -s /proc/self/attr rootfs/attr
    ln -s /proc/sys rootfs/sysctl
    mkdir -p "$T/src"
    local place
    for place in /attr /sysctl /proc/self/attr /proc/sys /proc/thread-self/attr; do
        config --arg s "$T/src" --arg p "$place" '.mounts[-1] = {"destination": $p, "source": $s, "options": ["bind"]}'
        run rt run c1
        [ "$status" = 1 ] || fail "$place: $output"
        [[ $output == *"cannot be mounted because it is inside /proc"* || $output == *"too many levels of symbolic links"* ||
            $output == *"operation not permitted"* ]] || fail "$place: $output"
    done
    rm -rf rootfs/sys
    ln -s tmp rootfs/sys
    config 'del(.mounts[-1])'
    run -1 rt run c1
    [[ $output == *'filesystem "sysfs" must be mounted on ordinary directory'* ]] || fail "$output"
    nothing_left c1
}

@test "2021-30465, 2024-45310: a mount point that is swapped for a link all the time never leads outside" {
    mkdir -p "$T/src" "$T/volume"
    echo f >"$T/file"
    # as an image does it, and as another container on the same volume does it
    swapping "$T/volume/t" "$T/outside"
    config --arg s "$T/src" --arg v "$T/volume" --arg f "$T/file" '.mounts += [{"destination": "/v", "source": $v, "options": ["bind"]},
        {"destination": "/v/t/dir/deep", "source": $s, "options": ["bind"]}, {"destination": "/v/t/file", "source": $f, "options": ["bind"]},
        {"destination": "/v/t/tmp", "type": "tmpfs", "source": "tmpfs"}]'
    args true
    local i
    for i in $(seq 20); do rt run "c$i" >/dev/null 2>&1 </dev/null || true; done
    finish swap
    outside_is_empty
    [ -z "$(leaked_mounts)" ] || fail "$(leaked_mounts)"
}

@test "2021-30465: nor does a root that is swapped below the runtime" {
    mkdir -p "$T/src"
    swapping "$PWD/rootfs/t" "$T/outside"
    config --arg s "$T/src" '.mounts += [{"destination": "/t/in", "source": $s, "options": ["bind"]}] | .root.readonly = false'
    args true
    local i
    for i in $(seq 15); do rt run "c$i" >/dev/null 2>&1 || true; done
    finish swap
    outside_is_empty
}

@test "a file that is swapped for a device while it is copied up is never read as one" {
    mkdir -p rootfs/copied
    echo text >rootfs/file
    mknod rootfs/device c 1 5 # /dev/zero has no end
    cat >"$T/exchange.py" <<'PY'
import os, sys
root = sys.argv[1]
while True:
    for name in "file", "device":
        try:
            os.link(root + "/" + name, root + "/tmp/new")
            os.rename(root + "/tmp/new", root + "/copied/f")
        except OSError:
            pass
PY
    background swap python3 "$T/exchange.py" "$PWD/rootfs"
    wait_until test -e rootfs/copied/f
    config '.mounts += [{"destination": "/copied", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "size=64k"]}]'
    args true
    local i
    for i in $(seq 40); do
        run rt run c1 </dev/null
        [[ $output != *"no space left"* ]] || fail "the device was read: $output"
    done
    finish swap
}

@test "2023-25809: without a cgroup namespace a user namespace sees a read-only part of the cgroups" {
    config --arg h "/sys/fs/cgroup" '.linux.namespaces |= map(select(.type != "cgroup")) + [{"type": "user"}] |
        .linux.uidMappings = [{"containerID": 0, "hostID": 0, "size": 65536}] | .linux.gidMappings = .linux.uidMappings |
        .mounts |= map(select(.destination | startswith("/sys") | not)) |
        .mounts += [{"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro", "nosuid", "noexec", "nodev"]},
                    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}]'
    sh_c 'for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir "$d/mine" 2>/dev/null && echo "made $d/mine"; (echo 0 >"$d/cgroup.procs") 2>/dev/null && echo "wrote $d"; done; echo tried'
    run -0 rt run c1
    expect_output tried
}

@test "the classic: a container cannot have the host start a program through a cgroup's release_agent" {
    [ -e /sys/fs/cgroup/memory/release_agent ] || skip "no cgroup v1"
    local before
    before=$(cat /sys/fs/cgroup/memory/release_agent)
    with_caps CAP_DAC_OVERRIDE CAP_SYS_CHROOT CAP_MKNOD
    sh_c 'for f in $(find /sys/fs/cgroup -name release_agent -o -name notify_on_release); do (echo /x >"$f") 2>/dev/null && echo "wrote $f"; done; mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo remounted; echo tried'
    run -0 rt run c1
    expect_output tried
    [ "$(cat /sys/fs/cgroup/memory/release_agent)" = "$before" ]
}

@test "2021-43784: what is longer than a field of 64 KiB is kept whole or refused" {
    local long
    long=$(printf '%070000d' 1)
    config --arg l "$long" '.annotations.long = $l | .process.env += ["LONG=" + $l]'
    sh_c 'echo ${#LONG}'
    run -0 rt run c1
    expect_output 70000
    config --arg l "$long" '.hostname = $l'
    run -1 rt run c1
    nothing_left c1
    config '.hostname = "h" | .linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [range(5000) | {"containerID": ., "hostID": (. + 100000), "size": 1}] |
        .linux.gidMappings = .linux.uidMappings | .annotations = {} | .process.env = []'
    run -1 rt run c1
    [[ $output == *uid_map* ]] || fail "$output"
    nothing_left c1
}

# --- /dev ----------------------------------------------------------------------------------------------------------------

@test "2025-31133: masked paths are not masked with what the image says is the null device" {
    image_dev
    local kind
    args cat /proc/kcore
    for kind in link dir file fifo zero; do
        rm -rf rootfs/dev
        mkdir rootfs/dev
        case $kind in
        link) ln -s /proc/sys/kernel/core_pattern rootfs/dev/null ;;
        dir) mkdir rootfs/dev/null ;;
        file) echo text >rootfs/dev/null ;;
        fifo) mkfifo rootfs/dev/null ;;
        zero) mknod rootfs/dev/null c 1 5 ;;
        esac
        run timeout 20 "$T/bin/hull-runc" --root "$T/s" run c1 </dev/null
        [ "$status" = 1 ] || fail "$kind: $status $output"
        [[ $output == *"/dev/null of the container is not the null device"* || $output == *"too many levels of symbolic links"* ]] || fail "$kind: $output"
    done
    nothing_left c1
}

@test "2025-52565: the console is the terminal that we made, whatever the image has at its place" {
    cat >"$T/recv.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(8)
open(sys.argv[1] + ".ready", "w").close()
held = []
while True:
    c, _ = s.accept()
    held.append(c)
PY
    background recv python3 "$T/recv.py" "$T/con.sock"
    wait_until test -e "$T/con.sock.ready"
    image_dev
    config '.process.terminal = true'
    args true
    echo host >"$T/outside/f"
    local kind
    for kind in ptmx-file ptmx-null ptmx-link console-link console-dir; do
        rm -rf rootfs/dev
        mkdir -p rootfs/dev/pts
        config '.mounts |= map(select(.destination != "/dev/pts"))'
        case $kind in
        ptmx-file) echo x >rootfs/dev/pts/ptmx ;;
        ptmx-null) mknod rootfs/dev/pts/ptmx c 1 3 ;;
        ptmx-link) ln -s /proc/self/fd/0 rootfs/dev/pts/ptmx ;;
        console-*)
            config '.mounts += [{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]}]'
            [ $kind = console-dir ] || ln -s "$T/outside/f" rootfs/dev/console
            [ $kind = console-link ] || mkdir rootfs/dev/console
            ;;
        esac
        run timeout 20 "$T/bin/hull-runc" --root "$T/s" create --console-socket "$T/con.sock" c1
        [ "$status" = 1 ] || fail "$kind: $status $output"
        nothing_left c1
    done
    finish recv
    [ "$(cat "$T/outside/f")" = host ]
}

@test "a container in the host's mount namespace leaves no console behind there" {
    cat >"$T/recv.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
open(sys.argv[1] + ".ready", "w").close()
c, _ = s.accept()
print(c.recvmsg(4096, 1024)[0].decode(), flush=True)
PY
    background recv python3 "$T/recv.py" "$T/con.sock"
    wait_until test -e "$T/con.sock.ready"
    mkdir -p rootfs/dev/pts
    mount -t devpts -o newinstance,ptmxmode=0666 devpts rootfs/dev/pts
    config '.process.terminal = true | .mounts = [] | .linux.maskedPaths = [] | .linux.readonlyPaths = [] | .linux.namespaces |= map(select(.type != "mount"))'
    args sleep 1000
    run rt create --console-socket "$T/con.sock" c1
    local mounted
    mounted=$(leaked_mounts)
    rt delete --force c1
    umount rootfs/dev/pts
    [ "$status" = 0 ] || fail "$output"
    [ "$mounted" = "$PWD/rootfs/dev/pts" ] || { umount -l rootfs/dev/console; fail "$mounted"; }
}

@test "2026-41579, crun 2026-47766: a /dev that is a link makes nothing on the host" {
    image_dev
    config --arg s "$T/b/config.json" '.linux.devices = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]'
    args ls /dev/
    local to
    for to in "$T/outside" "../../../../../../..$T/outside" "/proc/self/root/../..$T/outside" /proc/self/cwd /proc/self/fd/7; do
        rm -rf rootfs/dev
        ln -s "$to" rootfs/dev
        run rt run c1 7<"$T/outside"
        outside_is_empty
        rm -rf "rootfs${T:?}"
    done
    [ -z "$(leaked_mounts)" ]
    nothing_left c1
}

# --- /proc/sys -----------------------------------------------------------------------------------------------------------

@test "2025-52881: no sysctl reaches the host's own, by no spelling and no mount" {
    local before name
    before=$(cat /proc/sys/kernel/acct)
    args true
    for name in net.ipv4.//.//.kernel.acct net/ipv4/../../kernel/acct net.ipv4.././../kernel.acct net/../kernel/acct net//../kernel/acct kernel.acct \
        fs.mqueue.//.//.kernel.acct user.//.kernel.acct net/ipv4/./ip_forward; do
        config --arg n "$name" '.linux.sysctl = {($n): "9 2 30"}'
        run rt run c1
        [ "$status" = 1 ] || fail "$name: $status $output"
        [ "$(cat /proc/sys/kernel/acct)" = "$before" ] || { echo "$before" >/proc/sys/kernel/acct; fail "$name changed the host"; }
    done
    # a volume that another container turns into links all the time, and a label, go the host's own way to procfs
    config '.linux.sysctl = {"net/ipv4/conf/lo/forwarding": "1", "net.ipv4.ip_unprivileged_port_start": "77"}'
    args cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/conf/lo/forwarding
    run -0 rt run c1
    expect_output $'77\n1'
    nothing_left c1
}
