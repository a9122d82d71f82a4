/**
 * JSON documents: the struct, the reader, the writer and the deep copy all come from one list of
 * fields.
 *
 *     #define PORT(T, F)                                  \
 *         F(T, str, ip,      "HostIp",   0)               \
 *         F(T, str, port,    "HostPort", JSON_OMITEMPTY)
 *     JSON_TYPE(port, PORT)              // in the header
 *     JSON_DESC(port, PORT)              // in one .c file
 *
 *     TRY(json_parse(&port_json, &p, text, len, arena, e));
 *     json_write(&port_json, &p, &out);
 *
 * Reading follows Go's encoding/json: keys match without case, unknown keys are skipped, null is
 * the zero value, the last duplicate wins, bytes that are not UTF-8 become U+FFFD. Everything read
 * lives in the arena; documents are immutable once built.
 *
 * Kinds (C member in brackets):
 *   bool i64 u64 f64; str (const char *, NULL is ""); time (int64_t ns, RFC 3339); dur (int64_t ns,
 * a number); map (struct strmap: string to string); obj(sub) (struct sub *, NULL is absent or
 * null); val(sub) (struct sub, always there); emb(sub) (struct sub, its fields stand in the outer
 * object, as Go embeds); list(sub) (VEC(struct sub)); strv (struct strv); i64v (struct i64v); set
 * (struct strv, written {"a":{}}); mapobj(sub) (VEC of {key, struct sub *val}); maplist(sub) (VEC
 * of {key, VEC(struct sub) val}); mapstrv (VEC of {key, struct strv val}); raw (const char *, JSON
 * text as it is; NULL is null); opt_bool, opt_i64, opt_u64 (pointer, NULL is absent or null).
 */
#ifndef HULL_BASE_JSON_H
#define HULL_BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"

enum json_kind {
    JSON_BOOL,
    JSON_I64,
    JSON_U64,
    JSON_F64,
    JSON_STR,
    JSON_TIME,
    JSON_MAP,
    JSON_OBJ,
    JSON_VAL,
    JSON_EMB,
    JSON_LIST,
    JSON_STRV,
    JSON_I64V,
    JSON_SET,
    JSON_MAPOBJ,
    JSON_MAPLIST,
    JSON_MAPSTRV,
    JSON_MAPU64,
    JSON_RAW,
    JSON_OPT_BOOL,
    JSON_OPT_I64,
    JSON_OPT_U64,
};

enum {
    JSON_OMITEMPTY =
        1 << 0,         /* leave the key out when the value is zero, "", NULL or has no items */
    JSON_NULL = 1 << 1, /* str: NULL is written as null, not "" */
    JSON_EMPTY =
        1 << 2, /* lists and maps: written [] or {} even when v is NULL, which else is null */
    JSON_ONE_OR_MANY = 1 << 3, /* strv: a bare string is read as a list of one */
};

/* A string-to-string map in a document; sorted by key when written. */
struct strmap_ent {
    const char *key, *val;
};
struct strmap {
    struct strmap_ent *v;
    size_t n, cap;
};

struct i64v {
    int64_t *v;
    size_t n, cap;
};

struct json_desc;

struct json_field {
    const char *key;
    size_t off;
    unsigned flags;
    enum json_kind kind;
    const struct json_desc *sub;
};

struct json_desc {
    const char *name;
    size_t size;
    size_t n;
    const struct json_field *fields;
};

#define JSON_MEMBER_bool(name) bool name;
#define JSON_MEMBER_i64(name) int64_t name;
#define JSON_MEMBER_u64(name) uint64_t name;
#define JSON_MEMBER_f64(name) double name;
#define JSON_MEMBER_str(name) const char *name;
#define JSON_MEMBER_time(name) int64_t name;
#define JSON_MEMBER_dur(name) int64_t name;
#define JSON_MEMBER_map(name) struct strmap name;
#define JSON_MEMBER_obj(name, type) struct type *name;
#define JSON_MEMBER_val(name, type) struct type name;
#define JSON_MEMBER_emb(name, type) struct type name;
#define JSON_MEMBER_list(name, type) VEC(struct type) name;
#define JSON_MEMBER_strv(name) struct strv name;
#define JSON_MEMBER_i64v(name) struct i64v name;
#define JSON_MEMBER_set(name) struct strv name;
#define JSON_MEMBER_mapobj(name, type) \
    VEC(struct {                       \
        const char *key;               \
        struct type *val;              \
    })                                 \
    name;
#define JSON_MEMBER_maplist(name, type) \
    VEC(struct {                        \
        const char *key;                \
        VEC(struct type) val;           \
    })                                  \
    name;
#define JSON_MEMBER_mapstrv(name) \
    VEC(struct {                  \
        const char *key;          \
        struct strv val;          \
    })                            \
    name;
