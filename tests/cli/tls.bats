#!/usr/bin/env bats
# The API over TCP: plain on loopback with a warning, and mutual TLS, where no certificate or a wrong one gets nothing.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    need hull hulld hull-containerd containerd-shim-hull-v2
    test_begin
    net_begin
}
teardown() {
    test_end
}

# certificates DIR: ca, server (127.0.0.1) and client in DIR/ca.pem, server-*.pem, cert.pem and key.pem
certificates() {
    local dir=$1 name
    mkdir -p "$dir"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout "$dir/ca-key.pem" -out "$dir/ca.pem" 2>/dev/null
    for name in server client; do
        openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$dir/$name-key.pem" -out "$dir/$name.csr" 2>/dev/null
        openssl x509 -req -in "$dir/$name.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca-key.pem" -CAcreateserial -days 2 \
            -extfile <(printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=%sAuth\n' $name) -out "$dir/$name-cert.pem" 2>/dev/null
    done
    ln "$dir/client-cert.pem" "$dir/cert.pem"
    ln "$dir/client-key.pem" "$dir/key.pem"
}

tls_daemon() { # sets port; $T/tls are good certificates, $T/other are of another authority
    certificates "$T/tls"
    certificates "$T/other"
    port=$(free_port)
    hulld_start -H "tcp://127.0.0.1:$port" --tlsverify --tlscacert "$T/tls/ca.pem" --tlscert "$T/tls/server-cert.pem" \
        --tlskey "$T/tls/server-key.pem"
}

tls_client() { # PROGRAM ARG...
    local program=$1
    shift
    "$program" -H "tcp://127.0.0.1:$port" --tlsverify --tlscacert "$T/tls/ca.pem" --tlscert "$T/tls/cert.pem" \
        --tlskey "$T/tls/key.pem" "$@"
}
hull() { in_net "$T/bin/hull" "$@"; }

@test "plain TCP answers, and the log warns" {
    port=$(free_port)
    hulld_start -H "tcp://127.0.0.1:$port"
    run -0 in_net curl -fsS "http://127.0.0.1:$port/_ping"
    expect_output OK
    grep -qi 'insecure\|without tls\|root access' "$T/log/hulld"
}

@test "mutual TLS: no certificate, another's certificate and plain HTTP get nothing" {
    tls_daemon
    run -0 in_net curl -fsS --cacert "$T/tls/ca.pem" --cert "$T/tls/cert.pem" --key "$T/tls/key.pem" "https://127.0.0.1:$port/_ping"
    expect_output OK
    run ! in_net curl -sS --cacert "$T/tls/ca.pem" "https://127.0.0.1:$port/_ping"
    expect_match 'alert|certificate'
    run ! in_net curl -sS --cacert "$T/tls/ca.pem" --cert "$T/other/cert.pem" --key "$T/other/key.pem" "https://127.0.0.1:$port/_ping"
    expect_match 'alert|certificate|unknown ca'
    run in_net curl -sS "http://127.0.0.1:$port/_ping"
    [[ $output != *OK* ]]
    run ! in_net curl -sS --cacert "$T/other/ca.pem" --cert "$T/tls/cert.pem" --key "$T/tls/key.pem" "https://127.0.0.1:$port/_ping"
}

@test "streams hijacked over TLS: half-close with hull" {
    tls_daemon
    engine_load busybox
    run -0 tls_client hull run --rm -i busybox sh -c 'cat; echo end' <<<x
    expect_output $'x\nend'
    tls_client hull run --rm busybox sh -c 'yes 0123456789abcde | head -c 5242880' >"$T/out"
    [ "$(stat -c %s "$T/out")" = 5242880 ]
}

@test "streams hijacked over TLS: half-close with docker" {
    need_docker
    tls_daemon
    engine_load busybox
    run -0 tls_client docker run --rm -i busybox sh -c 'cat; echo end' <<<x
    expect_output $'x\nend'
    tls_client docker run --rm busybox sh -c 'yes 0123456789abcde | head -c 5242880' >"$T/out"
    [ "$(stat -c %s "$T/out")" = 5242880 ]
}
