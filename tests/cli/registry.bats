#!/usr/bin/env bats
# hulld, hull-containerd and hull with real registries: plain, TLS, htpasswd, bearer tokens, mirrors, redirects.

load ../lib/common
load ../lib/images
load ../lib/hull
load ../lib/debian
load ../lib/registry

setup() {
    need_root
    test_begin
}
teardown() {
    test_end
}

# The digest that a registry has under NAME:TAG.
digest_at() { # NAME TAG
    in_net curl -fsS -o /dev/null -D - -H "Accept: application/vnd.oci.image.index.v1+json" \
        -H "Accept: application/vnd.oci.image.manifest.v1+json" -H "Accept: application/vnd.docker.distribution.manifest.v2+json" \
        "http://$registry/v2/$1/manifests/$2" | tr -d '\r' | sed -n 's/^Docker-Content-Digest: //p'
}

@test "push: what was pulled comes back byte for byte, layers are sent once" {
    net_begin
    registry_start
    registry_push "$(image_file busybox)" busybox:latest
    hulld_start
    api POST "/images/create?fromImage=$registry/busybox&tag=latest"
    api POST "/images/$registry/busybox:latest/tag?repo=$registry/team/copy&tag=1"
    api POST "/images/$registry/team/copy/push?tag=1"
    [ "$http_status" = 200 ]
    expect_match "The push refers to repository \[$registry/team/copy\]"
    expect_match '"Mounted from busybox"'
    digest=$(digest_at busybox latest)
    expect_match "1: digest: $digest size: "
    [ "$(digest_at team/copy 1)" = "$digest" ]
    api POST "/images/$registry/team/copy/push?tag=1"
    expect_match '"Layer already exists"'
    api POST "/images/$registry/team/copy/push?tag=nope"
    expect_match "tag does not exist: $registry/team/copy:nope"
    api GET "/distribution/$registry/team/copy:1/json"
    [ "$(jq -r .Descriptor.digest <<<"$output")" = "$digest" ]
    [ "$(jq -r '.Platforms[0].os' <<<"$output")" = linux ]
    api GET "/images/search?term=$registry/busybox"
    [ "$http_status" = 404 ]
    expect_match 'has no search'
}

