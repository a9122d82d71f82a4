#!/usr/bin/env bats
# hull-runc --systemd-cgroup: containers as units of systemd, of the machine's and of an ordinary user's. In the VM.

load ../lib/common
load ../lib/originals
load ../lib/bundle

user=hulltest

setup() {
    [ -n "${HULL_IN_VM:-}" ] && [ -d /run/systemd/system ] || skip "makes units and a user of its own: tests/vm/run has a machine for that"
    bundle_begin setpriv unshare systemd-run
    chmod 755 "$T"
}
teardown() {
    bundle_end
}

sd() { rt --systemd-cgroup "$@"; }
unit() { printf 'hull-%s.scope' "${T##*.}"; }
of_unit() { systemctl show --value --property "$1" "$(unit)"; } # PROPERTY

@test "a container is a unit, and its limits are the unit's; an update changes both, also to idle and back; delete stops it" {
    config --arg n "${T##*.}" '.linux.cgroupsPath = "system.slice:hull:\($n)" |
        .linux.resources = {memory: {limit: 33554432}, cpu: {quota: 20000, period: 100000}, pids: {limit: 30}}'
    args sleep 1000
    sd run -d c1 >"$T/out" 2>&1
    local dir
    dir=/sys/fs/cgroup/system.slice/$(unit)
    [ "$(of_unit MemoryMax) $(of_unit CPUQuotaPerSecUSec) $(of_unit TasksMax)" = '33554432 200ms 30' ]
    [ "$(paste -d, "$dir"/{memory.max,cpu.max,pids.max})" = '33554432,20000 100000,30' ]
    sd update --cpu-idle 1 --memory 67108864 c1
    [ "$(of_unit CPUWeight) $(of_unit MemoryMax)" = 'idle 67108864' ] || fail "$(of_unit CPUWeight) $(of_unit MemoryMax)"
    [ "$(paste -d, "$dir"/{cpu.idle,memory.max})" = '1,67108864' ]
    sd update --cpu-idle 0 --cpu-share 8192 c1
    [ "$(cat "$dir/cpu.idle") $(cat "$dir/cpu.weight")" = "0 $(of_unit CPUWeight)" ]
    systemctl daemon-reload # which writes what the units say
    [ "$(paste -d, "$dir"/{memory.max,cpu.max,pids.max})" = '67108864,20000 100000,30' ]
    sd delete --force c1
    [ "$(of_unit LoadState)" = not-found ] && [ ! -e "$dir" ]
}

# by_user COMMAND...: in a unit of the user's own systemd, with an environment that says nothing of it.
by_user() {
    XDG_RUNTIME_DIR=/run/user/$uid setpriv --reuid "$uid" --regid "$uid" --clear-groups \
        systemd-run --user --quiet --wait --pipe --working-directory="$PWD" env -i PATH="$PATH" "$@"
}
user_begin() { # the user, whose systemd runs; sets uid
    id $user >/dev/null 2>&1 || useradd --create-home $user
    uid=$(id -u $user)
    systemctl start "user@$uid"
    mkdir "$T/state"
    chown -R "$uid:$uid" "$T/b" "$T/state"
}

@test "an ordinary user's container is a unit of that user's systemd; so is that of the root of a namespace which the user made" {
    local uid dir how
    user_begin
    rm -f config.json
    for how in '' 'unshare --user --map-root-user --mount --cgroup'; do
        rm -f config.json
        # shellcheck disable=SC2086 # a command, or none
        by_user $how "$T/bin/hull-runc" spec --rootless
        config --arg n "${T##*.}" '.process.terminal = false | .linux.cgroupsPath = "user.slice:hull:\($n)" |
            .linux.resources = {memory: {limit: 33554432}, pids: {limit: 30}}'
        args sleep 1000
        chown "$uid:$uid" config.json
        # shellcheck disable=SC2086
        by_user $how "$T/bin/hull-runc" --systemd-cgroup --root "$T/state" run -d c1 >"$T/out" 2>&1 || fail "$(cat "$T/out")"
        dir=/sys/fs/cgroup/user.slice/user-$uid.slice/user@$uid.service/user.slice/$(unit)
        [ "$(paste -d, "$dir"/{memory.max,pids.max})" = 33554432,30 ] || fail "$(systemctl status "user@$uid")"
        # shellcheck disable=SC2086
        by_user $how "$T/bin/hull-runc" --systemd-cgroup --root "$T/state" delete --force c1
        [ ! -e "$dir" ] || fail "the unit is left"
        [ -z "$(ls "$T/state")" ]
    done
}
