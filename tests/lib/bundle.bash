# shellcheck shell=bash
# Bundles for hull-runc: a busybox root and a config.json each, a cgroup of the test's own above them.
# A file that uses it loads originals.bash, too (its busybox).

# The messages go to a log, so that stderr holds them as they are, without the quoting of logfmt.
rt() { "$T/bin/hull-runc" --root "$T/s" --log "$T/rt.log" "$@"; }

# bundle_new NAME: a bundle with a busybox root; `spec` makes its config.json.
bundle_new() {
    local dir=$T/$1 bin=$BATS_FILE_TMPDIR/bin
    if [ ! -d "$bin" ]; then # once a file: hundreds of links, and starting programs is slow in the VM
        mkdir "$bin"
        cp "$(busybox_file)" "$bin/busybox"
        (cd "$bin" && ./busybox --list | grep -vx busybox | ./busybox xargs -n 1 ./busybox ln -s busybox)
    fi
    mkdir -p "$dir/rootfs/etc" "$dir/rootfs/tmp" "$dir/rootfs/home/u"
    cp -a "$bin" "$dir/rootfs/bin"
    chmod 1777 "$dir/rootfs/tmp"
    printf 'root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000:u:/home/u:/bin/sh\n' >"$dir/rootfs/etc/passwd"
    "$T/bin/hull-runc" spec --bundle "$dir"
    cd "$dir" || return 1
    config ".process.terminal = false | .linux.cgroupsPath = \"/$(test_cgroup)/$1\""
}

# config JQ...: edit config.json of the current bundle.
config() {
    jq "$@" <config.json >config.new && [ -s config.new ] && mv config.new config.json
}
args() { # WORD...: the program of the current bundle
    config '.process.args = $ARGS.positional' --args -- "$@"
}
sh_c() { args sh -c "$1"; }
status() { rt state "$1" | jq -r .status; }
is_status() { [ "$(status "$1")" = "$2" ]; }
nothing_left() { # ID: no state, no cgroup
    [ ! -e "$T/s/$1" ] || fail "state of $1 is left"
    [ -z "$(find /sys/fs/cgroup -type d -path "*/$(test_cgroup)/*" 2>/dev/null)" ] || fail "a cgroup is left"
}
own_cgroup() { printf '/sys/fs/cgroup/%s/%s/b/%s' "$1" "$(test_cgroup)" "$2"; }

# bundle_begin TOOL...: the setup of such a test: what it needs besides jq, and the bundle b.
bundle_begin() {
    need_root
    need hull-runc
    need_tool jq "$@"
    test_begin
    bundle_new b
}
# bundle_end: its teardown.
bundle_end() {
    bundle_containers_end
    test_end
    bundle_cgroups_end
}
# bundle_containers_end: no container stays; before test_end.
bundle_containers_end() {
    local id
    for id in $(rt list -q 2>/dev/null); do rt delete --force "$id" || true; done
}
# bundle_cgroups_end: nor the cgroup above them; after test_end, which looks for what is left in it.
bundle_cgroups_end() {
    rmdir "/sys/fs/cgroup/"*"/$(test_cgroup)" 2>/dev/null || true
}

# need_static: skip where hull-runc is not the one small file that it is when installed (a build with sanitizers).
need_static() {
    ! readelf -l "$T/bin/hull-runc" | grep -q INTERP || skip "hull-runc is built with sanitizers"
}
