# What every bats file starts with: a short private folder, programs by name, waiting, and the check that nothing stays.
#
#   load ../lib/common        in a bats file, then in setup() test_begin and in teardown() test_end
#
# The folder is $T. It is short because sockets live in it (a socket's path holds 107 bytes) and it is a shared mount of
# its own, so that mounts made below it are seen in the mount namespaces of peers too.

bats_require_minimum_version 1.5.0
top=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")
# shellcheck source=debian.bash
. "$top/tests/lib/debian.bash"
# shellcheck source=leaks.bash
. "$top/tests/lib/leaks.bash"
# shellcheck source=net.bash
. "$top/tests/lib/net.bash"

# HULL_BUILD is the meson build folder under test; with HULL_IN_VM the programs are the installed ones.
build_dir=${HULL_BUILD:-$top/build}

# --- results ---------------------------------------------------------------------------------------------------------

# fail TEXT: end the test with the reason.
fail() {
    printf '%s\n' "$*" >&2
    return 1
}

# expect_output TEXT / expect_match REGEX: on $output of the last `run`.
expect_output() {
    [ "$output" = "$1" ] || fail "expected: $1"$'\n'"got:      $output"
}
expect_match() {
    [[ $output =~ $1 ]] || fail "expected a match of: $1"$'\n'"got: $output"
}

# --- waiting ---------------------------------------------------------------------------------------------------------

# wait_until [-t SECONDS] COMMAND...: until the command succeeds; fails with its last output after a minute: a busy machine is no failure.
wait_until() {
    local limit=60 deadline said
    if [ "$1" = -t ]; then
        limit=$2
        shift 2
    fi
    [ -z "${HULL_IN_VM:-}" ] || limit=$((limit * 3)) # emulated
    deadline=$((SECONDS + limit))
    until said=$("$@" 2>&1); do
        [ $SECONDS -lt $deadline ] || fail "not within $limit s: $*"$'\n'"$said" || return 1
        sleep 0.05
    done
}

# What wait_until often waits for. (`wait_until sh -c` would see neither our functions nor, in it, Docker's client.)
says() { # REGEX COMMAND...: some line of the command's output matches
    local regex=$1
    shift
    "$@" | grep -qE -- "$regex"
}
fails() { ! "$@"; }

# --- programs --------------------------------------------------------------------------------------------------------

# program NAME: the path of one of our programs; 1 when it is not built.
program() {
    local found
    if [ -n "${HULL_IN_VM:-}${HULL_INSTALLED:-}" ]; then
        found=$(command -v "$1" || find /usr/local/libexec /usr/libexec -name "$1" -type f -perm -1 2>/dev/null | head -n 1)
    else
        found=$(find "$build_dir" -name "$1" -type f -perm -1 -not -path '*.p/*' 2>/dev/null | head -n 1)
    fi
    [ -n "$found" ] && printf '%s\n' "$found"
}

# sanitized PROGRAM: it was built with the address or the thread sanitizer.
sanitized() { grep -qaE '__(asan|tsan)_init' "$(program "$1")"; }

# need PROGRAM...: skip the test, naming what is not built yet.
need() {
    local name
    for name in "$@"; do
        program "$name" >/dev/null || skip "$name is not built yet"
    done
}

# need_root, need_tool TOOL...: skip with the reason.
need_root() {
    [ "$(id -u)" = 0 ] || skip "needs root"
}
need_tool() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null || skip "$name is not on this machine"
    done
}

# has_capability NUMBER: whether we have it (24 is CAP_SYS_RESOURCE).
has_capability() { (("0x$(sed -n 's/^CapEff:\t//p' /proc/self/status)" >> $1 & 1)); }

