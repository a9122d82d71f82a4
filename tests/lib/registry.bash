# A real registry (Debian's docker-registry) for one test, on a free port of loopback with its own folder.
#
#   registry_start [NAME]    sets registry=127.0.0.1:PORT; the folder is $T/registry
#   registry_push TAR REF    copies an archive made by tests/fixtures/mkimage there (skopeo; registry_creds=u:p)
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

# registry_extra: more lines of the registry's configuration; registry_address: where it listens, else a free port of 127.0.0.1.
# registry_ca DIR HOST...       a certificate authority in DIR (ca.pem) and a certificate of it for those hosts (cert.pem, key.pem)
# registry_tls DIR, registry_htpasswd, registry_tokens [LIFE]   lines for registry_extra: TLS; the user u with the password p; tokens
#                               (LIFE seconds) of tests/fixtures/token_server.py, which logs to $T/tokens
registry_start() {
    local name=${1:-registry} program scheme=http
    program=$(deb_file docker-registry usr/bin/docker-registry) || skip "Debian's docker-registry can't be had"
    registry=${registry_address:-127.0.0.1:$(free_port)}
    mkdir -p "$T/$name"
    cat >"$T/$name.yml" <<-END
	version: 0.1
	log: {level: warn, accesslog: {disabled: true}}
	storage: {filesystem: {rootdirectory: $T/$name}, delete: {enabled: true}}
	http: {addr: "$registry"${registry_http:+, $registry_http}}
	${registry_extra:-}
	END
    [ -z "${registry_http:-}" ] || scheme=https
    background "$name" "$program" serve "$T/$name.yml"
    wait_until in_net curl -ksS ${registry_curl:-} -o "$T/$name.hello" "$scheme://$registry/v2/"
}

registry_ca() { # DIR HOST...
    local dir=$1 host names=
    mkdir -p "$dir"
    for host in "${@:2}"; do
        case $host in *[!0-9.]*) names+=,DNS:$host ;; *) names+=,IP:$host ;; esac
    done
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout "$dir/ca-key.pem" -out "$dir/ca.pem" 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj /CN=registry -keyout "$dir/key.pem" -out "$dir/csr.pem" 2>/dev/null
    openssl x509 -req -in "$dir/csr.pem" -CA "$dir/ca.pem" -CAkey "$dir/ca-key.pem" -CAcreateserial -days 2 \
        -extfile <(printf 'subjectAltName=%s\n' "${names#,}") -out "$dir/cert.pem" 2>/dev/null
}

registry_tls() { # DIR
    registry_http="tls: {certificate: $1/cert.pem, key: $1/key.pem}"
}

registry_htpasswd() {
    printf 'u:%s\n' "$(perl -e 'print crypt("p", q($2y$05$abcdefghijklmnopqrstuu))')" >"$T/htpasswd"
    registry_extra="auth: {htpasswd: {realm: tests, path: $T/htpasswd}}"
}

registry_tokens() { # [LIFE]
    local port
    port=$(free_port)
    registry_ca "$T/signer" tokens
    : >"$T/tokens"
    background tokens "$top/tests/fixtures/token_server.py" "$port" "$T/signer/ca-key.pem" "$T/signer/ca.pem" "$T/tokens" "$@"
    wait_until in_net curl -sS -o "$T/tokens.hello" "http://127.0.0.1:$port/"
    registry_extra="auth: {token: {realm: \"http://127.0.0.1:$port/token\", service: tests, issuer: tests, rootcertbundle: $T/signer/ca.pem}}"
}

# registry_proxy NAME UPSTREAM [RULE...]   tests/fixtures/registry_proxy.py; sets proxy=127.0.0.1:PORT, its log is $T/NAME.requests
registry_proxy() {
    local port
    port=$(free_port)
    : >"$T/$1.requests"
    background "$1" "$top/tests/fixtures/registry_proxy.py" "$port" "$2" "$T/$1.requests" "${@:3}"
    proxy=127.0.0.1:$port
    wait_until listens "$port"
}
listens() { # PORT
    [ -n "$(in_net ss -Hltn "sport = :$1")" ]
}

registry_stop() {
    finish "${1:-registry}"
}

registry_push() { # TAR REF (REF without the registry: name:tag)
    local kind=oci-archive
    case $1 in *.docker.tar) kind=docker-archive ;; esac
    in_net skopeo copy --quiet --dest-tls-verify=false ${registry_creds:+--dest-creds=$registry_creds} "$kind:$1" "docker://$registry/$2"
}
