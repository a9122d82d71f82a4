/* The functions of templates, as a table, and how values print, compare and count as true. */
#include "template/node.h"

#include <json-c/json.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#define OUT_MAX (16u << 20)

typedef int func_fn(const struct call *c, struct json_object **out, struct err *e);

static struct json_object *string_of(struct buf *b)
{
    return json_object_new_string_len(buf_cstr(b), (int)b->n);
}

bool value_true(struct json_object *v)
{
    switch (json_object_get_type(v)) {
    case json_type_null:
        return false;
    case json_type_boolean:
        return json_object_get_boolean(v) != 0;
    case json_type_int:
        return json_object_get_int64(v) != 0;
    case json_type_double:
        return json_object_get_double(v) != 0;
    case json_type_string:
        return json_object_get_string_len(v) > 0;
    case json_type_array:
        return json_object_array_length(v) > 0;
    case json_type_object:
        return json_object_object_length(v) > 0;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of an object in order; the caller frees the array. */
static const char **sorted_keys(struct json_object *o, size_t *out_n)
{
    const char **keys = mem_alloc_array((size_t)json_object_object_length(o), sizeof(*keys));
    size_t n = 0;
    json_object_object_foreach(o, key, val)
    {
        (void)val;
        keys[n++] = key;
    }
    if (n > 1)
        qsort(keys, n, sizeof(*keys), by_name);
    *out_n = n;
    return keys;
}

static void print_object(struct json_object *v, struct buf *out)
{
    size_t n;
    auto_free const char **keys = sorted_keys(v, &n);
    buf_adds(out, "map[");
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s%s:", i > 0 ? " " : "", keys[i]);
        value_print(json_object_object_get(v, keys[i]), out);
    }
    buf_addc(out, ']');
}

void value_print(struct json_object *v, struct buf *out)
{
    switch (json_object_get_type(v)) {
    case json_type_null:
        buf_adds(out, "<nil>");
        return;
    case json_type_boolean:
        buf_adds(out, json_object_get_boolean(v) ? "true" : "false");
        return;
    case json_type_double:
        json_write_f64(json_object_get_double(v), out);
        return;
    case json_type_array:
        buf_addc(out, '[');
        for (size_t i = 0; i < json_object_array_length(v); i++) {
            if (i > 0)
                buf_addc(out, ' ');
            value_print(json_object_array_get_idx(v, i), out);
        }
        buf_addc(out, ']');
        return;
    case json_type_object:
        print_object(v, out);
        return;
    default:
        buf_adds(out, json_object_get_string(v));
    }
}

/* A value as Go's json.Marshal writes it, keys sorted. */
static void write_json(struct json_object *v, struct buf *out)
{
    size_t n = 0;
    switch (json_object_get_type(v)) {
    case json_type_string:
        json_write_str(json_object_get_string(v), (size_t)json_object_get_string_len(v), out);
        return;
    case json_type_double:
        json_write_f64(json_object_get_double(v), out);
        return;
    case json_type_array:
        buf_addc(out, '[');
        for (size_t i = 0; i < json_object_array_length(v); i++) {
            if (i > 0)
                buf_addc(out, ',');
            write_json(json_object_array_get_idx(v, i), out);
        }
        buf_addc(out, ']');
        return;
    case json_type_object: {
        auto_free const char **keys = sorted_keys(v, &n);
        buf_addc(out, '{');
        for (size_t i = 0; i < n; i++) {
            if (i > 0)
                buf_addc(out, ',');
            json_write_str(keys[i], strlen(keys[i]), out);
            buf_addc(out, ':');
            write_json(json_object_object_get(v, keys[i]), out);
        }
        buf_addc(out, '}');
        return;
    }
    default:
        buf_adds(out, json_object_to_json_string(v));
    }
}

static const char *text_arg(const struct call *c, size_t i)
{
    return i < c->n && c->args[i] != NULL ? json_object_get_string(c->args[i]) : "";
}

static int64_t int_arg(const struct call *c, size_t i)
{
    return i < c->n ? json_object_get_int64(c->args[i]) : 0;
}

static int fn_json(const struct call *c, struct json_object **out, struct err *e)
{
    (void)e;
    auto_buf struct buf b = BUF_MAX(OUT_MAX);
    write_json(c->args[0], &b);
    *out = string_of(&b);
    return 0;
}

static int map_chars(const struct call *c, int (*fn)(int), struct json_object **out)
{
    auto_free char *s = mem_strdup(text_arg(c, 0));
    for (char *p = s; *p != '\0'; p++)
        if ((unsigned char)*p < 0x80)
            *p = (char)fn((unsigned char)*p);
    *out = json_object_new_string(s);
    return 0;
}

static int ascii_lower(int ch)
{
    return ch >= 'A' && ch <= 'Z' ? ch + 32 : ch;
}

static int ascii_upper(int ch)
{
    return ch >= 'a' && ch <= 'z' ? ch - 32 : ch;
}

static int fn_lower(const struct call *c, struct json_object **out, struct err *e)
{
    (void)e;
    return map_chars(c, ascii_lower, out);
}

static int fn_upper(const struct call *c, struct json_object **out, struct err *e)
{
    (void)e;
    return map_chars(c, ascii_upper, out);
}

static int fn_title(const struct call *c, struct json_object **out, struct err *e)
{
    (void)e;
    auto_free char *s = mem_strdup(text_arg(c, 0));
    for (char *p = s; *p != '\0'; p++)
        if (p == s || p[-1] == ' ')
            *p = (char)ascii_upper((unsigned char)*p);
    *out = json_object_new_string(s);
    return 0;
}

static int fn_split(const struct call *c, struct json_object **out, struct err *e)
{
    (void)e;
    const char *s = text_arg(c, 0), *sep = text_arg(c, 1);
    size_t n = strlen(sep);
    *out = json_object_new_array();
    if (n == 0) {
        for (; *s != '\0'; s++)
            json_object_array_add(*out, json_object_new_string_len(s, 1));
        return 0;
    }
    for (const char *at; (at = strstr(s, sep)) != NULL; s = at + n)
        json_object_array_add(*out, json_object_new_string_len(s, (int)(at - s)));
    json_object_array_add(*out, json_object_new_string(s));
    return 0;
}

static int fn_join(const struct call *c, struct json_object **out, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(OUT_MAX);
    struct json_object *list = c->args[0];
    const char *sep = text_arg(c, 1);
    size_t n = 0;
    if (json_object_is_type(list, json_type_object)) {
        auto_free const char **keys = sorted_keys(list, &n);
        for (size_t i = 0; i < n; i++) {
            buf_adds(&b, i > 0 ? sep : "");
            value_print(json_object_object_get(list, keys[i]), &b);
        }
    } else if (json_object_is_type(list, json_type_array)) {
        for (; n < json_object_array_length(list); n++) {
            buf_adds(&b, n > 0 ? sep : "");
            value_print(json_object_array_get_idx(list, n), &b);
        }
    } else if (list != NULL) {
        return err_set(e, ERR_INVALID, "error calling join: wrong type for value; expected a list");
    }
    *out = string_of(&b);
    return 0;
}

static int fn_pad(const struct call *c, struct json_object **out, struct err *e)
{
    const char *s = text_arg(c, 0);
    int64_t before = int_arg(c, 1), after = int_arg(c, 2);
    if (before < 0 || after < 0 || before > 1000 || after > 1000)
        return err_set(e, ERR_INVALID, "error calling pad: width out of range");
    auto_free char *padded =
        *s == '\0' ? mem_strdup("") : mem_printf("%*s%s%*s", (int)before, "", s, (int)after, "");
    *out = json_object_new_string(padded);
    return 0;
}

static int fn_truncate(const struct call *c, struct json_object **out, struct err *e)
{
    (void)e;
    const char *s = text_arg(c, 0);
    int64_t n = MAX(int_arg(c, 1), 0);
    *out = json_object_new_string_len(s, (int)MIN((int64_t)strlen(s), n));
    return 0;
}

static int fn_len(const struct call *c, struct json_object **out, struct err *e)
{
    size_t n;
    switch (json_object_get_type(c->args[0])) {
    case json_type_string:
        n = (size_t)json_object_get_string_len(c->args[0]);
        break;
    case json_type_array:
        n = json_object_array_length(c->args[0]);
        break;
    case json_type_object:
        n = (size_t)json_object_object_length(c->args[0]);
        break;
    case json_type_null:
        n = 0;
        break;
    default:
        return err_set(e, ERR_INVALID, "error calling len: len of this type");
    }
    *out = json_object_new_int64((int64_t)n);
    return 0;
}

static int fn_index(const struct call *c, struct json_object **out, struct err *e)
{
    struct json_object *v = c->args[0];
    for (size_t i = 1; i < c->n; i++) {
        if (json_object_is_type(v, json_type_object)) {
            v = json_object_object_get(v, text_arg(c, i));
        } else if (json_object_is_type(v, json_type_array)) {
            int64_t at = int_arg(c, i);
            if (at < 0 || (size_t)at >= json_object_array_length(v))
                return err_set(e, ERR_INVALID,
                               "error calling index: reflect: slice index out of range");
            v = json_object_array_get_idx(v, (size_t)at);
        } else {
            return err_set(e, ERR_INVALID, "error calling index: index of %s",
                           v == NULL ? "untyped nil" : "this type");
        }
    }
    *out = json_object_get(v);
    return 0;
}

static int fn_slice(const struct call *c, struct json_object **out, struct err *e)
{
    bool text = json_object_is_type(c->args[0], json_type_string);
    if (!text && !json_object_is_type(c->args[0], json_type_array))
        return err_set(e, ERR_INVALID, "error calling slice: can't slice item of this type");
    int64_t len = text ? json_object_get_string_len(c->args[0])
                       : (int64_t)json_object_array_length(c->args[0]);
    int64_t from = c->n > 1 ? int_arg(c, 1) : 0, to = c->n > 2 ? int_arg(c, 2) : len;
    if (from < 0 || to < from || to > len)
        return err_set(e, ERR_INVALID, "error calling slice: index out of range");
    if (text) {
        *out = json_object_new_string_len(text_arg(c, 0) + from, (int)(to - from));
        return 0;
    }
    *out = json_object_new_array();
    for (; from < to; from++)
        json_object_array_add(*out,
                              json_object_get(json_object_array_get_idx(c->args[0], (size_t)from)));
    return 0;
}

/* -1, 0, 1, or 2 when the values are not of one kind. */
static int compare(struct json_object *a, struct json_object *b)
{
    enum json_type ta = json_object_get_type(a), tb = json_object_get_type(b);
    bool number_a = ta == json_type_int || ta == json_type_double;
    bool number_b = tb == json_type_int || tb == json_type_double;
    if (ta == json_type_int && tb == json_type_int) {
        int64_t x = json_object_get_int64(a), y = json_object_get_int64(b);
        return x < y ? -1 : x > y;
    }
    if (number_a && number_b) {
        double x = json_object_get_double(a), y = json_object_get_double(b);
        return x < y ? -1 : x > y;
    }
    if (ta != tb)
        return 2;
    if (ta == json_type_string) {
        int r = strcmp(json_object_get_string(a), json_object_get_string(b));
        return r < 0 ? -1 : r > 0;
    }
    if (ta == json_type_null)
        return 0;
    return json_object_equal(a, b) ? 0 : 2;
}

static int fn_eq(const struct call *c, struct json_object **out, struct err *e)
{
    (void)e;
    bool same = false;
    for (size_t i = 1; i < c->n; i++)
        same = same || compare(c->args[0], c->args[i]) == 0;
    *out = json_object_new_boolean(c->name[0] == 'n' ? !same : same);
    return 0;
}

static int fn_order(const struct call *c, struct json_object **out, struct err *e)
{
    int r = compare(c->args[0], c->args[1]);
    if (r == 2)
        return err_set(e, ERR_INVALID, "error calling %s: incompatible types for comparison",
                       c->name);
    bool less = c->name[0] == 'l', with_equal = c->name[1] == 'e';
    *out = json_object_new_boolean((with_equal && r == 0) || r == (less ? -1 : 1));
    return 0;
}

static int fn_not(const struct call *c, struct json_object **out, struct err *e)
{
    (void)e;
    *out = json_object_new_boolean(!value_true(c->args[0]));
    return 0;
}

/* Reached with a piped value only; the executor does the rest. */
static int fn_logic(const struct call *c, struct json_object **out, struct err *e)
{
    (void)e;
    size_t i = 0;
    while (i + 1 < c->n && value_true(c->args[i]) == (c->name[0] == 'a'))
        i++;
    *out = json_object_get(c->args[i]);
    return 0;
}

static int fn_print(const struct call *c, struct json_object **out, struct err *e)
{
    (void)e;
    auto_buf struct buf b = BUF_MAX(OUT_MAX);
    bool line = strcmp(c->name, "println") == 0;
    for (size_t i = 0; i < c->n; i++) {
        bool strings = i > 0 && (json_object_is_type(c->args[i], json_type_string) ||
                                 json_object_is_type(c->args[i - 1], json_type_string));
        if (i > 0 && (line || !strings))
            buf_addc(&b, ' ');
        value_print(c->args[i], &b);
    }
    if (line)
        buf_addc(&b, '\n');
    *out = string_of(&b);
    return 0;
}

/* One verb of printf: flags, width and precision were copied to spec. */
static void print_verb(struct buf *b, const char *spec, char verb, struct json_object *v)
{
    auto_buf struct buf text = BUF_MAX(OUT_MAX);
    char fmt[40];
    switch (verb) {
    case 'd':
    case 'x':
    case 'X':
    case 'o':
    case 'c':
        if (!json_object_is_type(v, json_type_int) && verb == 'd')
            break;
        (void)snprintf(fmt, sizeof(fmt), "%%%sll%c", spec, verb == 'c' ? 'd' : verb);
        {
            char number[128];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            (void)snprintf(number, sizeof(number), fmt, (long long)json_object_get_int64(v));
#pragma GCC diagnostic pop
            buf_adds(b, number);
        }
        return;
    case 'f':
    case 'e':
    case 'g': {
        char number[400];
        (void)snprintf(fmt, sizeof(fmt), "%%%s%c", spec, verb);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(number, sizeof(number), fmt, json_object_get_double(v));
#pragma GCC diagnostic pop
        buf_adds(b, number);
        return;
    }
    case 'q':
        json_write_str(json_object_get_string(v), strlen(json_object_get_string(v)), &text);
        break;
    case 't':
    case 's':
    case 'v':
        value_print(v, &text);
        break;
    default:
        buf_printf(b, "%%!%c(", verb);
        value_print(v, b);
        buf_addc(b, ')');
        return;
    }
    if (text.n == 0 && verb == 'd') {
        buf_adds(b, "%!d(");
        value_print(v, b);
        buf_addc(b, ')');
        return;
    }
    (void)snprintf(fmt, sizeof(fmt), "%%%ss", spec);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    buf_printf(b, fmt, buf_cstr(&text));
#pragma GCC diagnostic pop
}

static int fn_printf(const struct call *c, struct json_object **out, struct err *e)
{
    (void)e;
    auto_buf struct buf b = BUF_MAX(OUT_MAX);
    size_t next = 1;
    for (const char *p = text_arg(c, 0); *p != '\0'; p++) {
        if (*p != '%') {
            buf_addc(&b, *p);
            continue;
        }
        char spec[16] = "";
        size_t n = strspn(++p, "+-# 0123456789.");
        if (n < sizeof(spec)) {
            memcpy(spec, p, n);
            spec[n] = '\0';
        }
        p += n;
        if (*p == '%' || *p == '\0') {
            buf_addc(&b, '%');
            if (*p == '\0')
                break;
        } else if (next >= c->n) {
            buf_printf(&b, "%%!%c(MISSING)", *p);
        } else {
            print_verb(&b, spec, *p, c->args[next++]);
        }
    }
    *out = string_of(&b);
    return 0;
}

static const struct {
    const char *name;
    func_fn *fn;
    size_t min, max;
} funcs[] = {
    {"and", fn_logic, 1, 99},
    {"or", fn_logic, 1, 99},
    {"not", fn_not, 1, 1},
    {"eq", fn_eq, 2, 99},
    {"ne", fn_eq, 2, 2},
    {"lt", fn_order, 2, 2},
    {"le", fn_order, 2, 2},
    {"gt", fn_order, 2, 2},
    {"ge", fn_order, 2, 2},
    {"len", fn_len, 1, 1},
    {"index", fn_index, 1, 99},
    {"slice", fn_slice, 1, 3},
    {"print", fn_print, 0, 99},
    {"printf", fn_printf, 1, 99},
    {"println", fn_print, 0, 99},
    {"json", fn_json, 1, 1},
    {"split", fn_split, 2, 2},
    {"join", fn_join, 2, 2},
    {"title", fn_title, 1, 1},
    {"lower", fn_lower, 1, 1},
    {"upper", fn_upper, 1, 1},
    {"pad", fn_pad, 3, 3},
    {"truncate", fn_truncate, 2, 2},
};

static size_t func_find(const char *name)
{
    size_t i = 0;
    while (i < ARRAY_LEN(funcs) && strcmp(funcs[i].name, name) != 0)
        i++;
    return i;
}

bool func_exists(const char *name)
{
    return func_find(name) < ARRAY_LEN(funcs);
}

int func_call(const struct call *c, struct json_object **out, struct err *e)
{
    size_t i = func_find(c->name);
    if (i == ARRAY_LEN(funcs))
        return err_set(e, ERR_NOT_FOUND, "function \"%s\" not defined", c->name);
    if (c->n < funcs[i].min || c->n > funcs[i].max)
        return err_set(e, ERR_INVALID, "wrong number of args for %s: want %s%zu got %zu", c->name,
                       funcs[i].min != funcs[i].max ? "at least " : "", funcs[i].min, c->n);
    /* over column titles a transformation has nothing to work on: the title itself comes out */
    bool docker_own = strcmp(c->name, "pad") != 0 && i >= func_find("json");
    if (c->opts != NULL && c->opts->header && docker_own) {
        *out = json_object_get(c->args[0]);
        return 0;
    }
    return funcs[i].fn(c, out, e);
}