#define JSON_MEMBER_mapu64(name) \
    VEC(struct {                 \
        const char *key;         \
        uint64_t val;            \
    })                           \
    name;
#define JSON_MEMBER_raw(name) const char *name;
#define JSON_MEMBER_opt_bool(name) bool *name;
#define JSON_MEMBER_opt_i64(name) int64_t *name;
#define JSON_MEMBER_opt_u64(name) uint64_t *name;

#define JSON_REF_bool() JSON_BOOL, NULL
#define JSON_REF_i64() JSON_I64, NULL
#define JSON_REF_u64() JSON_U64, NULL
#define JSON_REF_f64() JSON_F64, NULL
#define JSON_REF_str() JSON_STR, NULL
#define JSON_REF_time() JSON_TIME, NULL
#define JSON_REF_dur() JSON_I64, NULL
#define JSON_REF_map() JSON_MAP, NULL
#define JSON_REF_obj(type) JSON_OBJ, &type##_json
#define JSON_REF_val(type) JSON_VAL, &type##_json
#define JSON_REF_emb(type) JSON_EMB, &type##_json
#define JSON_REF_list(type) JSON_LIST, &type##_json
#define JSON_REF_strv() JSON_STRV, NULL
#define JSON_REF_i64v() JSON_I64V, NULL
#define JSON_REF_set() JSON_SET, NULL
#define JSON_REF_mapobj(type) JSON_MAPOBJ, &type##_json
#define JSON_REF_maplist(type) JSON_MAPLIST, &type##_json
#define JSON_REF_mapstrv() JSON_MAPSTRV, NULL
#define JSON_REF_mapu64() JSON_MAPU64, NULL
#define JSON_REF_raw() JSON_RAW, NULL
#define JSON_REF_opt_bool() JSON_OPT_BOOL, NULL
#define JSON_REF_opt_i64() JSON_OPT_I64, NULL
#define JSON_REF_opt_u64() JSON_OPT_U64, NULL

#define JSON_MEMBER(T, kind, name, key, flags, ...) JSON_MEMBER_##kind(name, ##__VA_ARGS__)
#define JSON_FIELD(T, kind, name, key, flags, ...) \
    {key, offsetof(struct T, name), flags, JSON_REF_##kind(__VA_ARGS__)},

#define JSON_TYPE(T, FIELDS)   \
    struct T {                 \
        FIELDS(T, JSON_MEMBER) \
    };                         \
    extern const struct json_desc T##_json;

#define JSON_DESC(T, FIELDS)                                               \
    static const struct json_field T##_fields[] = {FIELDS(T, JSON_FIELD)}; \
    const struct json_desc T##_json = {#T, sizeof(struct T), ARRAY_LEN(T##_fields), T##_fields};

/**
 * Read one document.
 *
 * out    a struct of desc's type; zeroed first, filled on success, unspecified after an error.
 * text   len bytes of JSON; nothing but spaces may follow the value. Nesting deeper than 64 is
 * refused. arena  owns everything that out points to.
 *
 * Errors: INVALID, naming the place: "HostConfig.Mounts[2].Type: expected a string".
 */
int json_parse(const struct json_desc *desc, void *out, const char *text, size_t len,
               struct arena *arena, struct err *e);

/** Read an array of documents: out_v gets n structs of desc->size bytes in the arena. */
int json_parse_list(const struct json_desc *desc, void **out_v, size_t *out_n, const char *text,
                    size_t len, struct arena *arena, struct err *e);

/** Append the document to out, keys in declared order, numbers and escapes as Go prints them.
 * Overflow: out->over. */
void json_write(const struct json_desc *desc, const void *doc, struct buf *out);

/** Append an array of n documents that lie one after the other. */
void json_write_list(const struct json_desc *desc, const void *docs, size_t n, struct buf *out);

/** Deep copy of src into dst; all memory from the arena. */
void json_copy(const struct json_desc *desc, void *dst, const void *src, struct arena *arena);

/** Append s as a JSON string with Go's escapes. s may be NULL (""). */
void json_write_str(const char *s, size_t n, struct buf *out);

/** Append a number as Go prints a float64. */
void json_write_f64(double v, struct buf *out);

/**
 * Append text (valid JSON) again with line breaks and `indent` per level, as Go's json.Indent does.
 * With indent NULL it is compacted instead.
 */
void json_indent(const char *text, size_t len, const char *indent, struct buf *out);

/** Turn the escapes of '<', '>' and '&' in a JSON text back into the characters: Go's encoder with
 * SetEscapeHTML(false), as Docker's API answers. */
void json_unescape_html(struct buf *text);

/** The value of key, or NULL. */
const char *strmap_get(const struct strmap *m, const char *key);

/** Set a key of a map that is being built in an arena; key and val are copied. */
void strmap_set(struct strmap *m, struct arena *arena, const char *key, const char *val);

#endif
