/*
 * The tables of the image documents, and what platforms mean: a machine runs its own variant and
 * the older ones, so matching is a score, not an equality.
 */
#include "types/oci_image.h"

#include <sys/utsname.h>

#include "base/str.h"

JSON_DESC(oci_index, OCI_INDEX_DOC)
JSON_DESC(oci_manifest, OCI_MANIFEST_DOC)
JSON_DESC(oci_history, OCI_HISTORY)
JSON_DESC(oci_rootfs, OCI_ROOTFS)
JSON_DESC(oci_image_config, OCI_IMAGE_CONFIG)

static bool is_one_of(const char *media_type, const char *const *list)
{
    if (media_type == NULL)
        return false;
    struct str rest = str_of(media_type), bare = str_trim(str_cut(&rest, ';'));
    for (; *list != NULL; list++)
        if (str_eq(bare, *list))
            return true;
    return false;
}

bool oci_is_index(const char *media_type)
{
    return is_one_of(media_type, (const char *const[]){OCI_INDEX, DOCKER_INDEX, NULL});
}

bool oci_is_manifest(const char *media_type)
{
    return is_one_of(media_type, (const char *const[]){OCI_MANIFEST, DOCKER_MANIFEST, NULL});
}

bool oci_is_config(const char *media_type)
{
    return is_one_of(media_type, (const char *const[]){OCI_CONFIG, DOCKER_CONFIG, NULL});
}

bool oci_is_layer(const char *media_type)
{
    struct str s = str_of(media_type);
    return str_starts(s, "application/vnd.oci.image.layer.") ||
           str_starts(s, "application/vnd.docker.image.rootfs.");
}

bool oci_is_foreign_layer(const char *media_type)
{
    struct str s = str_of(media_type);
    return str_starts(s, OCI_LAYER_FOREIGN) || str_starts(s, DOCKER_FOREIGN_LAYER_GZIP);
}

/* ---- platforms ---- */

static const struct alias {
    const char *from, *arch, *variant;
} arch_aliases[] = {
    {"x86_64", "amd64", ""},  {"x86-64", "amd64", ""}, {"i386", "386", ""},
    {"i486", "386", ""},      {"i586", "386", ""},     {"i686", "386", ""},
    {"aarch64", "arm64", ""}, {"armhf", "arm", "v7"},  {"armel", "arm", "v6"},
    {"armv7l", "arm", "v7"},  {"armv6l", "arm", "v6"}, {"macos", "darwin", ""},
};

static const char *const known_archs[] = {"386",     "amd64",   "arm",      "arm64",  "loong64",
                                          "mips",    "mips64",  "mips64le", "mipsle", "ppc64",
                                          "ppc64le", "riscv64", "s390x",    "wasm"};
static const char *const known_oses[] = {"linux",   "windows", "darwin",  "freebsd", "netbsd",
                                         "openbsd", "solaris", "illumos", "android", "wasip1"};

static bool in_list(const char *s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(s, list[i]) == 0)
            return true;
    return false;
}

/* Aliases away, and the variants that mean "none" left out. */
static void normalise(struct oci_platform *p)
{
    for (size_t i = 0; i < ARRAY_LEN(arch_aliases); i++) {
        if (strcmp(p->architecture, arch_aliases[i].from) != 0)
            continue;
        p->architecture = arch_aliases[i].arch;
        if (p->variant[0] == 0)
            p->variant = arch_aliases[i].variant;
        break;
    }
    if (strcmp(p->architecture, "arm") == 0) {
        if (p->variant[0] == 0 || strcmp(p->variant, "7") == 0)
            p->variant = "v7";
        else if (strcmp(p->variant, "5") == 0)
            p->variant = "v5";
        else if (strcmp(p->variant, "6") == 0)
            p->variant = "v6";
    }
    if ((strcmp(p->architecture, "arm64") == 0 &&
         (strcmp(p->variant, "v8") == 0 || strcmp(p->variant, "8") == 0)) ||
        (strcmp(p->architecture, "amd64") == 0 && strcmp(p->variant, "v1") == 0))
        p->variant = "";
}

static struct oci_platform platform_here(struct arena *a)
{
    struct utsname u;
    const char *machine = uname(&u) == 0 ? arena_strdup(a, u.machine) : "x86_64";
    struct oci_platform p = {
        .os = "linux", .architecture = machine, .variant = "", .os_version = ""};
    normalise(&p);
    return p;
}

static char *lower(struct arena *a, struct str s)
{
    char *out = arena_strndup(a, s.p, s.n);
    for (char *c = out; *c != 0; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 32);
    return out;
}

static bool part_ok(const char *s)
{
    if (*s == 0)
        return false;
    for (; *s != 0; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '_' || *s == '-' ||
              *s == '.'))
            return false;
    return true;
}

