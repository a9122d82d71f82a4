/*
 * Reading the policy and finding an image's entry in it: see policy.h. Objects are read key by key
 * from a table of those that are known, since one that we passed over could be what keeps an image
 * out.
 */
#include "trust/policy.h"

#include <fcntl.h>
#include <json-c/json.h>

#include "base/base64.h"
#include "base/mem.h"
#include "sys/path.h"

struct reading {
    struct arena *a;
    struct trust_policy *out;
};

static int bad(struct err *e, const char *where, const char *what)
{
    return err_set(e, ERR_INVALID, "%.300s: %s", where, what);
}

/* What an object says its type is; NULL: it is no object, or does not say. */
static const char *type_of(struct json_object *v)
{
    struct json_object *type = NULL;
    return json_object_is_type(v, json_type_object) &&
                   json_object_object_get_ex(v, "type", &type) &&
                   json_object_is_type(type, json_type_string)
               ? json_object_get_string(type)
               : NULL;
}

static int get_text(struct json_object *v, const char *where, const char **out, struct arena *a,
                    struct err *e)
{
    if (!json_object_is_type(v, json_type_string) || json_object_get_string_len(v) == 0 ||
        strlen(json_object_get_string(v)) != (size_t)json_object_get_string_len(v))
        return bad(e, where, "expected a text that is not empty");
    *out = arena_strdup(a, json_object_get_string(v));
    return 0;
}

/* ---- keys ---- */

static int add_key(struct trust_requirement *q, const char *where, const char *path,
                   const char *data, struct arena *a, struct err *e)
{
    auto_buf struct buf pem = BUF_MAX(TRUST_KEY_BYTES_MAX);
    struct trust_key k = {.path = path};
    if (q->keys.n >= TRUST_KEYS_MAX)
        return bad(e, where, "too many keys");
    if (path != NULL && path[0] != '/')
        return bad(e, where, "the path of a key must be absolute");
    if (data != NULL && (!base64_decode(data, &pem) || pem.n == 0))
        return bad(e, where, "expected a key in base64");
    if (data != NULL)
        k.pem = arena_strdup(a, buf_cstr(&pem));
    vec_push_in(a, &q->keys, k);
    return 0;
}

/* keyPath, keyPaths, keyData or keyDatas; a requirement has one of them. */
static int read_keys(struct reading *r, struct trust_requirement *q, const char *where, bool paths,
                     bool many, struct json_object *v, struct err *e)
{
    size_t n = many && json_object_is_type(v, json_type_array) ? json_object_array_length(v) : 1;
    if (q->keys.n > 0)
        return bad(e, where, "exactly one of keyPath, keyPaths, keyData and keyDatas is needed");
    if (many && (!json_object_is_type(v, json_type_array) || n == 0))
        return bad(e, where, "expected a list of keys");
    for (size_t i = 0; i < n; i++) {
        const char *text;
        TRY(get_text(many ? json_object_array_get_idx(v, i) : v, where, &text, r->a, e));
        TRY(add_key(q, where, paths ? text : NULL, paths ? NULL : text, r->a, e));
    }
    return 0;
}

/* ---- signedIdentity ---- */

static const struct {
    const char *type, *value_key;
    enum trust_identity identity;
    bool prefix;
} identities[] = {
    {"matchRepoDigestOrExact", NULL, TRUST_ID_REPO_DIGEST_OR_EXACT, false},
    {"matchExact", NULL, TRUST_ID_EXACT, false},
    {"matchRepository", NULL, TRUST_ID_REPOSITORY, false},
    {"exactReference", "dockerReference", TRUST_ID_EXACT_REFERENCE, false},
    {"exactRepository", "dockerRepository", TRUST_ID_EXACT_REPOSITORY, false},
    {"remapIdentity", "signedPrefix", TRUST_ID_REMAP, true},
};

/* What an identity names must be a reference itself, or a mistyped one would never match. */
static int check_identity(struct trust_requirement *q, const char *where, struct err *e)
{
    struct ref ref;
    if (q->identity != TRUST_ID_EXACT_REFERENCE && q->identity != TRUST_ID_EXACT_REPOSITORY)
        return 0;
    if (ref_parse(q->value, &ref, e) < 0)
        return err_wrap(e, "%.300s", where);
    bool whole = ref.tag[0] != '\0' || ref.digest[0] != '\0';
    if (whole != (q->identity == TRUST_ID_EXACT_REFERENCE))
        return bad(e, where,
                   whole ? "dockerRepository must have neither tag nor digest"
                         : "dockerReference needs a tag or a digest");
    return 0;
}

