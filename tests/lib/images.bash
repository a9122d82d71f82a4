# The images of tests/fixtures/mkimage, made once per machine and recipe.
#
#   image_file KIND [oci|docker]    the path of KIND's archive (busybox, pages, debian)
#   many_images                     the path of an archive of 200 images

# shellcheck source=cache.bash
. "$top/tests/lib/cache.bash"

image_file() {
    local kind=$1 layout=${2:-oci} recipe dir tmp
    recipe=$(cat "$top/tests/fixtures/mkimage" "$top/tests/lib/debian.bash" | sha256sum | cut -c1-16)
    dir=$cache_dir/images-$recipe/$kind
    if [ ! -e "$dir/$kind.$layout.tar" ]; then
        mkdir -p "${dir%/*}"
        tmp=$(mktemp -d "$dir.XXXXXX")
        "$top/tests/fixtures/mkimage" "$kind" "$tmp" >/dev/null || { rm -rf "$tmp"; return 1; }
        chmod 755 "$tmp"
        mv -T "$tmp" "$dir" 2>/dev/null || rm -rf "$tmp" # another run may have been first
        cache_trim images
    fi
    cache_used "${dir%/*}"
    printf '%s\n' "$dir/$kind.$layout.tar"
}

# many_images: the path of an archive of 200 images (many:0 ...), in both layouts, over 500 layers of 200 files and 2 MB each.
# Each of the first hundred layers is below two images: image n has layers n/2, 100+2n and 101+2n.
many_images() {
    local made
    made=$cache_dir/many-$(declare -f make_many | sha256sum | cut -c1-16)
    if [ ! -e "$made.tar" ]; then
        mkdir -p "$cache_dir"
        make_many "$made.$$"
        tar -C "$made.$$" -cf "$made.$$.tar" .
        rm -r "$made.$$"
        mv "$made.$$.tar" "$made.tar"
    fi
    printf '%s\n' "$made.tar"
}
make_many() { # DIR
    python3 - "$1" <<-'END'
	import gzip, hashlib, io, json, os, sys, tarfile
	out = sys.argv[1]
	os.makedirs(out + '/blobs/sha256')
	def put(data, kind):
	    digest = hashlib.sha256(data).hexdigest()
	    open(out + '/blobs/sha256/' + digest, 'wb').write(data)
	    return {'mediaType': 'application/vnd.oci.image.' + kind, 'digest': 'sha256:' + digest, 'size': len(data)}
	def layer(n):
	    raw = io.BytesIO()
	    tar = tarfile.open(fileobj=raw, mode='w')
	    for f in range(200):
	        info = tarfile.TarInfo('layer%d/file%d' % (n, f))
	        info.size = 10000
	        tar.addfile(info, io.BytesIO(b'%d %d ' % (n, f) + b'x' * (10000 - len(b'%d %d ' % (n, f)))))
	    tar.close()
	    raw = raw.getvalue()
	    return 'sha256:' + hashlib.sha256(raw).hexdigest(), put(gzip.compress(raw, 1, mtime=0), 'layer.v1.tar+gzip')
	layers = [layer(n) for n in range(500)]
	manifests, docker = [], []
	for n in range(200):
	    mine = [layers[n // 2], layers[100 + 2 * n], layers[101 + 2 * n]]
	    config = put(json.dumps({'architecture': 'amd64', 'os': 'linux', 'created': '2026-01-01T00:00:00Z', 'config': {},
	        'rootfs': {'type': 'layers', 'diff_ids': [d for d, _ in mine]}}).encode(), 'config.v1+json')
	    m = put(json.dumps({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'config': config,
	        'layers': [l for _, l in mine]}).encode(), 'manifest.v1+json')
	    m['annotations'] = {'io.containerd.image.name': 'docker.io/library/many:%d' % n}
	    manifests.append(m)
	    docker.append({'Config': 'blobs/sha256/' + config['digest'][7:], 'RepoTags': ['many:%d' % n],
	        'Layers': ['blobs/sha256/' + l['digest'][7:] for _, l in mine]})
	open(out + '/index.json', 'w').write(json.dumps({'schemaVersion': 2, 'manifests': manifests}))
	open(out + '/manifest.json', 'w').write(json.dumps(docker))
	open(out + '/oci-layout', 'w').write('{"imageLayoutVersion": "1.0.0"}')
	END
}
