# Facts and files from Debian: the machine's own mirrors, single files out of packages, root file systems.
# Sourced by the fixtures, the VM, the peers and the bats helpers. Needs bash and apt; prints nothing of its own.

# Where everything expensive is kept between runs, outside the checkout.
cache_dir=${HULL_TEST_CACHE:-/var/cache/hull-tests}

# The suite this machine runs (bookworm, trixie ...).
debian_codename() {
    (. /etc/os-release && printf '%s\n' "${DEBIAN_CODENAME:-$VERSION_CODENAME}")
}

# The first mirror of the machine's apt configuration that serves SUITE's architecture: never one of our choosing.
debian_mirror() {
    if [ -n "${HULL_MIRROR:-}" ]; then
        printf '%s\n' "$HULL_MIRROR"
        return
    fi
    apt-get indextargets --format '$(CREATED_BY)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)|$(ORIGIN)' 2>/dev/null |
        awk -F'|' '$1 == "Packages" && $3 == "main" && $5 == "Debian" && $2 !~ /security|updates|backports/ {
            sub("/*$", "", $4); print $4; found = 1; exit } END { exit !found }'
}

# Options that make a downloaded root follow this machine's apt (proxies, certificates, dates), one per line.
debian_apt_options() {
    apt-config dump 2>/dev/null |
        grep -E '^Acquire::(Check-Valid-Until|Check-Date|http::Proxy|https::Proxy|https::CaInfo|Retries) ' || true
}

# The time the package lists were published: what reproducible files are stamped with.
debian_epoch() {
    local release
    release=$(apt-get indextargets --format '$(CREATED_BY) $(RELEASE) $(FILENAME)' 2>/dev/null |
        awk -v suite="$(debian_codename)" '$1 == "Packages" && $2 == suite {print $3; exit}')
    stat -c %Y "${release:-/etc/os-release}" 2>/dev/null || stat -L -c %Y /etc/os-release
}

# debian_make_tar SUITE TAR MMDEBSTRAP-OPTION...: a root file system as a plain tar.
debian_make_tar() {
    local suite=$1 tar=$2 mirror options=()
    shift 2
    mirror=$(debian_mirror) || {
        echo "no Debian mirror in this machine's apt configuration (set HULL_MIRROR)" >&2
        return 1
    }
    while IFS= read -r line; do
        [ -z "$line" ] || options+=(--aptopt="$line")
    done < <(debian_apt_options)
    mmdebstrap --quiet --mode="${HULL_MMDEBSTRAP_MODE:-root}" --format=tar "${options[@]}" "$@" "$suite" "$tar.new" "$mirror" &&
        mv "$tar.new" "$tar"
}

# deb_extract PACKAGE: unpack the package (not install it) into the cache; prints the directory.
# Services of the package never start, and what is installed on the machine does not change.
deb_extract() {
    local package=$1 version dir tmp
    version=$(apt-cache policy "$package" 2>/dev/null | awk '$1 == "Candidate:" {print $2; exit}')
    if [ -z "$version" ] || [ "$version" = "(none)" ]; then
        echo "apt knows no package $package (apt-get update?)" >&2
        return 1
    fi
    dir=$cache_dir/debs/${package}_${version//[^A-Za-z0-9.+~-]/_}
    if [ ! -d "$dir" ]; then
        tmp=$(mktemp -d)
        if ! (cd "$tmp" && apt-get -qq -o APT::Sandbox::User=root download "$package=$version") >&2; then
            rm -rf "$tmp"
            return 1
        fi
        mkdir -p "$cache_dir/debs"
        dpkg-deb -x "$tmp"/*.deb "$tmp/root" && chmod 755 "$tmp/root"
        mv -T "$tmp/root" "$dir" 2>/dev/null || [ -d "$dir" ] # another run may have been first
        rm -rf "$tmp"
    fi
    printf '%s\n' "$dir"
}

# busybox_file: a static busybox, this machine's or out of Debian's package.
busybox_file() { command -v busybox || deb_file busybox-static bin/busybox; }

# deb_file PACKAGE PATH: one file of a package: the installed one, else the extracted one.
deb_file() {
    local package=$1 path=$2 dir
    if dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' && [ -e "/$path" ]; then
        printf '/%s\n' "$path"
        return
    fi
    dir=$(deb_extract "$package") || return 1
    if [ ! -e "$dir/$path" ]; then
        echo "package $package has no $path" >&2
        return 1
    fi
    printf '%s\n' "$dir/$path"
}
