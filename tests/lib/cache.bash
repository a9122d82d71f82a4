# Which of the expensive things in the cache stay. Each is a folder KIND-HASH, named by its recipe; two checkouts with different
# recipes use the cache at once, so making a new one must not take the other's away.
# Sourced after debian.bash, which says where the cache is.

cache_unused_days=7
cache_newest=4

# cache_used FOLDER: it is of use today. (The cache may be read-only, as it is in the VM.)
cache_used() { touch -c "$1" 2>/dev/null || true; }

# cache_trim KIND: what nobody used for days goes, and what is beyond the newest few; never what a test may still be in.
cache_trim() {
    local kind=$1 folder nth=0
    while read -r folder; do
        nth=$((nth + 1))
        [ -n "$(find "$folder" -maxdepth 0 -mmin +120)" ] || continue
        if [ $nth -gt $cache_newest ] || [ -n "$(find "$folder" -maxdepth 0 -mtime +$cache_unused_days)" ]; then
            rm -rf --one-file-system "$folder"
        fi
    done < <(find "$cache_dir" -maxdepth 1 -type d -name "$kind-*" -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2-)
}
