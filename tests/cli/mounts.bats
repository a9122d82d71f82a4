#!/usr/bin/env bats
# hull-runc: what each kind of mount looks like from inside, and that nothing of it reaches the host.

load ../lib/common
load ../lib/originals
load ../lib/bundle

setup() {
    bundle_begin findmnt
}
teardown() {
    bundle_containers_end
    umount "$T/src/sub" 2>/dev/null || true
    umount -R "$T/src" 2>/dev/null || true
    bundle_end
}

# mount_of JSON: add an entry to mounts[].
mount_of() { config --argjson m "$1" '.mounts += [$m]'; }
# source_with OPTIONS: a tmpfs at $T/src whose mount (not its file system) has these attributes.
source_with() {
    mkdir -p "$T/src"
    mountpoint -q "$T/src" || mount -t tmpfs -o rw,strictatime source "$T/src"
    mount --bind -o "remount,$1" "$T/src"
}
# bound OPTIONS: the attributes that a bind of it with these options has in a container.
bound() {
    config --arg src "$T/src" --arg o "$1" '.mounts |= map(select(.destination != "/mnt")) + [{source: $src, destination: "/mnt", options: ($o | split(","))}]'
    args awk '$5 == "/mnt" { print $6 }' /proc/self/mountinfo
    rt run c1
}
with_userns() {
    chmod 755 "$T"
    chown -R 100000:100000 rootfs
    config '.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 100000, "size": 65536}] | .linux.gidMappings = .linux.uidMappings'
}

@test "a bind mount without options is as its source; with any it has just those" {
    source_with ro,noexec,nosymfollow,noatime
    [ "$(bound bind)" = ro,noexec,noatime,nosymfollow ]
    [ "$(bound bind,rprivate)" = ro,noexec,noatime,nosymfollow ]
    [ "$(bound bind,nosuid)" = rw,nosuid,noatime ]
    [ "$(bound bind,ro,relatime)" = ro,relatime ]
    [ "$(bound bind,nodiratime,strictatime)" = rw,nodiratime ]
}

@test "what a user namespace got locked stays, or is an error when it was denied" {
    with_userns
    source_with ro,nosuid,nosymfollow,noatime
    [ "$(bound bind,nodev)" = ro,nosuid,nodev,noatime ]
    run -1 bound bind,rw
    [[ $output == *'error mounting "'*'cannot clear locked flags: operation not permitted' ]] || fail "$output"
    run -1 bound bind,strictatime
    [[ $output == *'operation not permitted' ]]
}

@test "id-mapped mounts: with their own mapping, the container's, and through the whole tree" {
    mkdir -p "$T/src/sub" "$T/other"
    mount --bind "$T/other" "$T/src/sub"
    touch "$T/src/f" "$T/src/sub/f"
    chown 5:6 "$T/src/f" "$T/src/sub/f"
    local map='[{containerID: 0, hostID: 1000, size: 100}]'
    mount_of "$(jq -n --arg s "$T/src" "{source: \$s, destination: \"/idmap\", options: [\"rbind\", \"idmap\"], uidMappings: $map, gidMappings: $map}")"
    mount_of "$(jq -n --arg s "$T/src" "{source: \$s, destination: \"/ridmap\", options: [\"rbind\", \"ridmap\", \"ro\"], uidMappings: $map, gidMappings: $map}")"
    args stat -c %u:%g /idmap/f /idmap/sub/f /ridmap/f /ridmap/sub/f
    run -0 rt run c1
    expect_output $'1005:1006\n5:6\n1005:1006\n1005:1006'
    with_userns # and the layers: a rootfs that belongs to the host's root, through the container's own mapping
    config --arg s "$T/src" '.mounts |= map(select(.destination | endswith("idmap") | not)) + [{source: $s, destination: "/own", options: ["rbind", "idmap"]}]'
    sh_c 'stat -c %u:%g /own/f; touch /own/new; stat -c %u:%g /own/new'
    run -0 rt run c1
    expect_output $'5:6\n0:0'
    [ "$(stat -c %u:%g "$T/src/new")" = 0:0 ]
    config '.mounts[-1] |= (.options = ["idmap"] | .type = "tmpfs")'
    run -1 rt run c1
    [[ $output == *"id-mapped mounts are only supported for bind-mounts" ]]
    config '.mounts[-1] |= (.options = ["bind"] | .uidMappings = [{containerID: 0, hostID: 0, size: 1}])'
    run -1 rt run c1
    [[ $output == *"id-mapped mounts must have both uid and gid mappings specified" ]]
}

