#!/usr/bin/env bats
# Images between our engine and the newest dockerd: what one saves the other loads, and layers that depend on lower ones
# give the same files.

load ../lib/common
load ../lib/images
load ../lib/peers
load ../lib/hull

setup() {
    need_root
    need hull hulld hull-containerd
    test_begin
    peers_start
    need_docker
    hulld_start
    ours=$DOCKER_HOST
}
theirs_start() { # FLAG...
    peer_dockerd_start "$@"
    theirs=$DOCKER_HOST
}
teardown() {
    test_end
}

on() { # ENGINE ARG...: Docker's client with that engine
    DOCKER_HOST=$1 docker "${@:2}"
}
# of_image ENGINE IMAGE: what an image is, in either kind of store: its layers and configuration
of_image() {
    on "$1" image inspect "$2" | jq -S '.[0] | {RootFS, Created, Architecture, Os, Cmd: .Config.Cmd, Env: .Config.Env, Labels: (.Config.Labels // {})}'
}
config_digest() { # ARCHIVE
    tar -xOf "$1" manifest.json | jq -r '.[0].Config' | grep -oE '[0-9a-f]{64}'
}

# odd_layers DIR KIND: a docker-archive of layers that only make sense on those below them. KIND common: what dockerd can do
# too; links: parents that are symbolic links below (it replaces them by directories), hard links to files of lower layers (it
# refuses them).
odd_layers() {
    python3 - "$1" "$2" <<-'END'
	import hashlib, io, json, os, sys, tarfile
	out = sys.argv[1]
	os.makedirs(out)
	T = tarfile
	def layer(n, *entries):
	    raw = io.BytesIO()
	    tar = T.open(fileobj=raw, mode='w', format=T.PAX_FORMAT)
	    for name, kind, what, mode, uid in entries:
	        i = T.TarInfo(name)
	        i.type, i.mode, i.uid, i.gid, i.mtime = kind, mode, uid, uid, 1000000000 + n
	        data = b''
	        if kind == T.REGTYPE:
	            data = what.encode()
	            i.size = len(data)
	            if name == 'attr/file':
	                i.pax_headers = {'SCHILY.xattr.user.test': 'value'}
	        elif kind in (T.SYMTYPE, T.LNKTYPE):
	            i.linkname = what
	        tar.addfile(i, io.BytesIO(data))
	    tar.close()
	    open('%s/%d.tar' % (out, n), 'wb').write(raw.getvalue())
	    return 'sha256:' + hashlib.sha256(raw.getvalue()).hexdigest()
	D = lambda name, mode=0o755, uid=0: (name, T.DIRTYPE, '', mode, uid)
	F = lambda name, text='text', mode=0o644, uid=0: (name, T.REGTYPE, text, mode, uid)
	S = lambda name, to: (name, T.SYMTYPE, to, 0o777, 0)
	L = lambda name, to: (name, T.LNKTYPE, to, 0o4755, 0)
	base = [
	    layer(0, D('spool', 0o1777, 5), D('usr'), D('usr/lib', 0o750, 7), F('usr/lib/old'), S('lib', 'usr/lib'), F('file', 'one', 0o4755),
	          D('white'), F('white/a'), F('white/b'), D('opaque', 0o711, 3), F('opaque/x'), F('opaque/y'), D('gone'), F('gone/f'),
	          F('becomes-dir'), D('becomes-file'), F('becomes-file/f'), D('again'), F('again/old'), D('deep'), D('deep/er', 0o2770, 9),
	          F('deep/er/f'), L('deep/link', 'file'), D('swap'), F('swap/x'), D('turn'), F('turn/x'), S('abs', '/usr/lib'), S('up', 'deep/er/../er')),
	]
	ids = base + ([
	    layer(1, F('lib/new', 'through a link'), L('second', 'file'), F('spool/m')),
	    layer(2, F('up/dots'), L('third', 'second'), L('usr/lib/hard', 'deep/er/f')),
	] if sys.argv[2] == 'links' else [
	    layer(1, F('spool/message', 'm', 0o600, 6), F('white/.wh.a', ''),
	          F('opaque/.wh..wh..opq', ''), F('opaque/z'), F('.wh.gone', ''), D('becomes-dir', 0o700), F('becomes-dir/inside'),
	          F('becomes-file', 'now a file'), F('deep/er/g', 'implied parents'), F('swap/.wh.x', ''),
	          F('swap', 'replaced by its own layer'), F('turn/y'), S('turn', 'file'), F('.wh.never-was', ''), D('attr'), F('attr/file')),
	    layer(2, F('white/a', 'back again'), F('usr/lib/.wh.old', ''), F('spool/later')),
	    layer(3, F('becomes-dir/.wh..wh..opq', ''), F('becomes-dir/only', 'this'), F('deep/.wh.er', ''),
	          F('deep/er', 'a file now')),
	])
	config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'created': '2026-01-01T00:00:00Z', 'config': {'Cmd': ['/none']},
	    'rootfs': {'type': 'layers', 'diff_ids': ids}})
	open(out + '/config.json', 'w').write(config)
	open(out + '/manifest.json', 'w').write(json.dumps([{'Config': 'config.json', 'RepoTags': ['odd:1'],
	    'Layers': ['%d.tar' % n for n in range(len(ids))]}]))
	END
    tar -C "$1" -cf "$1.tar" .
}