static int read_identity(struct reading *r, struct trust_requirement *q, const char *where,
                         struct json_object *v, struct err *e)
{
    const char *type = type_of(v);
    struct json_object_iter it;
    size_t i = 0;
    if (type == NULL)
        return bad(e, where, "signedIdentity must be an object with a type");
    while (i < ARRAY_LEN(identities) && strcmp(identities[i].type, type) != 0)
        i++;
    if (i == ARRAY_LEN(identities))
        return bad(e, where, "unknown type of signedIdentity");
    q->identity = identities[i].identity;
    q->identity_type = identities[i].type;
    json_object_object_foreachC(v, it)
    {
        bool value = identities[i].value_key != NULL && !strcmp(it.key, identities[i].value_key);
        if (value || (identities[i].prefix && strcmp(it.key, "prefix") == 0))
            TRY(get_text(it.val, where, value ? &q->value : &q->prefix, r->a, e));
        else if (strcmp(it.key, "type") != 0)
            return err_set(e, ERR_INVALID, "%.300s: unknown key %.100s in signedIdentity", where,
                           it.key);
    }
    if ((identities[i].value_key != NULL && q->value == NULL) ||
        (identities[i].prefix && q->prefix == NULL))
        return bad(e, where, "signedIdentity is not complete");
    return check_identity(q, where, e);
}

/* ---- requirements ---- */

static const struct {
    const char *type;
    enum trust_kind kind;
} types[] = {
    {"insecureAcceptAnything", TRUST_ACCEPT},
    {"reject", TRUST_REJECT},
    {"sigstoreSigned", TRUST_SIGNED},
    {"signedBy", TRUST_NOT_DONE},
};

/* Keys of sigstoreSigned that a policy may have and we cannot do. */
static const char *const not_done[] = {"fulcio",
                                       "pki",
                                       "rekorPublicKeyPath",
                                       "rekorPublicKeyPaths",
                                       "rekorPublicKeyData",
                                       "rekorPublicKeyDatas"};

static int read_signed_key(struct reading *r, struct trust_requirement *q, const char *where,
                           const char *key, struct json_object *v, struct err *e)
{
    static const struct {
        const char *key;
        bool path, many;
    } keys[] = {{"keyPath", true, false},
                {"keyPaths", true, true},
                {"keyData", false, false},
                {"keyDatas", false, true}};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(key, keys[i].key) == 0)
            return read_keys(r, q, where, keys[i].path, keys[i].many, v, e);
    if (strcmp(key, "signedIdentity") == 0)
        return read_identity(r, q, where, v, e);
    for (size_t i = 0; i < ARRAY_LEN(not_done); i++)
        if (strcmp(key, not_done[i]) == 0) {
            q->kind = TRUST_NOT_DONE;
            q->not_done = not_done[i];
            return 0;
        }
    return err_set(e, ERR_INVALID, "%.300s: unknown key %.100s in sigstoreSigned", where, key);
}

static int read_requirement(struct reading *r, struct trust_requirement *q, const char *where,
                            struct json_object *v, struct err *e)
{
    const char *type = type_of(v);
    struct json_object_iter it;
    size_t i = 0;
    if (type == NULL)
        return bad(e, where, "a requirement must be an object with a type");
    while (i < ARRAY_LEN(types) && strcmp(types[i].type, type) != 0)
        i++;
    if (i == ARRAY_LEN(types))
        return err_set(e, ERR_INVALID, "%.300s: unknown type of requirement \"%.100s\"", where,
                       type);
    q->type = types[i].type;
    q->kind = types[i].kind;
    q->identity_type = identities[0].type;
    if (q->kind == TRUST_NOT_DONE)
        return 0; /* whatever else it says */
    json_object_object_foreachC(v, it)
    {
        if (strcmp(it.key, "type") == 0)
            continue;
        if (types[i].kind != TRUST_SIGNED)
            return err_set(e, ERR_INVALID, "%.300s: unknown key %.100s in %s", where, it.key,
                           q->type);
        TRY(read_signed_key(r, q, where, it.key, it.val, e));
    }
    if (q->kind == TRUST_SIGNED && q->keys.n == 0)
        return bad(e, where, "exactly one of keyPath, keyPaths, keyData and keyDatas is needed");
    return 0;
}

static int read_entry(struct reading *r, struct trust_entry *t, struct json_object *v,
                      struct err *e)
{
    if (!json_object_is_type(v, json_type_array) || json_object_array_length(v) == 0)
        return bad(e, t->label, "expected a list of requirements, at least one");
    if (json_object_array_length(v) > TRUST_REQUIREMENTS_MAX)
        return bad(e, t->label, "too many requirements");
    for (size_t i = 0; i < json_object_array_length(v); i++) {
        struct trust_requirement *q = vec_add_in(r->a, &t->requirements);
        TRY(read_requirement(r, q, t->label, json_object_array_get_idx(v, i), e));
    }
    return 0;
}

/* ---- the document ---- */

/* Images of other transports never come here, but a mistake in their entries is one all the same.
 */
