# shellcheck shell=bash
# criu for tests of checkpoints: itself, where the kernel lets it dump, and one of our own making for everywhere.
#
#   need_criu           skips where the real one cannot work
#   fake_criu FOLDER    puts the fake into FOLDER, for a PATH; its requests are in $FAKE_CRIU/log. Programs that start it must
#                       have FAKE_CRIU from their start: criu_begin, in setup
#   counting FILE       a program for `sh -c` that writes an id of its own and a growing number into FILE
#   went_on WAS NOW     two contents of such a file: the same process, not earlier

criu_begin() {
    export FAKE_CRIU=$T/fake
}
need_criu() {
    need_tool criu
    criu check >"$T/log/criu-check" 2>&1 || skip "criu can't dump on this kernel"
}
fake_criu() {
    need_tool python3
    cp "$top/tests/fixtures/fake_criu.py" "$1/criu"
    mkdir "$FAKE_CRIU"
}
counting() {
    printf 'read t </proc/sys/kernel/random/uuid; while :; do i=$((i + 1)); echo "$t $i" >%s.new; mv %s.new %s; sleep 0.1; done' "$1" "$1" "$1"
}
went_on() {
    [ "${2% *}" = "${1% *}" ] || fail "another process: $1, then $2"
    [ "${2#* }" -ge "${1#* }" ] || fail "not from where it was: $1, then $2"
}