# tree ENGINE IMAGE: every file with all that can be said of it, but for what engines make in each container
tree() {
    local dir
    dir=$(mktemp -d "$T/tree.XXXXXX")
    on "$1" rm -f tree >/dev/null 2>&1 || true
    on "$1" create --name tree --network none "$2" >/dev/null
    on "$1" export tree | tar -C "$dir" --xattrs --xattrs-include='*' -xpf -
    (cd "$dir" && rm -rf .dockerenv dev proc sys etc/{hosts,hostname,resolv.conf,mtab} && { rmdir etc 2>/dev/null || true; })
    facts "$dir"
}
facts() { # DIR: names, kinds, modes, owners; times, sizes, targets and content of what is no folder
    (cd "$1" &&
        find . -mindepth 1 \( -type d -printf '%p %y %m %U:%G\n' -o -printf '%p %y %m %U:%G %T@ %s %l\n' \) | LC_ALL=C sort &&
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}

@test "layers that depend on lower ones give the files that they give in dockerd" {
    # its graph drivers see a layer alone, as ours does at first; the image store applies it on those below
    theirs_start --feature containerd-snapshotter=true
    odd_layers "$T/odd" common
    on "$ours" load -qi "$T/odd.tar"
    on "$theirs" load -qi "$T/odd.tar"
    tree "$ours" odd:1 >"$T/ours"
    tree "$theirs" odd:1 >"$T/theirs"
    [ "$(wc -l <"$T/theirs")" -gt 20 ]
    diff "$T/theirs" "$T/ours"
}

@test "layers whose parents are links below, or that link to files below, are what tar makes of them in turn" {
    odd_layers "$T/odd" links
    on "$ours" load -qi "$T/odd.tar"
    tree "$ours" odd:1 >"$T/ours"
    mkdir "$T/plain"
    for n in 0 1 2; do tar -C "$T/plain" --keep-directory-symlink -xpf "$T/odd/$n.tar"; done
    facts "$T/plain" >"$T/expected"
    diff "$T/expected" "$T/ours"
}

@test "dockerd loads what we save, and we load what it saves: the same layers and configuration" {
    theirs_start
    on "$ours" load -qi "$(image_file pages docker)"
    on "$ours" load -qi "$(image_file busybox oci)"
    on "$ours" tag busybox:latest team/box:2
    on "$ours" save -o "$T/ours.tar" pages busybox team/box:2
    run -0 on "$theirs" load -i "$T/ours.tar"
    expect_match 'Loaded image: team/box:2'
    diff <(of_image "$ours" pages) <(of_image "$theirs" pages)
    diff <(of_image "$ours" team/box:2) <(of_image "$theirs" busybox)
    on "$theirs" save -o "$T/theirs.tar" pages team/box:2
    on "$theirs" save -o "$T/pages.tar" pages
    on "$ours" save -o "$T/pages-ours.tar" pages
    [ "$(config_digest "$T/pages.tar")" = "$(config_digest "$T/pages-ours.tar")" ]
    on "$ours" image prune -af
    run -0 on "$ours" load -i "$T/theirs.tar"
    expect_match 'Loaded image: pages:latest'
    expect_match 'Loaded image: team/box:2'
    diff <(of_image "$ours" pages) <(of_image "$theirs" pages)
    diff <(tree "$ours" pages) <(tree "$theirs" pages)
}
