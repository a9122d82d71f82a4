# shellcheck shell=bash
# Failing system calls: strace makes the Nth call of a kind fail in each process of a command. After bundle.bash.

# Calls that cannot fail, that only ask, or whose failure the kernel never reports to a program that is alive.
fault_never='exit_group|rt_sig[a-z]*|brk|munmap|mprotect|arch_prctl|set_tid_address|set_robust_list|rseq|close|close_range|getpid|getuid|geteuid|getgid|getegid|umask|execve|restart_syscall|exit|futex|gettid|wait4'

# fault_points COMMAND...: "CALL N" for each call that the command makes, N up to the most of one process.
fault_points() {
    strace -f -o "$T/points" "$@" >/dev/null 2>&1 </dev/null 3>&- 4>&-
    awk -v never="^($fault_never)\$" '
        match($2, /^[a-z][a-z0-9_]*\(/) {
            call = substr($2, 1, RLENGTH - 1)
            if (call !~ never && ++count[$1, call] > most[call]) most[call] = count[$1, call]
        }
        END { for (call in most) for (n = 1; n <= most[call]; n++) if (call != "prctl" || n % 16 == 1) print call, n }' "$T/points" | sort
}

# with_fault CALL N COMMAND...: run it with that call failing; its output is in $T/out. A hang or a crash is noted in $T/hangs.
with_fault() {
    local call=$1 n=$2 status=0
    shift 2
    HULL_TEST_ID=$T timeout -s KILL 20 strace -f -o "$T/trace" -e "inject=$call:error=EIO:when=$n" -e "trace=$call" "$@" \
        >"$T/out" 2>&1 </dev/null 3>&- 4>&- || status=$?
    [[ $status != 137 && $status != 139 ]] || printf '%s %s: %s\n' "$call" "$n" "$(tail -n 1 "$T/trace")" >>"$T/hangs"
    return $status
}

# left_of ID: what there is of a container: state, cgroups.
left_of() {
    find "$T/s/$1" /sys/fs/cgroup/*/"$(test_cgroup)"/*/ -maxdepth 0 2>/dev/null || true
}

# The calls with which things are taken away: when one of these fails, something may stay, but then a delete finds it.
fault_takes_away() { [[ $1 =~ ^(unlink|unlinkat|rmdir|kill|pidfd_open|pidfd_send_signal|openat|openat2|read|getdents64|poll|wait4|statx|fstat|newfstatat)$ ]]; }

# nothing_of ID CALL N: nothing is left; of what a failing call kept from being taken away a delete takes care.
nothing_of() {
    local left
    left=$(left_of "$1")
    [ -n "$left" ] || return 0
    fault_takes_away "$2" || fail "$2 $3 left: $left"$'\n'"$(cat "$T/out")"
    rt delete --force "$1" >>"$T/out" 2>&1 || fail "$2 $3: what is left cannot be deleted: $left"$'\n'"$(cat "$T/out")"
    left=$(left_of "$1")
    [ -z "$left" ] || fail "$2 $3 left even after a delete: $left"$'\n'"$(cat "$T/out")"
}
