#!/usr/bin/env bats
# The signature policy: real signatures made with openssl as cosign stores them, in a real registry.

load ../lib/common
load ../lib/images
load ../lib/hull
load ../lib/debian
load ../lib/registry

setup() {
    need_root
    test_begin
    keys=$T/keys
    mkdir -p "$keys"
    openssl ecparam -name prime256v1 -genkey -noout -out "$keys/a.pem"
    openssl genpkey -algorithm ed25519 -out "$keys/b.pem"
    for key in a b; do openssl pkey -in "$keys/$key.pem" -pubout -out "$keys/$key.pub"; done
}
teardown() {
    test_end
}

put() { # URL-PATH TYPE FILE: PUT to the registry
    in_net curl -fsS -o /dev/null -X PUT -H "Content-Type: $2" --data-binary "@$3" "http://$registry$1"
}
blob_put() { # REPO FILE: prints the descriptor's digest and size as JSON members
    local digest size where
    digest=sha256:$(sha256sum <"$2" | cut -d' ' -f1)
    size=$(stat -c %s "$2")
    where=$(in_net curl -fsS -o /dev/null -D - -X POST "http://$registry/v2/$1/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //p')
    in_net curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$2" "$where&digest=$digest"
    printf '"digest": "%s", "size": %d' "$digest" "$size"
}
digest_of() { # REPO TAG
    in_net skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$registry/$1:$2"
}

# signature_layer REPO DIGEST KEY NAME [PAYLOAD-FILE]: sign, upload the payload, print the layer's descriptor.
signature_layer() {
    local payload=$T/payload signature
    printf '{"critical":{"identity":{"docker-reference":"%s"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}' \
        "$4" "$2" >"$payload"
    case $3 in
    b) openssl pkeyutl -sign -rawin -inkey "$keys/$3.pem" -in "$payload" -out "$T/signature" ;;
    *) openssl dgst -sha256 -sign "$keys/$3.pem" -out "$T/signature" "$payload" ;;
    esac
    signature=$(base64 -w0 <"$T/signature")
    printf '{"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", %s, "annotations": {"dev.cosignproject.cosign/signature": "%s"}}' \
        "$(blob_put "$1" "${5:-$payload}")" "$signature"
}
# signature_manifest REPO LAYER...: a manifest of such layers in $T/sig.json
signature_manifest() {
    local config=$T/sig-config layers
    printf '{}' >"$config"
    layers=$(IFS=,; printf '%s' "${*:2}")
    printf '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"mediaType": "application/vnd.oci.image.config.v1+json", %s}, "layers": [%s]}' \
        "$(blob_put "$1" "$config")" "$layers" >"$T/sig.json"
}
# sign REPO DIGEST LAYER...: under the tag where cosign puts it, in place of what is there
sign() {
    signature_manifest "$1" "${@:3}"
    put "/v2/$1/manifests/${2/:/-}.sig" application/vnd.oci.image.manifest.v1+json "$T/sig.json"
}
policy() { # SCOPE KEY [IDENTITY]: everything else is free
    local identity=
    [ -z "${3:-}" ] || printf -v identity ', "signedIdentity": {"type": "%s"}' "$3"
    printf '{"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {"%s": [{"type": "sigstoreSigned", "keyPath": "%s"%s}]}}}' \
        "$1" "$keys/$2.pub" "$identity" >"$T/policy.json"
}
refused() { # REF TEXT: a pull is refused, says why, and brings nothing
    run -1 hull pull -q "$1"
    expect_match "Error response from daemon: $1 \(sha256:[0-9a-f]{64}\) is refused by the signature policy $T/policy.json, docker \"$registry/signed\", sigstoreSigned: $2"
    run -1 hull image inspect "$1"
}

@test "signature policy: only what the key has signed is pulled and run" {
    net_begin
    registry_start
    registry_push "$(image_file busybox)" signed:1
    registry_push "$(image_file busybox)" free:1
    policy "$registry/signed" a matchRepository
    hulld_start --signature-policy "$T/policy.json"
    image=$registry/signed:1
    digest=$(digest_of signed 1)
    other=sha256:$(printf x | sha256sum | cut -d' ' -f1)

    refused "$image" 'it has no signature in the registry'
    sign signed "$digest" "$(signature_layer signed "$digest" b "$registry/signed")"
    refused "$image" "none of its 1 signatures was made by the key $keys/a.pub"
    sign signed "$digest" "$(signature_layer signed "$other" a "$registry/signed")"
    refused "$image" "the signature by $keys/a.pub is for another digest \($other\)"
    sign signed "$digest" "$(signature_layer signed "$digest" a "$registry/free")"
    refused "$image" "the signature by $keys/a.pub is for the name \"$registry/free\""
    printf 'not what was signed' >"$T/garbage"
    sign signed "$digest" "$(signature_layer signed "$digest" a "$registry/signed" "$T/garbage")"
    refused "$image" "none of its 1 signatures was made by the key $keys/a.pub"
    head -c 100000 /dev/zero >"$T/garbage"
    sign signed "$digest" "$(signature_layer signed "$digest" a "$registry/signed" "$T/garbage")"
    refused "$image" 'it has no signature in the registry'

    # what nobody asked to be signed is as ever
    run -0 hull run --rm "$registry/free:1" echo free
    [ "${lines[-1]}" = free ]
    # the same bytes under the other name: no pull of that name has verified anything
    hull tag "$registry/free:1" "$image"
    run -125 hull run --rm --pull never "$image" true
    expect_match "$image \($digest\) is refused .* no signature of it was verified by a pull of this engine"
    run -0 hull run --rm "$digest" echo free # by an id: it has a free name
    hull rmi "$image"

    sign signed "$digest" "$(signature_layer signed "$other" a "$registry/signed")" \
        "$(signature_layer signed "$digest" a "$registry/signed")"
    run -0 hull pull "$image"
    expect_match "Digest: $digest"
    expect_match "Status: Downloaded newer image for $image"
    [ "$(hull image inspect -f '{{.Id}}' "$image")" = "$digest" ]
    # offline, after a restart, under any name of the repository; but not under others, and not once the key is withdrawn
    registry_stop
    hulld_stop
    hulld_start --signature-policy "$T/policy.json"
    hull run --rm "$image" true
    hull tag "$image" "$registry/signed:2"
    hull run --rm "$registry/signed:2" true
    hull run --rm "$registry/signed@$digest" true
    policy "$registry/signed" b matchRepository
    run -125 hull run --rm --pull never "$image" true
    expect_match "none of its 1 signatures was made by the key $keys/b.pub"
    printf '{"default": [{"type": "reject"}]}' >"$T/policy.json"
    run -125 hull run --rm --pull never "$registry/free:1" true
    expect_match 'default, reject: no image is accepted there'
    run -1 hull pull "$registry/free:1"
    expect_match 'default, reject: no image is accepted there'
    printf '{"default": [{"type": "rejekt"}]}' >"$T/policy.json"
    run -125 hull run --rm --pull never "$registry/free:1" true
    expect_match "signature policy $T/policy.json: default: unknown type of requirement \"rejekt\""
}