static int read_transport(struct reading *r, const char *name, struct json_object *v, struct err *e)
{
    struct json_object_iter it;
    if (!json_object_is_type(v, json_type_object))
        return bad(e, name, "expected an object of scopes");
    json_object_object_foreachC(v, it)
    {
        struct trust_entry t = {.scope = arena_strdup(r->a, it.key),
                                .label = arena_printf(r->a, "%.100s \"%.300s\"", name, it.key)};
        TRY(read_entry(r, &t, it.val, e));
        if (strcmp(name, "docker") == 0)
            vec_push_in(r->a, &r->out->entries, t);
    }
    return 0;
}

static int read_document(struct reading *r, struct json_object *doc, struct err *e)
{
    struct json_object *transports = NULL, *fallback = NULL;
    struct json_object_iter it;
    if (!json_object_is_type(doc, json_type_object))
        return err_set(e, ERR_INVALID, "expected an object");
    json_object_object_foreachC(doc, it)
    {
        if (strcmp(it.key, "default") != 0 && strcmp(it.key, "transports") != 0)
            return err_set(e, ERR_INVALID, "unknown key %.100s", it.key);
    }
    if (!json_object_object_get_ex(doc, "default", &fallback))
        return err_set(e, ERR_INVALID, "the default requirements are missing");
    r->out->fallback = (struct trust_entry){.scope = "", .label = "default"};
    TRY(read_entry(r, &r->out->fallback, fallback, e));
    if (!json_object_object_get_ex(doc, "transports", &transports))
        return 0;
    if (!json_object_is_type(transports, json_type_object))
        return bad(e, "transports", "expected an object");
    json_object_object_foreachC(transports, it)
    {
        TRY(read_transport(r, it.key, it.val, e));
    }
    return 0;
}

int trust_policy_parse(const char *text, size_t n, struct arena *a, struct trust_policy *out,
                       struct err *e)
{
    struct reading r = {a, out};
    *out = (struct trust_policy){0};
    if (n > TRUST_POLICY_MAX)
        return err_set(e, ERR_TOO_LARGE, "the policy is too long");
    auto_free char *all = str_dup((struct str){text, n}); /* the end is what ends a number */
    struct json_tokener *tok = json_tokener_new();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *doc = json_tokener_parse_ex(tok, all, (int)n + 1);
    int done = json_tokener_get_error(tok) != json_tokener_success
                   ? err_set(e, ERR_INVALID, "%s at byte %zu",
                             json_tokener_error_desc(json_tokener_get_error(tok)),
                             json_tokener_get_parse_end(tok))
                   : read_document(&r, doc, e);
    json_object_put(doc);
    json_tokener_free(tok);
    return done;
}

int trust_policy_read(const char *path, struct arena *a, struct trust_policy *out, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(TRUST_POLICY_MAX);
    if (file_read(AT_FDCWD, path, &text, e) < 0 ||
        trust_policy_parse(buf_cstr(&text), text.n, a, out, e) < 0) {
        e->kind = ERR_INTERNAL; /* whoever pulls can do nothing about it */
        return err_wrap(e, "signature policy %s", path);
    }
    out->path = arena_strdup(a, path);
    return 0;
}

/* ---- which entry ---- */

static const struct trust_entry *entry_of(const struct trust_policy *p, const char *scope)
{
    vec_each(t, &p->entries)
        if (strcmp(t->scope, scope) == 0)
            return t;
    return NULL;
}

/* "*.b.c" and "*.c" for a.b.c:5000. */
static const struct trust_entry *wildcard_of(const struct trust_policy *p, char *domain)
{
    char scope[REF_NAME_MAX + 4];
    char *colon = strchr(domain, ':'), *dot = domain;
    if (colon != NULL)
        *colon = '\0';
    while ((dot = strchr(dot, '.')) != NULL) {
        const struct trust_entry *t;
        dot++;
        (void)snprintf(scope, sizeof(scope), "*.%s", dot);
        if ((t = entry_of(p, scope)) != NULL)
            return t;
    }
    return NULL;
}

const struct trust_entry *trust_policy_find(const struct trust_policy *p, const struct ref *name)
{
    char text[REF_TEXT_MAX];
    const struct trust_entry *t = NULL;
    if (name == NULL)
        return &p->fallback;
    struct ref part = *name;
    if (name->digest[0] != '\0' && name->tag[0] != '\0') {
        part.tag[0] = '\0'; /* the digest says more than the tag */
        ref_format(&part, text);
        t = entry_of(p, text);
        part = *name;
        part.digest[0] = '\0';
    }
    ref_format(&part, text);
    if (t == NULL)
        t = entry_of(p, text);
    (void)snprintf(text, sizeof(text), "%s/%s", name->domain, name->path);
    while (t == NULL) {
        char *slash = strrchr(text, '/');
        t = entry_of(p, text);
        if (slash == NULL)
            break;
        if (t == NULL)
            *slash = '\0';
    }
    if (t == NULL)
        t = wildcard_of(p, text);
    if (t == NULL)
        t = entry_of(p, "");
    return t != NULL ? t : &p->fallback;
}
