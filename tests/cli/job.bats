#!/usr/bin/env bats
# The main job on real input, with our client and with Docker's: a Debian image from a real registry, a shell in a terminal,
# nginx installed with apt through bridge and NAT, its page fetched, logs, exec, cp, stats, stop, start, rm.

load ../lib/common
load ../lib/images
load ../lib/registry
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    need hull hulld hull-containerd containerd-shim-hull-v2
    [ "$BATS_TEST_DESCRIPTION" = "${BATS_TEST_DESCRIPTION#*docker}" ] || need_docker
    test_begin
    net_begin
}
teardown() {
    test_end
}

client() { # the client under test, in the test's network namespace
    case $client in
    docker) docker "$@" ;;
    *) in_net "$T/bin/hull" "$@" ;;
    esac
}
# client_words: its command line as one shell word list, for `script`, which wants a string
client_words() {
    case $client in
    docker) docker_client | xargs printf '%q ' ;;
    *) printf '%q' "$T/bin/hull" ;;
    esac
}
in_state() { # NAME STATE EXIT-CODE
    [ "$(client inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$1")" = "$2 $3" ]
}

pull() {
    registry_start
    registry_push "$(image_file debian)" debian:12
    registry_push "$(image_file busybox)" busybox:1
    registry_push "$(image_file pages)" pages:1
    debian=$registry/debian:12 busybox=$registry/busybox:1 pages=$registry/pages:1
    run -0 client pull "$debian"
    expect_match 'Pull complete'
    expect_match "Status: Downloaded newer image for $debian"
    run -0 client pull "$debian"
    expect_match "Status: Image is up to date for $debian"
    client pull "$busybox"
    run -0 client pull "$pages"
    expect_match 'Already exists'
    run -0 client images -q
    [ "$(wc -l <<<"$output")" = 3 ]
}

terminal() {
    # what is typed reaches the shell, its output comes back through the terminal, and so does the exit status
    local said status=0 typing keys
    mkfifo "$T/keys"
    in_net script -qefc "stty rows 33 cols 101; $(client_words) run -it --rm $debian bash" "$T/screen" \
        <"$T/keys" >/dev/null 2>&1 3>&- &
    typing=$!
    exec {keys}>"$T/keys"
    wait_until grep -q 'root@[0-9a-f]*:/# ' "$T/screen"
    printf 'test -t 0 && test -t 1 && echo "both are"   terminals\n' >&$keys
    printf 'stty size\n' >&$keys
    printf 'exit 4\n' >&$keys
    wait $typing || status=$?
    exec {keys}>&-
    said=$(cat "$T/screen")
    [ $status = 4 ] || fail "the shell in the terminal ended with $status: $said"
    [[ $said == *"both are terminals"* ]] || fail "no terminal: $said"
    [[ $said == *"33 101"* ]] || fail "the size of the terminal did not arrive: $said"
}

web_server() {
    client run -d --name web -p 8080:80 "$debian" bash -c '
        set -e
        if ! command -v nginx; then
            apt-get -qq update
            apt-get -qq install -y --no-install-recommends nginx-light
            echo "<p>from nginx in a container" >/var/www/html/index.html
        fi
        ln -sf /dev/stdout /var/log/nginx/access.log
        exec nginx -g "daemon off;"'
    wait_until -t 240 page http://127.0.0.1:8080/ || {
        client logs web >&2
        fail "nginx does not answer"
    }
}
page() { in_net curl -fsS --max-time 5 "$1" | grep -q 'from nginx in a container'; }

reach() {
    local address
    address=$(client inspect -f '{{.NetworkSettings.IPAddress}}' web)
    page "http://$address/"
    run -0 client run --rm "$busybox" wget -qO- "http://$address/"
    expect_match 'from nginx in a container'
    run -0 client ps --format '{{.Names}} {{.Ports}}'
    expect_match '^web 0.0.0.0:8080->80/tcp'
    run -0 client port web
    expect_match '80/tcp -> 0.0.0.0:8080'
}

look_inside() {
    client logs -f web >"$T/followed" &
    local follower=$!
    page http://127.0.0.1:8080/
    wait_until grep -q '"GET / HTTP/1.1" 200' "$T/followed"
    run -0 client exec web cat /var/www/html/index.html
    expect_match 'from nginx'
    run -3 client exec web sh -c 'exit 3'
    run -0 client exec -i web cat <<<'through exec'
    expect_output 'through exec'
    printf '<p>from nginx in a container, second page\n' >"$T/two.html"
    client cp "$T/two.html" web:/var/www/html/two.html
    run -0 in_net curl -fsS http://127.0.0.1:8080/two.html
    expect_match 'second page'
    client cp web:/etc/nginx "$T/copied"
    grep -q worker_processes "$T/copied/nginx.conf"
    run -0 client stats --no-stream --format '{{.Name}} {{.MemUsage}}' web
    expect_match '^web [0-9.]+[KMG]iB / '
    run -0 client top web
    expect_match 'nginx: master'
    kill $follower 2>/dev/null || wait $follower || true
}

stop_and_start() {
    client stop web
    in_state web exited 0
    run ! page http://127.0.0.1:8080/
    client start web
    wait_until -t 60 page http://127.0.0.1:8080/
    run -0 in_net curl -fsS http://127.0.0.1:8080/two.html
    expect_match 'second page'
    run -1 client rm web
    expect_match 'running'
    client rm -f web
    run -0 client ps -aq
    expect_output ''
}

exit_codes() { # of stop: 143 dies of TERM, 137 ignores it until the KILL
    client run -d --name term "$busybox" sh -c 'trap "exit 143" TERM; echo ready; while :; do sleep 0.1; done'
    client run -d --name deaf "$busybox" sh -c 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
    wait_until ready term
    wait_until ready deaf
    client stop term
    in_state term exited 143
    local began=$SECONDS
    client stop -t 2 deaf
    in_state deaf exited 137
    [ $((SECONDS - began)) -ge 2 ] && [ $((SECONDS - began)) -le 9 ] # not the 10 that are usual
    client rm term deaf
}
ready() { client logs "$1" | grep -qx ready; }

streams() {
    run -0 client run --rm -i "$busybox" cat <<<x
    expect_output x
    # 100 MB and a quick end: not a byte may be missing
    client run --name big "$busybox" sh -c 'yes 0123456789abcde | head -c 104857600' | sha256sum >"$T/run.sum"
    yes 0123456789abcde | head -c 104857600 | sha256sum >"$T/true.sum"
    cmp "$T/run.sum" "$T/true.sum"
    client logs big | sha256sum >"$T/logs.sum"
    cmp "$T/logs.sum" "$T/true.sum"
    client rm big
    client run -d --name later "$busybox" sh -c 'yes 0123456789abcde | head -c 104857600'
    run -0 client wait later
    expect_output 0
    client logs later | sha256sum >"$T/wait.sum"
    cmp "$T/wait.sum" "$T/true.sum"
    client rm later
}

job() {
    client=$1
    net_uplink
    hulld_start
    pull
    terminal
    streams
    exit_codes
    web_server
    reach
    look_inside
    stop_and_start
    client rmi "$debian" "$busybox" "$pages"
    run -0 client images -q
    expect_output ''
    registry_stop
    hulld_stop
}

@test "the main job with hull" {
    job hull
}

@test "the main job with docker" {
    job docker
}