@test "a shared mount inside stays shared; unmounting the old root leaves the host's mounts" {
    mkdir -p "$T/src" "$T/host/sub"
    mount -t tmpfs keep "$T/host/sub" # below $T, which is shared
    mount_of "$(jq -n --arg s "$T/src" '{source: $s, destination: "/mnt", options: ["bind", "shared"]}')"
    args awk '$5 == "/mnt" { print $7 }' /proc/self/mountinfo
    local kind
    for kind in "" rshared rslave; do
        config --arg k "$kind" '.linux.rootfsPropagation = $k'
        run -0 rt run c1
        expect_match '^shared:'
        mountpoint -q "$T/host/sub" || fail "$kind: the host's mount is gone"
    done
    umount "$T/host/sub"
}

@test "links whose target is not there yet are followed, inside" {
    ln -s /jump/hosts rootfs/etc/hosts
    ln -s ../tmp/new rootfs/jump
    echo seen >"$T/hosts"
    mount_of "$(jq -n --arg s "$T/hosts" '{source: $s, destination: "/etc/hosts", options: ["bind"]}')"
    args cat /tmp/new/hosts
    run -0 rt run c1
    expect_output seen
    ln -s "$T/outside/f" rootfs/etc/out
    config '.mounts[-1].destination = "/etc/out"'
    args cat "$T/outside/f"
    run -0 rt run c1
    expect_output seen
    [ ! -e "$T/outside" ]
}

@test "a tmpfs has the mode of the directory it covers, of mode=, or its own" {
    mkdir rootfs/there
    chmod 710 rootfs/there
    mount_of '{"source": "tmpfs", "type": "tmpfs", "destination": "/there"}'
    mount_of '{"source": "tmpfs", "type": "tmpfs", "destination": "/not/there"}'
    mount_of '{"source": "tmpfs", "type": "tmpfs", "destination": "/home", "options": ["mode=1500"]}'
    args stat -c %a /there /not/there /home
    run -0 rt run c1
    expect_output $'710\n1777\n1500'
}

@test "remount changes what an earlier entry has mounted" {
    mount_of '{"source": "tmpfs", "type": "tmpfs", "destination": "/mnt", "options": ["size=64k"]}'
    mount_of '{"source": "tmpfs", "type": "tmpfs", "destination": "/mnt", "options": ["remount", "ro", "nosuid", "size=128k"]}'
    args awk '$2 == "/mnt" { print $4 }' /proc/self/mounts
    run -0 rt run c1
    expect_match '^ro,nosuid,relatime,size=128k'
}

@test "a path that is masked twice is masked once" {
    mkdir rootfs/dir
    touch rootfs/file
    ln -s dir rootfs/also
    config '.linux.maskedPaths += ["/dir", "/file", "/dir", "/file", "/also"]'
    args awk '$5 == "/dir" || $5 == "/file"' /proc/self/mountinfo
    run -0 rt run c1
    [ "${#lines[@]}" = 2 ] || fail "$output"
}

@test "without pivot_root no procfs of the host is left for a user namespace to copy" {
    mkdir "$T/proc"
    mount --make-private "$T" # a copy below it, on the host's shared root, would be out of everybody's reach
    mount -t proc proc "$T/proc"
    config '.process.capabilities.bounding += ["CAP_SETFCAP", "CAP_SYS_ADMIN"] | .process.capabilities.permitted = .process.capabilities.bounding | .process.capabilities.effective = .process.capabilities.bounding'
    sh_c 'unshare -mrpf mount -t proc none /proc && echo mounted'
    run rt run --no-pivot c1
    umount "$T/proc"
    [[ $output == *"permission denied"* && $output != *mounted* ]] || fail "$output"
}
