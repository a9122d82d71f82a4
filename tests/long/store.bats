#!/usr/bin/env bats
# Every byte has an owner: hull-containerd is killed at random moments of pulls, loads, commits, removals and collections,
# and disks get full at random moments. Afterwards no file is there that no row owns, no mount is left, `system df` says
# what du says, and the same pull completes from what was there. HULL_KILLS kills (20) and HULL_FULL full disks (10).

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/peers
load ../lib/hull

kills=${HULL_KILLS:-20}
fulls=${HULL_FULL:-10}

setup() {
    need_root
    need hull hulld hull-containerd hull-unpack
    need_tool sqlite3
    test_begin
    net_begin
}
teardown() {
    [ -z "${T:-}" ] || ! mountpoint -q "$T/data" || { finish hulld || true; umount "$T/data"; }
    test_end
}

# images_served: a registry with debian:1, pages:1 and layers:1
images_served() {
    registry_start
    registry_push "$(image_file debian)" debian:1
    registry_push "$(image_file pages)" pages:1
    make_layers
}

# make_layers: `layers:1`, twelve layers of 2 MB that do not compress and a hundred small files each
make_layers() {
    local dir=$T/layers n digests=() sizes=() ids=()
    mkdir -p "$dir/blobs/sha256" "$dir/tree"
    put() { # FILE: sets digest and size
        digest=$(sha256sum <"$1" | cut -d' ' -f1)
        size=$(stat -c %s "$1")
        mv "$1" "$dir/blobs/sha256/$digest"
    }
    for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
        mkdir -p "$dir/tree/d$n"
        head -c 2000000 /dev/urandom >"$dir/tree/d$n/big"
        seq 100 | (cd "$dir/tree/d$n" && while read -r f; do printf '%s of %s\n' "$f" "$n" >"small$f"; done)
        tar -C "$dir/tree" -cf "$dir/l.tar" "d$n"
        ids+=("sha256:$(sha256sum <"$dir/l.tar" | cut -d' ' -f1)")
        gzip -1n "$dir/l.tar"
        put "$dir/l.tar.gz"
        digests+=("sha256:$digest") sizes+=("$size")
        rm -r "$dir/tree/d$n"
    done
    jq -nc '{created: "2026-01-01T00:00:00Z", architecture: "amd64", os: "linux", config: {}, rootfs: {type: "layers", diff_ids: $ARGS.positional}}' \
        --args "${ids[@]}" >"$dir/c"
    put "$dir/c"
    for n in "${!digests[@]}"; do
        printf '{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "%s", "size": %s}\n' "${digests[n]}" "${sizes[n]}"
    done | jq -sc --arg digest "sha256:$digest" --argjson size "$size" \
        '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $digest, size: $size}, layers: .}' >"$dir/m"
    put "$dir/m"
    jq -nc --arg digest "sha256:$digest" --argjson size "$size" \
        '{schemaVersion: 2, manifests: [{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest, size: $size}]}' >"$dir/index.json"
    printf '{"imageLayoutVersion": "1.0.0"}' >"$dir/oci-layout"
    rm -r "$dir/tree"
    in_net skopeo copy --quiet --dest-tls-verify=false "oci:$dir" "docker://$registry/layers:1"
}

supervisor_pid() {
    local pid
    for pid in $(grep -lzE "^HULL_TEST_ID=$T\$" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != hull-containerd ] || printf '%s\n' "$pid"
    done
}
a_moment() { # up to MS milliseconds
    read -rt "$(printf '%d.%03d' $(((n = RANDOM * RANDOM % $1) / 1000)) $((n % 1000)))" <><(:) || true
}

# What the drill does all the time; each may fail.
an_action() { # NAME
    case $1 in
    pull) in_net hull pull -q "$registry/$(shuf -n 1 -e debian layers pages):1" ;;
    load) hull load -q -i "$(image_file "$(shuf -n 1 -e debian pages)" "$(shuf -n 1 -e oci docker)")" ;;
    commit) hull commit keeper "committed$((RANDOM % 4))" ;;
    save) hull save "$(hull images -q | shuf -n 1)" >/dev/null ;;
    remove) hull rmi -f "$(hull images --format '{{.Repository}}:{{.Tag}}' | grep -v busybox | shuf -n 1)" ;;
    prune) hull image prune -af ;;
    esac >/dev/null 2>&1 </dev/null
}

# --- what must hold --------------------------------------------------------------------------------------------------

