# The originals on the other side of our seams: Debian's containerd (and its shim, runc), dockerd and podman for one test.
# The newest of Debian's testing suite are in peers.bash.
#
#   debian_containerd_start      sets ctr_address; `ctr ARG...` talks to it; our programs are on its PATH
#   debian_containerd_stop
#   debian_dockerd_start [FLAG...]    over that containerd, or the one at ctr_address, without networks; sets DOCKER_HOST; `debian_docker ARG...` is its client
#   debian_dockerd_stop
#   debian_podman_start [FLAG...]     makes `podman ARG...`: Debian's, with these flags, its folders in the test's
#   debian_podman_stop
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

debian_dockerd_start() {
    original docker.io dockerd docker
    [ -n "${ctr_address:-}" ] || debian_containerd_start
    export DOCKER_HOST=unix://$T/dd.sock
    printf '{}\n' >"$T/dockerd.json"
    background dockerd "$T/bin/dockerd" --config-file "$T/dockerd.json" --data-root "$T/dd-data" --exec-root "$T/dd-exec" \
        --pidfile "$T/dd.pid" --containerd "$ctr_address" --bridge none --iptables=false --ip6tables=false \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$(test_cgroup)" -H "$DOCKER_HOST" "$@"
    wait_until -t 60 curl -fsS --unix-socket "$T/dd.sock" http://docker/_ping
}

debian_docker() {
    in_net "$T/bin/docker" "$@"
}

debian_dockerd_stop() {
    finish dockerd
    debian_containerd_stop
}

debian_podman_start() {
    local package libraries=
    original podman podman
    original conmon conmon
    for package in libsubid4 libgpgme11 libglib2.0-0; do # what a machine with skopeo and qemu may lack of their libraries
        libraries+=:$(deb_extract "$package")/usr/lib/x86_64-linux-gnu || skip "Debian's $package can't be had"
    done
    printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' >"$T/policy.json"
    printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$T/pod-data" "$T/pod-run" >"$T/storage.conf"
    cat >"$T/containers.conf" <<-END
	[containers]
	log_driver = "k8s-file"
	# its own wish is more than some machines allow
	default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
	[engine]
	cgroup_manager = "cgroupfs"
	conmon_path = ["$T/bin/conmon"]
	conmon_env_vars = ["PATH=$PATH", "LD_LIBRARY_PATH=${libraries#:}"]
	events_logger = "file"
	lock_type = "file"
	tmp_dir = "$T/pod-tmp"
	[network]
	network_config_dir = "$T/pod-net"
	END
    podman_flags=("$@")
    podman_environment=(-u DOCKER_CONFIG HULL_TEST_ID="$T" LD_LIBRARY_PATH="${libraries#:}" CONTAINERS_CONF="$T/containers.conf"
        CONTAINERS_STORAGE_CONF="$T/storage.conf" REGISTRIES_CONFIG_PATH=/dev/null)
}
# Its containers are gone before. A folder that it makes private may stay mounted.
debian_podman_stop() {
    ! mountpoint -q "$T/pod-data/overlay" || umount "$T/pod-data/overlay"
    monitors_cgroup_gone
}
podman() {
    in_net env "${podman_environment[@]}" "$T/bin/podman" "${podman_flags[@]}" "$@"
}

# The folder of the namespace itself stays behind even with runc: it goes here, but only when it is empty (crun has an empty one in it).
runtime_folders_gone() {
    local dir status=0
    for dir in /run/hull-runc /run/containerd/runc; do
        [ ! -e "$dir/$1/.empty-directory" ] || rmdir "$dir/$1/.empty-directory"
        [ ! -e "$dir/$1" ] || wait_until -t 5 rmdir "$dir/$1" || status=1
    done
    return $status
}