@test "htpasswd and TLS: login, push, pull, logout, in docker's words" {
    net_begin
    registry_ca "$T/ca" 127.0.0.1
    registry_tls "$T/ca"
    registry_htpasswd
    registry_start
    registry_creds=u:p registry_push "$(image_file busybox)" busybox:latest
    hulld_start
    run -1 hull pull -q "$registry/busybox"
    expect_match "Error response from daemon: Get \"https://$registry/v2/busybox/manifests/latest\": no basic auth credentials"
    run -1 hull login -u u -p wrong "$registry"
    expect_match "login attempt to https://$registry/v2/ failed with status: 401 Unauthorized"
    [ ! -e "$DOCKER_CONFIG/config.json" ]
    run -1 hull login "$registry" </dev/null
    expect_match 'cannot perform an interactive login from a non-TTY device'
    run -0 --separate-stderr hull login -u u --password-stdin "$registry" <<<p
    [ "$output" = "Login Succeeded" ]
    [[ $stderr == *"stored unencrypted in '$DOCKER_CONFIG/config.json'"* ]]
    [ "$(stat -c %a "$DOCKER_CONFIG/config.json")" = 600 ]
    [ "$(jq -r ".auths[\"$registry\"].auth" "$DOCKER_CONFIG/config.json")" = "$(printf u:p | base64)" ]
    run -0 hull login "$registry" </dev/null
    expect_match 'Authenticating with existing credentials... \[Username: u\]'
    run -0 hull pull -q "$registry/busybox"
    [ "$output" = "$registry/busybox:latest" ]
    hull tag "$registry/busybox" "$registry/other:1"
    run -0 hull push "$registry/other:1"
    expect_match "1: digest: sha256:.* size: "
    run -0 hull logout "$registry"
    [ "$output" = "Removing login credentials for $registry" ]
    [ "$(jq -c .auths "$DOCKER_CONFIG/config.json")" = '{}' ]
    run -1 hull push "$registry/other:1"
    expect_match 'no basic auth credentials'
}

@test "tokens: scopes, an identity token instead of the password, what nobody may" {
    net_begin
    registry_tokens
    registry_start
    registry_creds=u:p registry_push "$(image_file busybox)" public/busybox:latest
    registry_creds=u:p registry_push "$(image_file busybox)" private/busybox:latest
    hulld_start
    run -0 hull pull -q "$registry/public/busybox"
    run -1 hull pull -q "$registry/private/busybox"
    expect_match "pull access denied for $registry/private/busybox, repository does not exist or may require 'docker login'"
    run -1 hull login -u u -p wrong "$registry"
    expect_match "Get \"http://$registry/v2/\": unauthorized: incorrect username or password"
    run -0 hull login -u u -p p "$registry"
    [ "$(jq -r ".auths[\"$registry\"].identitytoken" "$DOCKER_CONFIG/config.json")" = refresh-me ]
    [ "$(jq -r ".auths[\"$registry\"].auth" "$DOCKER_CONFIG/config.json")" = "$(printf u: | base64)" ]
    run -0 hull pull -q "$registry/private/busybox"
    hull tag "$registry/private/busybox" "$registry/private/copy"
    run -0 hull push "$registry/private/copy"
    expect_match 'Mounted from p'
    # the workers' scopes come in any order
    grep -q '^POST refresh .*repository:private/copy:pull,push' "$T/tokens" || fail "$(cat "$T/tokens")"
    run -0 hull logout "$registry"
    run -1 hull push "$registry/public/busybox"
    expect_match 'unauthorized: authentication required'
}

@test "credential helpers keep what login gets, and give it to pull and push" {
    net_begin
    registry_htpasswd
    registry_start
    registry_creds=u:p registry_push "$(image_file busybox)" busybox:latest
    hulld_start
    cat >"$T/bin/docker-credential-mine" <<-'END'
	#!/bin/bash
	input=$(cat); echo "$1 $input" >>"$T/helper.log"
	case $1 in
	store) printf '%s' "$input" >"$T/secret" ;;
	get) cat "$T/secret" 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;
	erase) rm -f "$T/secret" ;;
	esac
	END
    chmod +x "$T/bin/docker-credential-mine"
    printf '{"credHelpers": {"%s": "mine"}, "HttpHeaders": {"x": "y"}}' "$registry" >"$DOCKER_CONFIG/config.json"
    run -1 hull pull -q "$registry/busybox"
    expect_match 'no basic auth credentials'
    run -0 --separate-stderr hull login -u u --password-stdin "$registry" <<<p
    [ -z "$stderr" ]
    [ "$(jq -r .Secret "$T/secret")" = p ]
    [ "$(jq -c .auths "$DOCKER_CONFIG/config.json")" = "{\"$registry\":{}}" ]
    [ "$(jq -r .HttpHeaders.x "$DOCKER_CONFIG/config.json")" = y ]
    run -0 hull pull -q "$registry/busybox"
    run -0 hull logout "$registry"
    [ ! -e "$T/secret" ]
    grep -qx "erase $registry" "$T/helper.log"
}

@test "all tags, and by digest" {
    net_begin
    registry_start
    registry_push "$(image_file busybox)" app:1
    registry_push "$(image_file pages)" app:2
    hulld_start
    run -0 hull pull -a "$registry/app"
    [ "${lines[-1]}" = "$registry/app" ]
    run -0 hull images --format '{{.Tag}}' "$registry/app"
    [ "$(sort <<<"$output" | xargs)" = "1 2" ]
    run -1 hull pull -a "$registry/app:1"
    expect_match "tag can't be used with --all-tags/-a"
    digest=$(digest_at app 2)
    run -0 hull pull "$registry/app:1@$digest"
    expect_match "Digest: $digest"
    hull tag "$registry/app:1" "$registry/all:x"
    hull tag "$registry/app:2" "$registry/all:y"
    run -0 hull push -a "$registry/all"
    [ "$(digest_at all x)" = "$(digest_at app 1)" ]
    [ "$(digest_at all y)" = "$digest" ]
}