owned() { # no file without a row, no row without its file
    local root=$T/data/containerd
    rm -rf "$T/look"
    mkdir "$T/look"
    cp "$root"/meta.db* "$T/look" # the database itself is locked
    rows() { sqlite3 "$T/look/meta.db" "$1" | sort; }
    diff <(ls "$root/blobs/sha256") <(rows "SELECT DISTINCT substr(digest, 8) FROM content") &&
        diff <(ls "$root/snapshots" | sort) <(rows "SELECT id FROM snapshot") &&
        diff <(ls "$root/ingest" | sort) <(rows "SELECT id FROM ingest")
}
df_agrees() {
    local told seen
    sync -f "$T/data"
    api GET /system/df
    told=$(jq '.LayersSize + .MetadataSize + ([.Containers[]?.SizeRw] | add // 0)' <<<"$output")
    seen=$(du -sx --block-size=1 "$T/data" | cut -f1)
    printf 'df %d, du %d\n' "$told" "$seen"
    [ $(((told - seen) * 100)) -le "$seen" ] && [ $(((seen - told) * 100)) -le "$seen" ]
}
nothing_stays() {
    wait_until owned && wait_until df_agrees && wait_until no_mounts && wait_until no_helpers
}
no_mounts() { ! leaked_mounts | grep -vxF "$T/data"; }
no_helpers() { ! leaked_processes | grep hull-unpack; }
supervisor_back() { [ "$(supervisor_pid)" != "$1" ] && hull images -q >/dev/null; }
complete() { # pull, and look at the files
    in_net hull pull -q "$registry/$1:1"
    diff <(hull image inspect -f '{{json .RootFS.Layers}}' "$registry/$1:1") <(in_net skopeo inspect --tls-verify=false --config "docker://$registry/$1:1" | jq -c .rootfs.diff_ids)
}
empty() {
    hull rm -f keeper >/dev/null
    hull image prune -af >/dev/null
    (cd "$T/data/containerd" && ls -d blobs/sha256/* ingest/* snapshots/* 2>/dev/null) >"$T/left" || true
    [ ! -s "$T/left" ] || { owned; rows 'SELECT ns, id FROM lease'; rows 'SELECT ns, name FROM image'; fail "left: $(cat "$T/left")"; }
}

@test "killed at any moment: no byte without an owner, and pulls go on from what is there" {
    local n pid action pids
    images_served
    hulld_start
    engine_load busybox
    hull run --name keeper --network none busybox dd if=/dev/urandom of=/data bs=1M count=3 2>/dev/null
    for ((n = 1; n <= kills; n++)); do
        pids=()
        for action in $(shuf -n 3 -e pull pull pull load load commit save remove prune); do
            an_action "$action" &
            pids+=($!)
        done
        a_moment 1500
        pid=$(supervisor_pid)
        [ -z "$pid" ] || kill -KILL $pid
        wait "${pids[@]}" || true
        wait_until supervisor_back "$pid"
        nothing_stays || fail "after kill $n"
    done
    for action in debian layers pages; do complete "$action"; done
    nothing_stays
    empty
}

@test "a pull killed half-way goes on from there" {
    local size before killed
    images_served
    hulld_start
    size=$(jq '[.layers[].size] | add' "$T/layers/blobs/sha256/$(jq -r '.manifests[0].digest | sub("sha256:"; "")' "$T/layers/index.json")")
    received() { in_net cat /proc/net/dev | awk '$1 == "lo:" {print $2}'; }
    in_net tc qdisc add dev lo root tbf rate 80mbit burst 1m latency 1s 2>/dev/null || skip 'tc cannot slow loopback here'
    before=$(received)
    in_net hull pull -q "$registry/layers:1" >/dev/null 2>&1 &
    half_there() { [ $(($(received) - before)) -ge $((size / 2)) ]; }
    wait_until half_there
    pid=$(supervisor_pid)
    kill -KILL $pid
    wait $! || true
    killed=$(received)
    wait_until supervisor_back "$pid"
    complete layers
    printf 'killed at %d %%, then %d %%\n' $(((killed - before) * 100 / size)) $((($(received) - killed) * 100 / size))
    [ $(($(received) - killed)) -le $((size * 60 / 100)) ]
}

@test "full disks: an error that says so, nothing half there, and all goes on once there is room" {
    local n action room pids
    images_served
    mkdir "$T/data"
    mount -t tmpfs -o size=400m tmpfs "$T/data"
    hulld_start
    engine_load busybox
    hull run --name keeper --network none busybox dd if=/dev/urandom of=/data bs=1M count=3 2>/dev/null
    for ((n = 1; n <= fulls; n++)); do
        an_action prune || true
        room=$(df --output=avail -k "$T/data" | tail -n 1)
        fallocate -l $((room - RANDOM % 60000 - 500))K "$T/data/filler"
        pids=()
        for action in pull $(shuf -n 1 -e pull load commit); do
            an_action "$action" &
            pids+=($!)
        done
        wait "${pids[@]}" || true
        hull images >/dev/null
        rm "$T/data/filler"
        nothing_stays || fail "after full disk $n"
    done
    for action in layers pages; do complete "$action"; done
    nothing_stays
    empty
    run -0 hull ps -a
}

# cpu_ms: what hulld and hull-containerd have worked so far
cpu_ms() {
    local pid
    for pid in $(supervisor_pid) "$(cat "$T/pid/hulld")"; do cut -d' ' -f14,15 "/proc/$pid/stat"; done |
        awk -v hz="$(getconf CLK_TCK)" '{n += $1 + $2} END {print int(n * 1000 / hz)}'
}

@test "prune -a of 200 images over 500 layers: two seconds of work, and the disk is as empty as before" {
    local before began took_ms worked_ms left
    mkdir "$T/data"
    mount -t tmpfs -o size=4g tmpfs "$T/data" # the time of a shared disk is not ours
    hulld_start
    before=$(du -sx --block-size=1 "$T/data/containerd/"{blobs,ingest,snapshots} | awk '{n += $1} END {print n}')
    hull load -qi "$(many_images)" >/dev/null
    [ "$(hull images -q | wc -l)" = 200 ]
    [ "$(ls "$T/data/containerd/snapshots" | wc -l)" = 500 ]
    wait_until df_agrees
    sync -f "$T"
    began=$(date +%s%N)
    worked_ms=$(cpu_ms)
    hull image prune -af >"$T/pruned"
    worked_ms=$(($(cpu_ms) - worked_ms))
    took_ms=$((($(date +%s%N) - began) / 1000000))
    tail -n 1 "$T/pruned"
    left=$(du -sx --block-size=1 "$T/data/containerd/"{blobs,ingest,snapshots} | awk '{n += $1} END {print n}')
    # folders keep the blocks of their names; others may use the processors, too
    printf 'prune took %d ms, %d of them work; %d bytes were there before, %d are now\n' "$took_ms" "$worked_ms" "$before" "$left"
    [ $((left - before)) -le 200000 ]
    [ "$worked_ms" -le 2000 ]
}
