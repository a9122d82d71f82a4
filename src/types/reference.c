/*
 * The grammar of references, read from the outside in: the digest is behind the last '@', the tag
 * behind the last ':' that has no '/' after it, the domain is the first part when it looks like a
 * host.
 */
#include "types/reference.h"

#include <arpa/inet.h>

#include "base/mem.h"

#define DEFAULT_DOMAIN "docker.io"
#define LEGACY_DOMAIN "index.docker.io"
#define OFFICIAL "library/"

static bool is_lower_alnum(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(unsigned char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

static bool is_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_tag_char(unsigned char c)
{
    return is_alnum(c) || c == '_' || c == '.' || c == '-';
}

static int bad_format(struct err *e)
{
    return err_set(e, ERR_INVALID, "invalid reference format");
}

static bool put(char *out, size_t size, struct str s)
{
    if (s.n >= size)
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return true;
}

/* ---- digests ---- */

static const struct algorithm {
    const char *name;
    size_t hex;
} algorithms[] = {{"sha256", 64}, {"sha384", 96}, {"sha512", 128}};

const char *digest_hex(const char *digest)
{
    const char *colon = strchr(digest, ':');
    return colon != NULL ? colon + 1 : "";
}

bool digest_valid(const char *text)
{
    struct str rest = str_of(text), name = str_cut(&rest, ':');
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
        if (str_eq(name, algorithms[i].name))
            return rest.n == algorithms[i].hex && str_all(rest.p, rest.n, is_hex);
    return false;
}

bool digest_is_sha256(const char *text)
{
    return text != NULL && strncmp(text, "sha256:", 7) == 0 && digest_valid(text);
}

/* ---- the parts of a name ---- */

/* One part of a path: lower-case words joined by one dot, one or two underscores, or any dashes. */
static bool path_part_ok(struct str s)
{
    size_t i = 0;
    while (true) {
        size_t word = i;
        while (i < s.n && is_lower_alnum((unsigned char)s.p[i]))
            i++;
        if (i == word)
            return false;
        if (i == s.n)
            return true;
        char sep = s.p[i];
        size_t run = 0;
        while (i < s.n && s.p[i] == sep)
            i++, run++;
        if (!(sep == '.' ? run == 1 : sep == '_' ? run <= 2 : sep == '-'))
            return false;
    }
}

static bool path_ok(struct str path)
{
    while (true) {
        struct str part = str_cut(&path, '/');
        bool more = path.p == part.p + part.n + 1;
        if (!path_part_ok(part))
            return false;
        if (!more)
            return true;
    }
}

/* One label of a host name: letters, digits and dashes, none of them at an end. */
static bool host_label_ok(struct str s)
{
    if (s.n == 0 || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum((unsigned char)s.p[i]) && s.p[i] != '-')
            return false;
    return true;
}

static bool port_ok(struct str port)
{
    if (port.n == 0)
        return false;
    for (size_t i = 0; i < port.n; i++)
        if (port.p[i] < '0' || port.p[i] > '9')
            return false;
    return true;
}

static bool domain_ok(struct str d)
{
    struct str host = d;
    if (d.n > 0 && d.p[0] == '[') { /* an IPv6 address */
        ptrdiff_t end = str_index(d, ']');
        if (end < 2)
            return false;
        for (ptrdiff_t i = 1; i < end; i++)
            if (!is_hex((unsigned char)(d.p[i] | 0x20)) && d.p[i] != ':')
                return false;
        struct str rest = {d.p + end + 1, d.n - (size_t)end - 1};
        return rest.n == 0 || (rest.p[0] == ':' && port_ok((struct str){rest.p + 1, rest.n - 1}));
    }
    ptrdiff_t colon = str_index(d, ':');
    if (colon >= 0) {
        if (!port_ok((struct str){d.p + colon + 1, d.n - (size_t)colon - 1}))
            return false;
        host.n = (size_t)colon;
    }
    while (true) {
        struct str label = str_cut(&host, '.');
        bool more = host.p == label.p + label.n + 1;
        if (!host_label_ok(label))
            return false;
        if (!more)
            return true;
    }
}

/* True when the first part of a name is a registry and not a folder of Docker Hub. */
static bool looks_like_domain(struct str part)
{
    if (str_index(part, '.') >= 0 || str_index(part, ':') >= 0 || str_eq(part, "localhost"))
        return true;
    for (size_t i = 0; i < part.n; i++)
        if (part.p[i] >= 'A' && part.p[i] <= 'Z')
            return true;
    return false;
}

/* ---- whole references ---- */

/* Take "@digest" and ":tag" off the end of *rest. */
static int cut_tag_and_digest(struct str *rest, struct ref *out, struct err *e)
{
    ptrdiff_t at = str_index(*rest, '@');
    if (at >= 0) {
        struct str digest = {rest->p + at + 1, rest->n - (size_t)at - 1};
        if (!put(out->digest, sizeof(out->digest), digest))
            return bad_format(e);
        if (!digest_valid(out->digest))
            return bad_format(e);
        rest->n = (size_t)at;
    }
    for (size_t i = rest->n; i > 0 && rest->p[i - 1] != '/' && rest->p[i - 1] != ']'; i--) {
        if (rest->p[i - 1] != ':')
            continue;
        struct str tag = {rest->p + i, rest->n - i};
        if (!put(out->tag, sizeof(out->tag), tag) || tag.n == 0 || tag.p[0] == '.' ||
            tag.p[0] == '-' || !str_all(out->tag, REF_TAG_MAX, is_tag_char))
            return bad_format(e);
        rest->n = i - 1;
        break;
    }
    return 0;
}

static int check_path(struct str path, struct err *e)
{
    if (path_ok(path))
        return 0;
    bool upper = false;
    char text[REF_NAME_MAX + 1], folded[REF_NAME_MAX + 1];
    if (!put(text, sizeof(text), path))
        return bad_format(e);
    for (size_t i = 0; i <= path.n; i++) {
        bool up = text[i] >= 'A' && text[i] <= 'Z';
        folded[i] = up ? (char)(text[i] + 32) : text[i];
        upper = upper || up;
    }
    if (upper && path_ok((struct str){folded, path.n}))
        return err_set(e, ERR_INVALID,
                       "invalid reference format: repository name (%s) must be lowercase", text);
    return bad_format(e);
}

static bool is_bare_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_hex((unsigned char)s.p[i]))
            return false;
    return s.n == 64;
}

