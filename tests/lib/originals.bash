# The originals on the other side of our seams: Debian's containerd (and its shim, runc) for one test.
# The newest of Debian's testing suite, dockerd among them, are in peers.bash.
#
#   debian_containerd_start      sets ctr_address; `ctr ARG...` talks to it; our programs are on its PATH
#   debian_containerd_stop
#   runtime_folders_gone NAMESPACE    after a test: nothing of its containers is left where runtimes and shims keep their state

# original PACKAGE PROGRAM...: Debian's own, on the test's PATH; a program of that name of ours is not in the way
original() {
    local package=$1 program path
    shift
    for program in "$@"; do
        path=$(deb_file "$package" "usr/bin/$program" 2>/dev/null) || path=$(deb_file "$package" "usr/sbin/$program") ||
            skip "Debian's $package can't be had"
        ln -sf "$path" "$T/bin/$program"
    done
}

debian_containerd_start() {
    original containerd containerd ctr containerd-shim-runc-v2
    original runc runc
    ctr_address=$T/d.sock
    # cri is Kubernetes' door; it wants a network configuration of its own
    cat >"$T/containerd.toml" <<-END
	version = 2
	root = "$T/d-root"
	state = "$T/d-state"
	disabled_plugins = ["io.containerd.grpc.v1.cri"]
	[grpc]
	  address = "$ctr_address"
	[ttrpc]
	  address = "$ctr_address.ttrpc"
	END
    background debian-containerd "$T/bin/containerd" --config "$T/containerd.toml" --log-level debug
    wait_until -t 30 ctr version
}

debian_containerd_stop() {
    finish debian-containerd "${1:-TERM}"
}

ctr() {
    in_net "$T/bin/ctr" --address "$ctr_address" --namespace "${ctr_namespace:-default}" "$@"
}

# The folder of the namespace itself stays behind even with runc: it goes here, but only when it is empty.
runtime_folders_gone() {
    local dir status=0
    for dir in /run/hull-runc /run/containerd/runc; do
        [ ! -e "$dir/$1" ] || wait_until -t 5 rmdir "$dir/$1" || status=1
    done
    return $status
}
