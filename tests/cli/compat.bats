#!/usr/bin/env bats
# docs/compat.md is true: of the client as its help says, of the daemon as it answers.

load ../lib/common
load ../lib/hull

setup() {
    test_begin
}
teardown() {
    test_end
}

@test "the client knows the commands and flags that compat.md says, and no others" {
    need hull
    run -0 "$top/tools/compat-commands" "$T/bin/hull"
}

@test "the daemon answers 501 for what compat.md calls missing, and for nothing else" {
    need_root
    hulld_start
    run -0 "$top/tools/compat-endpoints" "$T/hull.sock"
}