int oci_platform_parse(const char *text, struct arena *a, struct oci_platform *out, struct err *e)
{
    struct oci_platform here = platform_here(a);
    struct str rest = str_of(text);
    const char *part[4];
    size_t n = 0;
    *out = here;
    if (rest.n == 0)
        return 0;
    if (rest.n > 255 || text[rest.n - 1] == '/')
        return err_set(e, ERR_INVALID, "\"%.255s\": invalid platform: invalid argument", text);
    while (rest.n > 0 && n < ARRAY_LEN(part))
        part[n++] = lower(a, str_cut(&rest, '/'));
    for (size_t i = 0; i < n; i++)
        if (!part_ok(part[i]))
            return err_set(e, ERR_INVALID,
                           "\"%s\" is an invalid component of \"%s\": platform specifier component "
                           "must match \"^[A-Za-z0-9_.-]+$\": invalid argument",
                           part[i], text);
    if (n > 3 || rest.n > 0)
        return err_set(e, ERR_INVALID, "\"%s\": cannot parse platform specifier: invalid argument",
                       text);
    if (n == 1) {
        struct oci_platform p = {
            .os = "linux", .architecture = part[0], .variant = "", .os_version = ""};
        normalise(&p);
        if (in_list(part[0], known_oses, ARRAY_LEN(known_oses)))
            p = (struct oci_platform){.os = part[0],
                                      .architecture = here.architecture,
                                      .variant = here.variant,
                                      .os_version = ""};
        else if (!in_list(p.architecture, known_archs, ARRAY_LEN(known_archs)))
            return err_set(e, ERR_INVALID,
                           "\"%s\": unknown operating system or architecture: invalid argument",
                           text);
        *out = p;
        return 0;
    }
    *out = (struct oci_platform){
        .os = part[0], .architecture = part[1], .variant = n > 2 ? part[2] : "", .os_version = ""};
    normalise(out);
    return 0;
}

const char *oci_host_architecture(struct arena *a)
{
    struct oci_platform p = {0};
    struct err ignored = {0};
    return oci_platform_parse("", a, &p, &ignored) == 0 ? p.architecture : "";
}

char *oci_platform_format(const struct oci_platform *p, struct arena *a)
{
    const char *variant = p->variant != NULL ? p->variant : "";
    return arena_printf(a, "%s/%s%s%s", p->os, p->architecture, variant[0] != 0 ? "/" : "",
                        variant);
}

/* The number of a variant "v8.2" as 802; 0 when there is none. */
static int variant_number(const char *v)
{
    struct str rest = str_of(v);
    if (rest.n < 2 || rest.p[0] != 'v')
        return 0;
    rest.p++;
    rest.n--;
    struct str major_text = str_cut(&rest, '.');
    uint64_t major = 0, minor = 0;
    if (!str_to_u64(major_text, 0, 1000, &major) ||
        (rest.n > 0 && !str_to_u64(rest, 0, 99, &minor)))
        return 0;
    return (int)(major * 100 + minor);
}

static struct oci_platform filled(const struct oci_platform *p)
{
    struct oci_platform out = *p;
    out.os = p->os != NULL ? p->os : "";
    out.architecture = p->architecture != NULL ? p->architecture : "";
    out.variant = p->variant != NULL ? p->variant : "";
    normalise(&out);
    return out;
}

int oci_platform_score(const struct oci_platform *wanted, const struct oci_platform *offer)
{
    struct oci_platform w = filled(wanted), o = filled(offer);
    if (strcmp(w.os, o.os) != 0)
        return 0;
    bool arm32_on_64 = strcmp(w.architecture, "arm64") == 0 && strcmp(o.architecture, "arm") == 0;
    if (strcmp(w.architecture, o.architecture) != 0 && !arm32_on_64)
        return 0;
    if (strcmp(w.variant, o.variant) == 0 && !arm32_on_64)
        return 10000;
    bool has_order = strcmp(w.architecture, "arm") == 0 || strcmp(w.architecture, "arm64") == 0 ||
                     strcmp(w.architecture, "amd64") == 0;
    if (!has_order)
        return 0;
    int base = strcmp(w.architecture, "arm64") == 0 ? 800
               : strcmp(w.architecture, "arm") == 0 ? 700
                                                    : 100;
    int have = w.variant[0] != 0 ? variant_number(w.variant) : base;
    int need = o.variant[0] != 0 ? variant_number(o.variant) : (arm32_on_64 ? 700 : base);
    if (have == 0 || need == 0 || need > have)
        return 0;
    return arm32_on_64 ? need : 1000 + need;
}

const struct oci_descriptor *oci_index_pick(const struct oci_index *index,
                                            const struct oci_platform *wanted)
{
    const struct oci_descriptor *best = NULL;
    int best_score = 0;
    for (size_t i = 0; i < index->manifests.n; i++) {
        const struct oci_descriptor *d = &index->manifests.v[i];
        if (d->platform == NULL ||
            (!oci_is_manifest(d->media_type) && !oci_is_index(d->media_type)))
            continue;
        int score = oci_platform_score(wanted, d->platform);
        if (score > best_score) {
            best = d;
            best_score = score;
        }
    }
    return best;
}
