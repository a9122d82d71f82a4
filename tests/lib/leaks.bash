# What a test must not leave behind. leaks_begin notes the state, leaks_end names what is new and cleans it up.
#
# Other tests may run on the same machine, so only what can be ours is looked at: mounts, processes and cgroups that carry
# the test's folder or marker, and everything in the network namespace the test made.

leaks_begin() {
    leaks_kernel_mark=$(kernel_log_lines)
}

kernel_log_lines() { dmesg 2>/dev/null | wc -l; }

# Mounts below the test's folder, but not the folder itself.
leaked_mounts() {
    awk -v t="$T/" 'index($5, t) == 1 {print $5}' /proc/self/mountinfo
}

# Processes that carry the test's marker in their environment, or whose root file system lies in the test's folder.
# Whatever can't be read (a zombie, one that just ended) is nobody's: the list decides what is killed.
leaked_processes() {
    local pid
    {
        grep -lzE "^HULL_TEST_ID=$T\$" /proc/[0-9]*/environ
        grep -lF "$T/" /proc/[0-9]*/mountinfo | while IFS= read -r pid; do
            ! awk -v t="$T/" '$5 == "/" && index($0, t) {found = 1} END {exit !found}' "$pid" || printf '%s\n' "$pid"
        done
    } 2>/dev/null | cut -d/ -f3 | sort -un | while read -r pid; do
        [ "$pid" -gt 1 ] && [ "$(awk '/^State:/ {print $2}' "/proc/$pid/status" 2>/dev/null)" != Z ] &&
            printf '%s %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c1-120)" 2>/dev/null
    done
}

# Cgroups whose name carries the test's own parent (hulld and hull-containerd of a test are given one).
leaked_cgroups() {
    find /sys/fs/cgroup -type d -path "*/$(test_cgroup)/*" 2>/dev/null
}
test_cgroup() { printf '%s\n' "hull-test-${T##*.}"; }

# Links and nft tables of the test's network namespace that were not there when it was made.
leaked_network() {
    [ -n "${test_netns:-}" ] || return 0
    ip netns exec "$test_netns" ip -o link 2>/dev/null | awk -F': ' '{sub(/@.*/, "", $2); print "link " $2}' |
        grep -vxE 'link (lo|uplink|tunl0|sit0|gre0|gretap0|erspan0|ip6tnl0|ip6gre0|ip_vti0|ip6_vti0|docker0|hull0)' || true
    ip netns exec "$test_netns" nft list tables 2>/dev/null | grep -w hull || true
}

# What our programs said when they died: reports of sanitizers, and the kernel's lines on fatal signals.
crash_reports() {
    local file
    for file in "$T"/log/sanitizer.*; do
        [ -s "$file" ] && { printf '%s:\n' "${file##*/}"; head -n 60 "$file"; }
    done
    grep -lE 'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error: ' "$T"/log/* 2>/dev/null |
        sed 's/^/a sanitizer report in /'
    dmesg 2>/dev/null | tail -n +$((leaks_kernel_mark + 1)) |
        grep -E '(hull|containerd-shim-h)[^ ]*\[[0-9]+\].*(segfault|trap|general protection)' || true
}

leaks_end() {
    local status=0 what found line
    for what in crash_reports leaked_processes leaked_mounts leaked_cgroups leaked_network; do
        # an end that was asked for may still be under way: give it a moment before it counts
        if [ $what = crash_reports ]; then
            found=$($what)
        else
            wait_until -t 20 nothing $what >/dev/null 2>&1 || true
            found=$($what)
        fi
        [ -n "$found" ] || continue
        status=1
        printf 'left behind (%s):\n%s\n' "${what//_/ }" "$found" >&2
    done
    if [ $status = 0 ]; then
        # the parent that the test named is the test's to remove
        find /sys/fs/cgroup -depth -type d -path "*/$(test_cgroup)" -exec rmdir {} + 2>/dev/null
        return 0
    fi
    leaked_processes | while read -r line; do kill -KILL "${line%% *}" 2>/dev/null; done
    sleep 0.2
    leaked_mounts | tac | while read -r line; do umount -l "$line" 2>/dev/null; done
    find /sys/fs/cgroup -depth -type d \( -path "*/$(test_cgroup)" -o -path "*/$(test_cgroup)/*" \) -exec rmdir {} \; 2>/dev/null
    return 1
}
nothing() {
    local found
    found=$("$@")
    [ -z "$found" ]
}
