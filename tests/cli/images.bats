#!/usr/bin/env bats
# Images through hull and Docker's client against hulld: commit, save and load, import and export, removal, prune, disk usage.

load ../lib/common
load ../lib/images
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    need hull hulld hull-containerd containerd-shim-hull-v2
    test_begin
    hulld_start
    engine_load busybox
}
teardown() {
    docker rm -f $(docker ps -aq) >/dev/null 2>&1 || true
    test_end
}

@test "commit: the changes, the configuration and the words of --change become an image" {
    hull run --name one -e A=1 -v /vol busybox sh -c 'echo hello >/etc/greeting; rm /etc/group; mkdir -m 1777 /deep; ln /etc/greeting /deep/link; echo gone >/vol/file'
    run -0 hull commit -a 'An Author' -m 'a message' -c 'CMD ["cat","/etc/greeting"]' -c 'ENV B=2' -c 'EXPOSE 80' -c 'HEALTHCHECK --retries=3 CMD true' one team/app:1
    id=$output
    [ "$(hull images -q --no-trunc team/app:1)" = "$id" ]
    [ "$(hull run --rm team/app:1 2>/dev/null)" = hello ]
    run -0 hull run --rm team/app:1 sh -c 'ls /etc/group; stat -c %a /deep; stat -c %h /deep/link; ls /vol; echo $A $B'
    expect_match 'No such file'
    expect_match $'\n1777\n2\n1 2$'
    run -0 hull image inspect team/app:1
    [ "$(jq -c '.[0] | [.Author, .Comment, .Config.Cmd, .Config.ExposedPorts, .Config.Healthcheck.Test, .Config.Healthcheck.Retries, (.RootFS.Layers | length)]' <<<"$output")" = \
        '["An Author","a message",["cat","/etc/greeting"],{"80/tcp":{}},["CMD-SHELL","true"],3,2]' ]
    [ "$(hull history --format '{{.Comment}}' team/app:1 | head -n 1)" = 'a message' ]
    # the same again is another image on the same layer; a name that moves leaves the former one untagged
    run -0 hull commit one team/app:1
    [ "$output" != "$id" ]
    [ "$(hull images -q --no-trunc --filter dangling=true)" = "$id" ]
    run -1 hull commit -c 'RUN true' one
    expect_output 'Error response from daemon: RUN is not a valid change command'
    run -1 hull commit missing
    expect_output 'Error response from daemon: No such container: missing'
}

@test "commit: a running container is held meanwhile, unless it shall not be; no name is fine" {
    hull run -d --name one busybox sh -c 'echo x >/x; sleep 1000'
    wait_until hull exec one test -e /x
    run -0 hull commit one
    [[ $output =~ ^sha256:[0-9a-f]{64}$ ]]
    [ "$(hull run --rm "$output" cat /x)" = x ]
    [ "$(hull inspect -f '{{.State.Status}}' one)" = running ]
    hull commit --no-pause one quick
    run -0 hull events --since 1 --until "$(($(date +%s) + 1))" --filter container=one --format '{{.Action}}'
    [ "$(grep -c '^pause$' <<<"$output")" = 1 ]
    [ "$(grep -c '^commit$' <<<"$output")" = 2 ]
}

@test "commit, save, export, import and prune by Docker's client" {
    need_docker
    docker create --name one busybox true
    docker cp "$(program hull-unpack)" one:/data
    id=$(docker commit -m text -c 'LABEL k=v' one x:1)
    [ "$(docker image inspect -f '{{.Id}} {{.Comment}} {{.Config.Labels.k}}' x:1)" = "$id text v" ]
    docker export -o "$T/one.tar" one
    tar -tf "$T/one.tar" | grep -qx data
    docker import -c 'CMD ["/bin/true"]' -m imported "$T/one.tar" y:1
    docker run --rm y:1
    [ "$(docker history --format '{{.Comment}}' y:1)" = imported ]
    run -0 docker image prune -af --filter label=k=v
    expect_match 'untagged: x:1'
    run -0 docker images --format '{{.Repository}}'
    [ "$(sort <<<"$output")" = $'busybox\ny' ]
}