@test "push of an index that is not all here: the platform that is" {
    net_begin
    registry_start
    registry_push "$(image_file busybox)" app:1
    registry_push "$(image_file pages)" app:2
    make_index
    hulld_start
    run -0 hull pull -q "$registry/multi"
    hull tag "$registry/multi" "$registry/part"
    run -0 hull push "$registry/part"
    expect_match 'only the available single-platform image was pushed'
    [ "$(digest_at part latest)" = "$(digest_at app 1)" ]
    run -1 hull push --platform linux/riscv64 "$registry/part"
    expect_match 'riscv64'
}

make_index() { # an index multi:latest with app:1 and a copy of it for another platform
    local m size arch
    m=$(in_net curl -fsS -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$registry/v2/app/manifests/1" | wc -c)
    arch=$(dpkg --print-architecture)
    for tag in 1 2; do
        in_net skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$registry/app:$tag" "docker://$registry/multi:$tag"
    done
    size=$(in_net curl -fsS -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$registry/v2/app/manifests/2" | wc -c)
    jq -n --arg a "$(digest_at app 1)" --arg b "$(digest_at app 2)" --arg arch "$arch" --argjson m "$m" --argjson size "$size" '
        {schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [
        {mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $a, size: $m, platform: {os: "linux", architecture: $arch}},
        {mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $b, size: $size, platform: {os: "linux", architecture: "s390x"}}]}' \
        >"$T/index.json"
    in_net curl -fsS -X PUT -H 'Content-Type: application/vnd.oci.image.index.v1+json' --data-binary "@$T/index.json" \
        "http://$registry/v2/multi/manifests/latest"
}

# hulld whose /etc has other hosts and certificates: $T/etc lies over it.
hulld_with_etc() {
    local real
    real=$T/bin/hulld.real
    mv "$T/bin/hulld" "$real"
    mkdir -p "$T/etc" "$T/etc.work"
    cat >"$T/bin/hulld" <<-END
	#!/bin/sh
	exec unshare -m sh -c 'mount -t overlay overlay -o "lowerdir=/etc,upperdir=$T/etc,workdir=$T/etc.work" /etc && exec $real "\$@"' sh "\$@"
	END
    chmod +x "$T/bin/hulld"
    hulld_start
}

@test "Docker Hub's name: a stand-in with its own CA, mirrors before it, one of them down" {
    net_begin
    registry_ca "$T/ca" registry-1.docker.io
    registry_tls "$T/ca"
    registry_address=127.0.0.1:443
    registry_start hub
    registry_push "$(image_file busybox)" library/busybox:latest
    registry_http= registry_address= registry_start mirror
    registry_proxy asked "$registry"
    mirror=$proxy
    registry_push "$(image_file pages)" library/pages:latest
    mkdir -p "$T/etc/docker/certs.d/docker.io"
    printf '127.0.0.1 localhost registry-1.docker.io\n' >"$T/etc/hosts"
    cp "$T/ca/ca.pem" "$T/etc/docker/certs.d/docker.io/ca.crt"
    printf '{"registry-mirrors": ["http://127.0.0.1:1", "http://%s/"]}' "$mirror" >"$T/daemon.json"
    hulld_with_etc
    run -0 hull pull busybox # only the origin has it
    [ "${lines[-1]}" = docker.io/library/busybox:latest ]
    run -0 hull pull -q pages # only the mirror has it
    for what in manifests blobs; do # which is told for whom, as containerd does
        grep -q "^GET 200 /v2/library/pages/$what/[^ ?]*?ns=docker.io " "$T/asked.requests"
    done
    run -0 hull info --format '{{.RegistryConfig.Mirrors}}'
    [ "$output" = "[http://127.0.0.1:1 http://$mirror/]" ]
    hull tag busybox pushed:1
    run -0 hull push pushed:1 # never to a mirror
    expect_match 'The push refers to repository \[docker.io/library/pushed\]'
    [ -d "$T/hub/docker/registry/v2/repositories/library/pushed" ]
    rm "$T/etc/docker/certs.d/docker.io/ca.crt"
    run -1 hull pull busybox:latest
    expect_match 'Head "https://registry-1.docker.io/v2/library/busybox/manifests/latest": tls: failed to verify certificate: x509: certificate signed by unknown authority'
}

@test "insecure-registries: by name and by network, else TLS is a must" {
    net_begin
    in_net ip addr add 198.18.255.1/32 dev lo
    registry_address=198.18.255.1:5000
    registry_start
    registry_push "$(image_file busybox)" busybox:latest
    mkdir -p "$T/etc"
    printf '127.0.0.1 localhost\n198.18.255.1 plain.test other.test\n' >"$T/etc/hosts"
    printf '{"insecure-registries": ["plain.test:5000", "198.18.255.0/24"]}' >"$T/daemon.json"
    hulld_with_etc
    run -0 hull pull -q plain.test:5000/busybox
    run -0 hull pull -q 198.18.255.1:5000/busybox
    run -0 hull pull -q other.test:5000/busybox
    hulld_stop
    printf '{}' >"$T/daemon.json"
    hulld_start
    run -1 hull pull -q plain.test:5000/busybox
    expect_match 'Head "https://plain.test:5000/v2/busybox/manifests/latest": http: server gave HTTP response to HTTPS client'
}

@test "certs.d: a registry that wants a certificate of its clients" {
    net_begin
    registry_ca "$T/ca" 127.0.0.1
    registry_http="tls: {certificate: $T/ca/cert.pem, key: $T/ca/key.pem, clientcas: [$T/ca/ca.pem]}"
    registry_address=127.0.0.1:$(free_port)
    mkdir -p "$T/registry"
    openssl req -newkey rsa:2048 -nodes -subj /CN=client -keyout "$T/client.key" -out "$T/client.csr" 2>/dev/null
    openssl x509 -req -in "$T/client.csr" -CA "$T/ca/ca.pem" -CAkey "$T/ca/ca-key.pem" -CAcreateserial -days 2 -out "$T/client.cert" 2>/dev/null
    registry_curl="--cert $T/client.cert --key $T/client.key" registry_start
    in_net skopeo copy --quiet --dest-cert-dir "$(client_dir)" "oci-archive:$(image_file busybox)" "docker://$registry/busybox:latest"
    mkdir -p "$T/etc/docker/certs.d/$registry"
    cp "$T/ca/ca.pem" "$T/etc/docker/certs.d/$registry/ca.crt"
    cp "$T/client.key" "$T/client.cert" "$T/etc/docker/certs.d/$registry/"
    hulld_with_etc
    run -0 hull pull -q "$registry/busybox"
    run -0 hull login "$registry" -u u -p p # nobody asks for a password
    hull tag "$registry/busybox" "$registry/copy"
    run -0 hull push -q "$registry/copy"
    [ "$output" = "$registry/copy:latest" ]
    rm "$T/etc/docker/certs.d/$registry/client.key"
    run -1 hull pull -q "$registry/busybox"
    expect_match 'missing key client.key for client certificate client.cert'
}
client_dir() { # as skopeo wants it
    mkdir -p "$T/skopeo"
    cp "$T/ca/ca.pem" "$T/skopeo/ca.crt"
    cp "$T/client.cert" "$T/client.key" "$T/skopeo/"
    printf '%s\n' "$T/skopeo"
}

@test "sixty layers, and layers of zstd: the digest is the same all the way" {
    net_begin
    registry_start
    type -P zstd >/dev/null || skip "no zstd"
    hulld_start
    for name in gzip zstd; do
        count=60
        [ $name = gzip ] || count=5
        "$top/tests/fixtures/layers.py" $count "$T/$name" "$name"
        in_net skopeo copy --quiet --dest-tls-verify=false "oci:$T/$name" "docker://$registry/$name:1"
        run -0 hull pull -q "$registry/$name:1"
        hull tag "$registry/$name:1" "$registry/new/$name:1"
        run -0 hull push "$registry/new/$name:1"
        [ "$(digest_at "new/$name" 1)" = "$(digest_at "$name" 1)" ]
        run -0 hull image inspect --format '{{len .RootFS.Layers}} {{index .RepoDigests 0}}' "$registry/$name:1"
        expect_match "^$count $registry/(new/)?$name@$(digest_at "$name" 1)"
        [ "$(in_net skopeo inspect --tls-verify=false --raw "docker://$registry/new/$name:1" | jq -r ".layers[-1].mediaType")" = \
            "application/vnd.oci.image.layer.v1.tar+$name" ]
    done
}

# layers N REPO: an image of so many layers in the registry
push_layers() {
    "$top/tests/fixtures/layers.py" "$1" "$T/layers-$1"
    in_net skopeo copy --quiet --dest-tls-verify=false ${registry_creds:+--dest-creds=$registry_creds} "oci:$T/layers-$1" "docker://$registry/$2"
}

@test "a busy registry, blobs at another host, tokens that end in the middle of a pull" {
    net_begin
    registry_tokens -57 # the registry grants 60 seconds more: good for three
    registry_start
    registry_creds=u:p push_layers 4 public/app:1
    ln -s "$T/registry" "$T/cdn"
    behind=$registry
    registry_extra= registry_start cdn
    registry_proxy elsewhere "$registry"
    registry_proxy front "$behind" busy=2 away="$proxy"
    hulld_start
    run -0 hull pull -q "$proxy/public/app:1"
    [ "$(grep -c '^GET 429 ' "$T/front.requests")" = 2 ]
    [ "$(grep -c '^GET 307 /v2/public/app/blobs/.* auth ' "$T/front.requests")" -ge 4 ]
    [ "$(grep -c '^GET 200 /v2/public/app/blobs/.* - ' "$T/elsewhere.requests")" -ge 4 ]
    run -1 grep ' auth ' "$T/elsewhere.requests"
    run -1 grep 'ns=' "$T/front.requests" # that is for mirrors

    hull rmi "$proxy/public/app:1"
    before=$(grep -c nobody "$T/tokens")
    registry_proxy slow "$behind" late=1,4
    run -0 hull pull -q "$proxy/public/app:1"
    grep -q '^GET 401 /v2/public/app/blobs/.* auth ' "$T/slow.requests"
    [ "$(grep -c nobody "$T/tokens")" -ge $((before + 2)) ]
}

@test "daemon.json: proxies, how many downloads at a time, and how often" {
    net_begin
    in_net ip address add 10.11.12.13/32 dev lo
    registry_address=10.11.12.13:$(free_port) registry_start second
    second=$registry
    registry_address=10.11.12.13:$(free_port) registry_start
    push_layers 4 app:1
    registry_proxy forward - busy=1 late=100,0.2
    printf '{"insecure-registries": ["10.11.12.0/24"], "max-concurrent-downloads": 1, "max-concurrent-uploads": 1, "max-download-attempts": 2,
        "proxies": {"http-proxy": "http://u:secret@%s", "no-proxy": "other.example"}}' "$proxy" >"$T/daemon.json"
    hulld_start
    [ "$(hull info -f '{{.HTTPProxy}} {{.NoProxy}}')" = "http://xxxxx:xxxxx@$proxy other.example" ]
    run -0 hull pull -q "$registry/app:1"
    [ "$(grep -c "^GET 200 http://$registry/v2/app/blobs/.* 1$" "$T/forward.requests")" = 5 ]
    api GET "/distribution/$registry/app:1/json" # hull-registry goes the same way
    [ "$http_status" = 200 ]
    hull tag "$registry/app:1" "$second/app:1"
    run -0 hull push -q "$second/app:1"
    [ "$(grep -c "^PUT 201 http://$second/v2/app/blobs/.* 1$" "$T/forward.requests")" = 5 ]
    run -1 grep -E '/blobs/.* [2-9]$' "$T/forward.requests"
    hull rmi "$registry/app:1" "$second/app:1"
    hulld_stop

    registry_proxy refusing - busy=100
    run -1 in_net "$T/bin/hulld" --validate --config-file "$T/daemon.json" --http-proxy x
    expect_match 'specified both as a flag and in the configuration file: http-proxy: \(from flag: x, from file: http://xxxxx:xxxxx@'
    jq -c ".proxies[\"http-proxy\"] = \"http://$proxy\"" "$T/daemon.json" >"$T/other.json"
    mv "$T/other.json" "$T/daemon.json"
    hulld_start
    run -1 hull pull -q "$registry/app:1"
    expect_match '(429|toomanyrequests)'
    [ "$(grep -c '^GET 429 ' "$T/refusing.requests")" = 2 ]
    hulld_stop
    jq -c '.proxies["no-proxy"] = "10.11.12.0/24"' "$T/daemon.json" >"$T/other.json"
    mv "$T/other.json" "$T/daemon.json"
    hulld_start
    run -0 hull pull -q "$registry/app:1"
    [ "$(grep -c '^GET 429 ' "$T/refusing.requests")" = 2 ]
}