@test "signature policy: an index or its manifest, referrers, the exact tag, loaded images" {
    net_begin
    registry_start
    registry_push "$(image_file busybox)" multi:part
    registry_push "$(image_file busybox)" signed:1
    policy "$registry" b matchRepository
    hulld_start --signature-policy "$T/policy.json"
    manifest=$(digest_of multi part)
    in_net skopeo inspect --raw --tls-verify=false "docker://$registry/multi:part" >"$T/manifest.json"
    printf '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{"mediaType": "%s", "digest": "%s", "size": %d, "platform": {"os": "linux", "architecture": "%s"}}]}' \
        "$(jq -r .mediaType "$T/manifest.json")" "$manifest" "$(stat -c %s "$T/manifest.json")" "$(dpkg --print-architecture)" >"$T/index.json"
    put /v2/multi/manifests/1 application/vnd.oci.image.index.v1+json "$T/index.json"
    index=$(sha256sum <"$T/index.json" | cut -d' ' -f1)
    run -1 hull pull -q "$registry/multi:1"
    expect_match "$registry/multi:1 \(sha256:$index\) is refused"
    sign multi "$manifest" "$(signature_layer multi "$manifest" b "$registry/multi")"
    run -0 hull pull -q "$registry/multi:1"
    hull create --name box "$registry/multi:1" true
    [ "$(hull image inspect -f '{{.Id}}' "$registry/multi:1")" = "sha256:$index" ]

    # OCI 1.1: this registry keeps no list of referrers, so it is under a tag
    digest=$(digest_of signed 1)
    signature_manifest signed "$(signature_layer signed "$digest" b "$registry/signed:1")"
    signature=$(sha256sum <"$T/sig.json" | cut -d' ' -f1)
    put "/v2/signed/manifests/sha256:$signature" application/vnd.oci.image.manifest.v1+json "$T/sig.json"
    printf '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:%s", "size": %d, "artifactType": "application/vnd.dev.cosign.artifact.sig.v1+json"}]}' \
        "$signature" "$(stat -c %s "$T/sig.json")" >"$T/referrers.json"
    put "/v2/signed/manifests/${digest/:/-}" application/vnd.oci.image.index.v1+json "$T/referrers.json"
    policy "$registry" b # the tag must be the signed one
    run -0 hull pull -q "$registry/signed:1"
    in_net skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false "docker://$registry/signed:1" "docker://$registry/signed:2"
    run -1 hull pull -q "$registry/signed:2"
    expect_match "is for the name \"$registry/signed:1\", which matchRepoDigestOrExact does not accept"
    run -0 hull pull -q "$registry/signed@$digest"
    # an archive carries no signatures: its digest is known here, or it is not
    hull save -o "$T/signed.tar" "$registry/signed:1"
    hull rmi "$registry/signed:1" "$registry/signed@$digest"
    hull load -q -i "$T/signed.tar"
    run -125 hull run --rm --pull never "$registry/signed:1" true
    expect_match 'no signature of it was verified by a pull of this engine'
    run -0 hull pull -q "$registry/signed:1"
    hull run --rm "$registry/signed:1" true
}

@test "signature policy: a daemon does not start with one that it cannot read" {
    printf '{"default": []}' >"$T/policy.json"
    printf '{"signature-policy": "%s"}' "$T/policy.json" >"$T/daemon.json"
    need hulld hull-containerd
    net_begin
    run -1 in_net "$T/bin/hulld" --config-file "$T/daemon.json" --data-root "$T/data" --exec-root "$T/exec" \
        --pidfile "$T/hulld.pid" -H "unix://$T/hull.sock"
    expect_match "signature policy $T/policy.json: default: expected a list of requirements, at least one"
    rm "$T/policy.json"
    run -1 in_net "$T/bin/hulld" --config-file "$T/daemon.json" --data-root "$T/data" --exec-root "$T/exec" \
        --pidfile "$T/hulld.pid" -H "unix://$T/hull.sock"
    expect_match "signature policy $T/policy.json: .*no such file or directory"
}
