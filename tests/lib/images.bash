# The images of tests/fixtures/mkimage, made once per machine and recipe.
#
#   image_file KIND [oci|docker]    the path of KIND's archive (busybox, pages, debian)

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
