#!/usr/bin/env bats
# hull-runc: labels of security modules, and the session keyring.

load ../lib/common
load ../lib/originals
load ../lib/bundle

setup() {
    bundle_begin
}
teardown() {
    bundle_containers_end
    [ ! -e "$T/profile" ] || apparmor_parser -R "$T/profile" || true
    bundle_end
}

@test "labels where no security module knows them are errors, and nothing stays" {
    args true
    cp config.json plain.json
    if [ ! -e /sys/kernel/security/apparmor ]; then
        config '.process.apparmorProfile = "p"'
        run -1 rt run c1
        [[ $output == *"apparmor failed to apply profile"*"invalid argument" ]] || fail "$output"
    fi
    [ ! -e /sys/fs/selinux/enforce ] || skip "SELinux is here"
    cp plain.json config.json
    config '.process.selinuxLabel = "u:r:t:s0"'
    run -1 rt run c1
    [[ $output == *"selinux label is specified in config, but selinux is disabled or not supported" ]] || fail "$output"
    cp plain.json config.json
    config '.linux.mountLabel = "u:r:t:s0"'
    run -1 rt run c1
    [[ $output == *'error mounting "tmpfs" to rootfs at "/dev"'*context*'invalid argument' ]] || fail "$output"
    nothing_left c1
}

# bats test_tags=smoke
@test "a profile confines the program and what is executed later" {
    [ -e /sys/kernel/security/apparmor ] || skip "no AppArmor here"
    need_tool apparmor_parser
    cat >"$T/profile" <<-END
	profile $(test_cgroup) flags=(attach_disconnected,mediate_deleted) {
	  file,
	  signal,
	  deny /tmp/forbidden rw,
	}
	END
    apparmor_parser -r "$T/profile"
    config --arg p "$(test_cgroup)" '.process.apparmorProfile = $p | .root.readonly = false'
    sh_c 'cat /proc/self/attr/current; echo x >/tmp/allowed && echo wrote; echo x >/tmp/forbidden || echo denied; exec sleep 1000'
    rt create c1 >"$T/out" 2>&1
    rt start c1
    wait_until grep -q denied "$T/out"
    grep -qxF "$(test_cgroup) (enforce)" "$T/out"
    grep -qx wrote "$T/out"
    run -0 rt exec c1 cat /proc/self/attr/current
    expect_output "$(test_cgroup) (enforce)"
    run -0 rt exec --apparmor unconfined c1 cat /proc/self/attr/current
    expect_output unconfined
}

@test "a container has a session keyring, which its later processes find; not with --no-new-keyring" {
    grep -q . /proc/keys || skip "no keys here"
    keyrings() { grep -o '^[0-9a-f]*.*_ses\.[^:]*' | awk '{ print $1, $NF }'; }
    config '.linux.maskedPaths = [] | .process.user = {uid: 1000, gid: 1000}'
    args sleep 1000
    rt create c1
    rt start c1
    run -0 rt exec c1 cat /proc/keys
    local first
    first=$(keyrings <<<"$output" | grep -F '_ses.c1')
    [ "$(wc -l <<<"$first")" = 1 ]
    run -0 rt exec -u 0:0 c1 cat /proc/keys
    [ "$(keyrings <<<"$output" | grep -F '_ses.c1')" = "$first" ] || fail "$output"
    rt delete --force c1
    args cat /proc/keys
    run -0 rt run --no-new-keyring c2
    [[ $output != *_ses.c2* ]]
}