static int parse(const char *text, bool familiar, struct ref *out, struct err *e)
{
    struct str rest = str_of(text), domain = {"", 0};
    struct ref r = {.domain = ""};
    if (familiar && is_bare_id(rest))
        return err_set(e, ERR_INVALID,
                       "invalid repository name (%s), cannot specify 64-byte hexadecimal strings",
                       text);
    if (rest.n == 0 || rest.n >= REF_TEXT_MAX)
        return bad_format(e);
    TRY(cut_tag_and_digest(&rest, &r, e));
    struct str path = rest, first = str_cut(&path, '/');
    bool has_slash = first.n < rest.n;
    if (has_slash && (!familiar || looks_like_domain(first)))
        domain = first;
    else
        path = rest;
    if (!familiar && domain.n == 0)
        return err_set(e, ERR_INVALID, "repository name must be canonical");
    if (familiar && (domain.n == 0 || str_eq(domain, LEGACY_DOMAIN)))
        domain = STR(DEFAULT_DOMAIN);
    bool official = familiar && str_eq(domain, DEFAULT_DOMAIN) && str_index(path, '/') < 0;
    char full[REF_NAME_MAX + 1];
    int n = snprintf(full, sizeof(full), "%s%.*s", official ? OFFICIAL : "", STR_ARG(path));
    if (n < 0 || (size_t)n + domain.n + 1 > REF_NAME_MAX)
        return err_set(
            e, ERR_INVALID,
            "invalid reference format: repository name must not be longer than %d characters",
            REF_NAME_MAX);
    TRY(check_path((struct str){full, (size_t)n}, e));
    if (!domain_ok(domain) || !put(r.domain, sizeof(r.domain), domain))
        return bad_format(e);
    memcpy(r.path, full, (size_t)n + 1);
    *out = r;
    return 0;
}

int ref_parse(const char *text, struct ref *out, struct err *e)
{
    return parse(text, true, out, e);
}

int ref_parse_full(const char *text, struct ref *out, struct err *e)
{
    return parse(text, false, out, e);
}

size_t ref_host_len(const char *text)
{
    struct str rest = str_of(text), first = str_cut(&rest, '/');
    return rest.n > 0 && looks_like_domain(first) ? first.n : 0;
}

bool ref_domain_is_loopback(const char *domain)
{
    struct in_addr a;
    size_t n = strcspn(domain, ":");
    auto_free char *host = mem_strndup(domain, n);
    if (strncmp(domain, "[::1]", 5) == 0)
        return domain[5] == '\0' || domain[5] == ':';
    return strcmp(host, "localhost") == 0 ||
           (inet_pton(AF_INET, host, &a) == 1 && ntohl(a.s_addr) >> 24 == 127);
}

void ref_default_tag(struct ref *r)
{
    if (r->tag[0] == 0 && r->digest[0] == 0)
        memcpy(r->tag, "latest", sizeof("latest"));
}

static void join(const char *name, const struct ref *r, char out[static REF_TEXT_MAX])
{
    (void)snprintf(out, REF_TEXT_MAX, "%s%s%s%s%s", name, r->tag[0] != 0 ? ":" : "", r->tag,
                   r->digest[0] != 0 ? "@" : "", r->digest);
}

void ref_format(const struct ref *r, char out[static REF_TEXT_MAX])
{
    char name[2 * REF_NAME_MAX + 4];
    (void)snprintf(name, sizeof(name), "%s/%s", r->domain, r->path);
    join(name, r, out);
}

void ref_familiar_name(const struct ref *r, char out[static REF_TEXT_MAX])
{
    const char *path = r->path;
    struct str rest = str_of(path), first = str_cut(&rest, '/');
    /* "docker.io/a.b/c" must keep its domain: "a.b/c" would name another registry */
    bool hub = strcmp(r->domain, DEFAULT_DOMAIN) == 0 &&
               (strchr(path, '/') == NULL || !looks_like_domain(first));
    if (hub && strncmp(path, OFFICIAL, strlen(OFFICIAL)) == 0 &&
        strchr(path + strlen(OFFICIAL), '/') == NULL &&
        !is_bare_id(str_of(path + strlen(OFFICIAL))))
        path += strlen(OFFICIAL);
    (void)snprintf(out, REF_TEXT_MAX, "%s%s%s", hub ? "" : r->domain, hub ? "" : "/", path);
}

void ref_familiar(const struct ref *r, char out[static REF_TEXT_MAX])
{
    char name[REF_TEXT_MAX];
    ref_familiar_name(r, name);
    join(name, r, out);
}