# background NAME COMMAND...: start a program of the test in its network namespace; its output goes to $T/log/NAME, its pid to $T/pid/NAME.
background() {
    local name=$1
    shift
    mkdir -p "$T/log" "$T/pid"
    # the marker in the environment is how leaks finds what this test started; 3 and 4 belong to bats
    # nsenter, not `ip netns exec`: that would give the program a mount namespace and a /sys of its own
    local enter=()
    [ -z "${test_netns:-}" ] || enter=(nsenter "--net=/run/netns/$test_netns" --)
    HULL_TEST_ID=$T setsid "${enter[@]}" "$@" </dev/null >>"$T/log/$name" 2>&1 3>&- 4>&- &
    printf '%s\n' $! >"$T/pid/$name"
}

# running NAME: whether that program is alive.
running() {
    [ -s "$T/pid/$1" ] && kill -0 "$(cat "$T/pid/$1")" 2>/dev/null
}

# finish NAME [SIGNAL]: stop it (TERM by default) and wait. Fails when it died of a signal that was not ours.
finish() {
    local name=$1 signal=${2:-TERM} pid status=0
    [ -s "$T/pid/$name" ] || return 0
    pid=$(cat "$T/pid/$name")
    rm -f "$T/pid/$name"
    kill -"$signal" "$pid" 2>/dev/null || true
    if ! wait_until -t 40 gone "$pid"; then
        kill -KILL "$pid" 2>/dev/null || true
        wait_until -t 5 gone "$pid" || true
        fail "$name did not end on SIG$signal within 40 s; it was killed. Its last lines:"$'\n'"$(tail -n 20 "$T/log/$name")"
        return 1
    fi
    wait "$pid" 2>/dev/null || status=$? # 127: started by setup_file, so not this shell's child
    case $status in
    129 | 130 | 137 | 143) [ $((status - 128)) = "$(kill -l "$signal")" ] || fail "$name died with status $status" ;;
    13[0-9] | 14[0-9] | 15[0-9]) fail "$name died of SIG$(kill -l $((status - 128)))" ;;
    esac
}
gone() {
    ! kill -0 "$1" 2>/dev/null || [ "$(awk '/^State:/ {print $2}' "/proc/$1/status" 2>/dev/null)" = Z ]
}

# --- begin and end ---------------------------------------------------------------------------------------------------

test_begin() {
    T=$(mktemp -d /tmp/ht.XXXXXX)
    if [ "$(id -u)" = 0 ]; then
        mount --bind "$T" "$T" && mount --make-shared "$T"
    fi
    mkdir -p "$T/bin" "$T/log" "$T/pid" "$T/config"
    export T DOCKER_CONFIG=$T/config
    # a sanitizer report of any program of ours becomes a file here, whatever happened to its stderr
    export ASAN_OPTIONS="log_path=$T/log/sanitizer:handle_abort=1:detect_leaks=1:abort_on_error=0:exitcode=99"
    export UBSAN_OPTIONS="log_path=$T/log/sanitizer:print_stacktrace=1:halt_on_error=1:exitcode=99"
    export TSAN_OPTIONS="log_path=$T/log/sanitizer:exitcode=99"
    local name path
    for name in hull hulld hull-containerd containerd-shim-hull-v2 hull-runc hull-unpack hull-logger hull-portd hull-sandbox hull-registry; do
        if path=$(program "$name"); then
            ln -sf "$path" "$T/bin/$name"
        fi
    done
    test_path=$PATH
    export PATH=$T/bin:$PATH
    leaks_begin
}

# test_end: stop what runs, newest first, then look for what stayed. On a failed test the logs are shown.
test_end() {
    local status=0 name
    [ -n "${T:-}" ] || return 0
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        for name in "$T"/log/*; do
            [ -s "$name" ] && { printf -- '--- %s\n' "${name##*/}"; tail -n 60 "$name"; }
        done >&2
    fi
    for name in $(ls -t "$T/pid" 2>/dev/null); do
        finish "$name" || status=1
    done
    leaks_end || status=1
    net_end
    if mountpoint -q "$T"; then
        umount -l "$T"
    fi
    rm -rf --one-file-system "$T"
    PATH=$test_path
    return $status
}