@test "platforms: each of a loaded index is inspected, saved, loaded and removed by itself" {
    other='image with reference multi:1 was found but does not provide the specified platform'
    "$top/tests/fixtures/layers.py" 2 "$T/multi" gzip "$(dpkg --print-architecture),s390x"
    tar -C "$T/multi" -cf "$T/multi.tar" .
    run -0 hull load -i "$T/multi.tar"
    [ "$output" = 'Loaded image: multi:1' ]
    index=$(hull image inspect -f '{{.Id}}' multi:1)
    s390x=$(hull image inspect --platform linux/s390x -f '{{.Id}} {{.Architecture}}' multi:1)
    [ "$s390x" = "$(jq -r '.manifests[1].digest' "$T/multi/blobs/sha256/${index#sha256:}") s390x" ]
    s390x=${s390x% *}
    run -1 hull image inspect --platform linux/riscv64 multi:1
    expect_match "Error response from daemon: $other \(linux/riscv64\)"
    run -1 hull image inspect --platform a/b/c/d multi:1
    expect_match 'a/b/c/d'
    [ "$(hull history --platform linux/s390x -q multi:1 | wc -l)" = 2 ]
    run -1 hull history --platform linux/riscv64 multi:1
    expect_output "Error response from daemon: $other (linux/riscv64)"

    # all of it goes out, or one
    hull save -o "$T/all.tar" multi:1
    tar -tf "$T/all.tar" | sort >"$T/all"
    (cd "$T/multi" && find blobs -type f | sort) >"$T/blobs"
    [ -z "$(comm -13 "$T/all" "$T/blobs")" ]
    hull save --platform linux/s390x -o "$T/one.tar" multi:1
    [ "$(tar -xOf "$T/one.tar" index.json | jq -c '.manifests[0] | [.digest, .platform.architecture]')" = "[\"$s390x\",\"s390x\"]" ]
    [ "$(tar -tf "$T/one.tar" | grep -c '^blobs/sha256/.')" = 4 ]
    run -1 hull save --platform linux/riscv64 -o "$T/none.tar" multi:1
    expect_output "Error response from daemon: no suitable export target found: $other (linux/riscv64)"

    # one platform's content goes, the name and the other stay
    run -1 hull rmi --platform linux/s390x multi:1
    expect_match 'Content will be removed from all images referencing this variant. Use —-force to force delete.'
    run -0 hull rmi -f --platform linux/s390x multi:1
    expect_output "Deleted: $s390x"
    run -0 hull rmi -f --platform linux/s390x multi:1 # not there: -f is content with that
    expect_output "Error response from daemon: failed to delete platform linux/s390x for image $index: image with reference multi:1 was found but does not provide any platform"
    run -1 hull image inspect --platform linux/s390x multi:1
    expect_match "$other \(linux/s390x\)"
    hull save -o "$T/rest.tar" multi:1
    [ "$(tar -tf "$T/rest.tar" | grep -c '^blobs/sha256/.')" = 5 ]
    hull create --name of-rest multi:1 # the rest still runs
    hull rm of-rest
    hull rmi multi:1

    # in, only one: others of the index are not there; an archive without it says so
    run -0 hull load --platform linux/s390x -i "$T/multi.tar"
    [ "$(hull images -q --no-trunc multi)" = "$index" ]
    [ "$(hull image inspect -f '{{.Architecture}}' multi:1)" = s390x ]
    run -1 hull image inspect --platform "linux/$(dpkg --print-architecture)" multi:1
    expect_match "$other"
    hull save -o "$T/part.tar" multi:1
    hull rmi multi:1
    run -0 hull load -i "$T/part.tar"
    expect_output 'Loaded image: multi:1'
    hull rmi multi:1
    run -1 hull load --platform linux/riscv64 -i "$T/multi.tar"
    expect_match "image multi:1 was loaded, but doesn't provide the requested platform \(linux/riscv64\)"
    run -1 hull load --platform linux/riscv64 -i "$T/one.tar"
    expect_match 'requested platform \(linux/riscv64\) not found: image might be filtered out'

    api GET '/v1.51/images/busybox/json?platform=x'
    [ "$http_status" = 400 ]
    expect_match 'failed to parse platform: '
    api GET '/v1.51/images/busybox/json?platform=%7B%22os%22%3A%22linux%22%7D'
    [ "$http_status" = 400 ]
    expect_match 'both OS and Architecture must be provided'
    api GET '/v1.47/images/busybox/history?platform=x'
    [ "$http_status" = 200 ]
}

@test "save and export write whole files or none; they refuse a terminal" {
    hull save -o "$T/b.tar" busybox
    [ "$(tar -xOf "$T/b.tar" manifest.json | jq -c '.[0].RepoTags')" = '["busybox:latest"]' ]
    [ "$(stat -c %a "$T/b.tar")" = 600 ]
    run -1 hull save -o "$T/none.tar" missing
    expect_output 'Error response from daemon: No such image: missing:latest'
    run -1 hull save -o "$T/no/where" busybox
    expect_output "invalid output path: directory \"$T/no\" does not exist"
    hull create --name one busybox
    hull export -o "$T/one.tar" one
    tar -tf "$T/one.tar" | grep -qx bin/busybox
    run -1 script -qec "$T/bin/hull save busybox" /dev/null
    expect_match 'cowardly refusing to save to a terminal'
    [ -z "$(find "$T" -maxdepth 1 -name '.tmp-*' -o -name none.tar)" ]
}

@test "image prune: dangling ones, all with -a, until and label; a used image stays" {
    hull create --name one busybox
    hull commit -c 'LABEL keep=yes' one kept
    hull commit one loose
    hull commit one loose # the first of that name is dangling now
    run -0 bash -c 'echo n | hull image prune'
    expect_match 'WARNING! This will remove all dangling images'
    [ "$(hull images -qf dangling=true | wc -l)" = 1 ]
    run -0 hull image prune -f
    expect_match '^Deleted Images:'
    expect_match 'deleted: sha256:'
    [ -z "$(hull images -qf dangling=true)" ]
    run -0 hull image prune -af --filter until=1h
    expect_output 'Total reclaimed space: 0B'
    run -0 hull image prune -af --filter label!=keep
    expect_match 'untagged: loose:latest'
    run -0 hull images --format '{{.Repository}}'
    [ "$(sort <<<"$output")" = $'busybox\nkept' ]
    run -1 hull image prune -f --filter x=y
    expect_match 'invalid filter'
    hull rm one
    hull image prune -af
    [ -z "$(hull images -q)" ]
}

@test "container, network and volume prune: what nobody uses goes, after a yes" {
    hull run --name done busybox true
    hull run -d --name busy --network none -v used:/v busybox sleep 1000
    hull volume create named
    hull create --name anonymous -v /v busybox
    hull network create lonely
    run -0 bash -c 'echo y | hull container prune'
    expect_match 'WARNING! This will remove all stopped containers.'
    expect_match 'Deleted Containers:'
    expect_match 'Total reclaimed space: '
    [ "$(hull ps -aq | wc -l)" = 1 ]
    run -0 hull network prune -f
    expect_output $'Deleted Networks:\nlonely'
    run -0 hull volume prune -f
    expect_match '[0-9a-f]{64}'
    run -0 hull volume prune -af
    expect_match 'named'
    [ "$(hull volume ls -q)" = used ]
}

# df_agrees: what system df tells is what du sees, within 1 %
df_agrees() {
    local told seen
    sync -f "$T"
    api GET /system/df
    told=$(jq '.LayersSize + .MetadataSize + ([.Containers[]?.SizeRw] | add // 0) + ([.Volumes[]?.UsageData.Size] | add // 0)' <<<"$output")
    seen=$(du -sx --block-size=1 "$T/data" | cut -f1)
    printf 'df %d, du %d\n' "$told" "$seen"
    [ $(((told - seen) * 100)) -le "$seen" ] && [ $(((seen - told) * 100)) -le "$seen" ]
}

@test "system df: agrees with du, and tells what is shared" {
    hull run -d --name busy --network none -v data:/data busybox sh -c 'dd if=/dev/urandom of=/own bs=1M count=3; dd if=/dev/urandom of=/data/x bs=1M count=2; sleep 1000'
    wait_until hull exec busy test -e /data/x
    hull run --name done --network none busybox dd if=/dev/urandom of=/own bs=1M count=5
    hull commit done committed
    wait_until df_agrees
    run -0 hull system df
    expect_match '^TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE'
    expect_match 'Images          2         1 '
    expect_match 'Containers      2         1 .*MB \(6[0-9]%\)'
    expect_match 'Local Volumes   1         1 '
    run -0 hull system df --format '{{.Type}} {{.TotalCount}}'
    expect_match $'^Images 2\nContainers 2\nLocal Volumes 1\nBuild Cache 0\nMetadata'
    run -0 hull system df -v
    expect_match 'Images space usage:'
    expect_match 'REPOSITORY   TAG       IMAGE ID       CREATED .* SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS'
    expect_match $'\nbusybox      latest .* 2\n'
    expect_match 'Build cache usage: 0B'
    run -1 hull system df -v --format json
    # everything of busybox but its manifest is in the other image too
    api GET '/images/json?shared-size=1'
    [ "$(jq '[.[] | select(.RepoTags[0] == "busybox:latest") | .Size - .SharedSize < 10000 and .SharedSize > 1000000] | all' <<<"$output")" = true ]
    need_docker
    run -0 docker system df
    expect_match 'Images          2         1 '
    run -0 docker system df -v
    expect_match $'\nbusybox .* 2\n'
    # once all is gone, so are the bytes
    docker rm -f busy done
    docker volume prune -af
    docker image prune -af
    wait_until df_agrees
    api GET /system/df
    [ "$(jq -c '[.LayersSize, .Images, .Containers, .Volumes]' <<<"$output")" = '[0,[],[],[]]' ]
    [ -z "$(ls "$T/data/containerd/blobs/sha256" "$T/data/containerd/ingest" | grep -v :)" ]
    [ -z "$(ls "$T/data/containerd/snapshots")" ]
}

@test "rmi: what is in use or has several names stays, in Docker's words; the last name takes the image along" {
    id=$(hull images -q --no-trunc busybox)
    short=${id#sha256:} short=${short:0:12}
    hull run -d --name busy --network none busybox sleep 1000
    busy=$(hull ps -q)
    hull tag busybox other:1
    run -1 hull rmi "$short"
    expect_output "Error response from daemon: conflict: unable to delete $short (cannot be forced) - image is being used by running container $busy"
    run -1 hull rmi -f "$short"
    expect_match 'cannot be forced'
    run -0 hull rmi other:1
    expect_output 'Untagged: other:1'
    run -1 hull rmi busybox
    expect_output "Error response from daemon: conflict: unable to delete busybox:latest (must be forced) - container $busy is using its referenced image $short"
    run -0 hull rmi -f busybox # the name goes, the image stays as long as the container
    expect_output 'Untagged: busybox:latest'
    [ "$(hull images -q --no-trunc)" = "$id" ]
    hull stop -t 0 busy
    run -1 hull rmi "$short"
    expect_output "Error response from daemon: conflict: unable to delete $short (must be forced) - image is being used by stopped container $busy"
    hull rm busy
    run -0 hull rmi "$short"
    expect_output "Deleted: $id"
    run -1 hull rmi missing
    expect_output 'Error response from daemon: No such image: missing:latest'
    run -0 hull rmi -f missing
    engine_load busybox
    hull tag busybox a:1
    hull tag busybox a:2
    hull rmi busybox
    run -1 hull rmi "$short"
    expect_output "Error response from daemon: conflict: unable to delete $short (must be forced) - image is referenced in multiple repositories"
    run -0 hull rmi -f "$short"
    [ "$(sort <<<"$output")" = $'Deleted: '"$id"$'\nUntagged: a:1\nUntagged: a:2' ]
}

@test "images: filters, digests and formats" {
    hull create --name one --network none busybox
    hull commit -c 'LABEL stage=test' one new:1
    hull commit one new:1 # the first one is dangling now
    hull tag busybox team/box:2
    list() { hull images --format '{{.Repository}}:{{.Tag}}' "$@" | sort | tr '\n' ' '; }
    [ "$(list --filter dangling=true)" = '<none>:<none> ' ]
    [ "$(list --filter dangling=false)" = 'busybox:latest new:1 team/box:2 ' ]
    [ "$(list --filter label=stage=test)" = '<none>:<none> ' ]
    [ "$(list --filter label=stage)" = '<none>:<none> ' ]
    [ "$(list --filter before=new:1 --filter dangling=false)" = 'busybox:latest team/box:2 ' ]
    [ "$(list --filter since=busybox --filter dangling=false)" = 'new:1 ' ]
    [ "$(list --filter until=1h --filter reference=new)" = '' ]
    run -0 list --filter 'reference=team/*'
    expect_output 'team/box:2 '
    [ "$(list --filter 'reference=*:1')" = 'new:1 ' ]
    [ "$(list new)" = 'new:1 ' ]
    [ "$(hull images --digests --format '{{.Digest}}' busybox)" = "$(hull images -q --no-trunc busybox)" ]
    run -1 hull images --filter colour=red
    expect_match "invalid filter 'colour'"
    run -0 hull images --digests
    expect_match '^REPOSITORY   TAG       DIGEST  .* IMAGE ID       CREATED .* SIZE'
}
