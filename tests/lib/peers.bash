# The newest originals (tests/peers/make) for one test: programs of another Debian, in a mount namespace of their own.
#
#   peers_start              enter once per test; needs test_begin before (the test's folder is seen inside at its path)
#   peer COMMAND...          run a command inside, in the test's network namespace
#   peer_background NAME COMMAND...   the same in the background (finish NAME stops it)
#   peer_containerd_start    containerd >= 2.0; sets ctr_address
#   peer_dockerd_start [FLAG...]      dockerd >= 28; sets DOCKER_HOST
#   docker ARG...            Docker's client 28 or newer: the machine's, else the peers' (no namespace needed)
#
# Inside, /tmp, /run, /dev, /sys, the build folder and the cache are the machine's, so that sockets, FIFOs, network namespaces and our
# programs are found at the same paths; everything else is the peers' root, as a private overlay that goes with the test.

peers_start() {
    local root dir
    root=$("$top/tests/peers/make" --have)/root || skip "the peers' root is not here: tests/peers/make"
    [ -n "${test_netns:-}" ] || net_begin
    dir=$T/peers
    mkdir -p "$dir"/{upper,work,root}
    # the holder keeps the namespace alive; it is stopped like every program of the test
    background peers unshare --mount --propagation slave bash -c '
        set -e
        root=$1 dir=$2
        shift 2
        mount -t overlay overlay -o "lowerdir=$root,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
        for path in /tmp /run /dev /sys "$@"; do
            mkdir -p "$dir/root$path"
            mount --rbind "$path" "$dir/root$path"
        done
        mount -t proc proc "$dir/root/proc"
        mkdir -p "$dir/root/.old"
        cp /etc/resolv.conf "$dir/root/etc/resolv.conf"
        cd "$dir/root"
        pivot_root . .old
        cd /
        umount -l /.old
        exec sleep infinity' peers "$root" "$dir" "$build_dir" "$cache_dir"
    wait_until -t 20 peer_entered
}
peer_entered() { [ "$(readlink "/proc/$(cat "$T/pid/peers")/exe")" = /usr/bin/sleep ] && peer true; }

peer_prefix() { # sets prefix: the command line that enters
    prefix=(nsenter --target "$(cat "$T/pid/peers")" --mount --net --root --wd
        env "PATH=$T/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root)
}
peer() {
    local prefix
    peer_prefix
    "${prefix[@]}" "$@"
}
peer_background() {
    local name=$1 prefix
    shift
    peer_prefix
    background "$name" "${prefix[@]}" "$@"
}

peer_containerd_start() {
    ctr_address=$T/p.sock
    cat >"$T/peer-containerd.toml" <<-END
	version = 3
	root = "$T/p-root"
	state = "$T/p-state"
	disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
	[grpc]
	  address = "$ctr_address"
	[ttrpc]
	  address = "$ctr_address.ttrpc"
	END
    peer_background peer-containerd containerd --config "$T/peer-containerd.toml" --log-level debug
    wait_until -t 30 peer ctr --address "$ctr_address" version
}

peer_dockerd_start() {
    export DOCKER_HOST=unix://$T/peer.sock
    peer_background peer-dockerd dockerd --data-root "$T/pd-data" --exec-root "$T/pd-exec" --pidfile "$T/pd.pid" \
        -H "$DOCKER_HOST" "$@"
    wait_until -t 60 curl -fsS --unix-socket "$T/peer.sock" http://docker/_ping
}

# docker_client: prints a command line for Docker's client 28 or newer, one word per line.
docker_client() {
    local own root
    if own=$(type -P docker) && [ "$("$own" version --format '{{.Client.Version}}' 2>/dev/null | cut -d. -f1)" -ge 28 ]; then
        printf '%s\n' "$own"
        return
    fi 2>/dev/null
    root=$("$top/tests/peers/make" --have)/root || return 1
    # its own loader and libraries: the machine's may be older
    printf '%s\n' "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/docker"
}
need_docker() {
    docker_client >/dev/null || skip "no Docker client of version 28 or newer: tests/peers/make"
}
docker() {
    local words
    mapfile -t words < <(docker_client)
    [ ${#words[@]} -gt 0 ] || fail "no Docker client of version 28 or newer" || return
    in_net "${words[@]}" "$@"
}
