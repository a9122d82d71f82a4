# A real registry (Debian's docker-registry) for one test, on a free port of loopback with its own folder.
#
#   registry_start [NAME]    sets registry=127.0.0.1:PORT; the folder is $T/registry
#   registry_push TAR REF    copies an archive made by tests/fixtures/mkimage there (skopeo)
#   registry_stop [NAME]
# With a test namespace (net_begin) it listens there.

# free_port: a TCP port nobody listens on, in the test's namespace.
free_port() {
    local port
    while :; do
        port=$((RANDOM % 20000 + 20000))
        [ -n "$(in_net ss -Hltn "sport = :$port")" ] || break
    done
    printf '%s\n' "$port"
}

registry_start() {
    local name=${1:-registry} port program
    program=$(deb_file docker-registry usr/bin/docker-registry) || skip "Debian's docker-registry can't be had"
    port=$(free_port)
    mkdir -p "$T/$name"
    cat >"$T/$name.yml" <<-END
	version: 0.1
	log: {level: warn, accesslog: {disabled: true}}
	storage: {filesystem: {rootdirectory: $T/$name}, delete: {enabled: true}}
	http: {addr: "127.0.0.1:$port"}
	END
    background "$name" "$program" serve "$T/$name.yml"
    registry=127.0.0.1:$port
    wait_until in_net curl -fsS "http://$registry/v2/"
}

registry_stop() {
    finish "${1:-registry}"
}

registry_push() { # TAR REF (REF without the registry: name:tag)
    local kind=oci-archive
    case $1 in *.docker.tar) kind=docker-archive ;; esac
    in_net skopeo copy --quiet --dest-tls-verify=false "$kind:$1" "docker://$registry/$2"
}
