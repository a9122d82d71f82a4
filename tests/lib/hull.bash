# A private engine: hulld with its own hull-containerd, folders, socket and network namespace; or one of the two alone.
#
#   load ../lib/common; load ../lib/hull
#   hulld_start [FLAG...]        hulld; sets DOCKER_HOST, so that `hull` and `docker` talk to it; hulld_as is a command before it
#   hulld_own_etc                before it: an /etc of its own, for --userns-remap daemon
#   hulld_stop [SIGNAL]
#   containerd_start [FLAG...]   hull-containerd alone; `our_ctr ARG...` talks to it
#   containerd_stop [SIGNAL]
#   engine_load KIND             load an image of tests/fixtures/mkimage (docker archive) through the API
#   api METHOD PATH [JSON]       one request to hulld with curl; the body in $output, the status in $http_status

# --- hulld -----------------------------------------------------------------------------------------------------------

hulld_as=()
hulld_start() {
    need hulld hull-containerd containerd-shim-hull-v2
    [ -n "${test_netns:-}" ] || net_begin
    export DOCKER_HOST=unix://$T/hull.sock
    [ -e "$T/daemon.json" ] || printf '{}\n' >"$T/daemon.json"
    background hulld "${hulld_as[@]}" "$T/bin/hulld" --config-file "$T/daemon.json" --data-root "$T/data" --exec-root "$T/exec" \
        --pidfile "$T/hulld.pid" --cgroup-parent "/$(test_cgroup)" -H "$DOCKER_HOST" "$@"
    wait_until -t 30 hulld_answers
}
hulld_answers() {
    running hulld || { # no use waiting for a dead one
        tail -n 20 "$T/log/hulld"
        sleep 0.2
        return 1
    }
    [ "$(curl -fsS --max-time 5 --unix-socket "$T/hull.sock" http://hull/_ping)" = OK ]
}
# hulld_own_etc: from here on hulld has an /etc of its own, $T/etc, in which the user daemon may use 65536 users from 200000
# and groups from 300000.
hulld_own_etc() {
    findmnt / >/dev/null || skip "the root is no mount, so its /etc would change for all"
    cp -a /etc "$T/etc"
    printf 'daemon:200000:65536\n' >"$T/etc/subuid"
    printf 'daemon:300000:65536\n' >"$T/etc/subgid"
    cp -a "$T/bin" "$T/real" # our programs look for each other beside themselves
    rm "$T/bin/hulld"
    cat >"$T/bin/hulld" <<-END
	#!/bin/sh
	exec unshare --mount --propagation unchanged sh -c '
	    mount --make-private / && mount --bind $T/etc /etc && exec "\$@"' sh $T/real/hulld "\$@"
	END
    chmod 755 "$T/bin/hulld"
}
hulld_stop() {
    finish hulld "${1:-TERM}"
}

api() { # METHOD PATH [JSON]
    local method=$1 path=$2 body=("${@:3}")
    # curl's own failure is the test's: no answer is never a status
    output=$(curl -sS --max-time 60 --unix-socket "$T/hull.sock" -X "$method" -o - -w '\n%{http_code}' \
        "${body[@]:+-HContent-Type: application/json}" "${body[@]:+--data-binary}" "${body[@]}" "http://hull$path") || return 1
    http_status=${output##*$'\n'}
    output=${output%$'\n'*}
    output=${output%$'\n'} # documents end with a newline
}

engine_load() { # KIND
    local file
    file=$(image_file "$1" docker) || fail "the image $1 could not be made"
    curl -fsS --max-time 120 --unix-socket "$T/hull.sock" -H 'Content-Type: application/x-tar' --data-binary "@$file" \
        "http://hull/images/load?quiet=1" >"$T/load.out" || fail "loading $1: $(cat "$T/load.out")"
    if jq -e 'select(.error)' "$T/load.out" >/dev/null 2>&1; then
        fail "loading $1: $(cat "$T/load.out")"
    fi
}

# --- hull-containerd alone -------------------------------------------------------------------------------------------

containerd_start() {
    need hull-containerd
    background containerd "$T/bin/hull-containerd" --address "$T/c.sock" --root "$T/c-root" --state "$T/c-state" \
        --log-level debug "$@"
    wait_until -t 30 our_ctr version
}
containerd_stop() {
    finish containerd "${1:-TERM}"
}
our_ctr() {
    in_net "$(debian_ctr)" --address "$T/c.sock" --namespace "${ctr_namespace:-default}" "$@"
}
debian_ctr() { deb_file containerd usr/bin/ctr; }
