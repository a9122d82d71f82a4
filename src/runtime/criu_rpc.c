/*
 * criu's RPC as bytes: see criu_rpc.h. One table says which member of the settings is which field.
 * Source: criu's images/rpc.proto; protobuf.dev, "Encoding".
 */
#include "runtime/criu_rpc.h"

#include "base/str.h"

#define SETTINGS_MAX (1 << 20)

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* ---- words -------------------------------------------------------------------------------- */

const char *criu_type_name(int type)
{
    switch (type) {
    case CRIU_DUMP:
        return "DUMP";
    case CRIU_RESTORE:
        return "RESTORE";
    case CRIU_PRE_DUMP:
        return "PRE_DUMP";
    case CRIU_NOTIFY:
        return "NOTIFY";
    case CRIU_FEATURE_CHECK:
        return "FEATURE_CHECK";
    case CRIU_VERSION:
        return "VERSION";
    default:
        return "UNKNOWN";
    }
}

int criu_cgroups_parse(const char *word, enum criu_cgroups *out, struct err *e)
{
    static const struct {
        const char *word;
        enum criu_cgroups mode;
    } modes[] = {{"", CRIU_DEFAULT},
                 {"soft", CRIU_SOFT},
                 {"full", CRIU_FULL},
                 {"strict", CRIU_STRICT},
                 {"ignore", CRIU_IGNORE}};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(word != NULL ? word : "", modes[i].word) == 0) {
            *out = modes[i].mode;
            return 0;
        }
    return err_set(e, ERR_INVALID, "invalid manage-cgroups-mode value");
}

/* ---- writing ------------------------------------------------------------------------------ */

static void put_varint(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_addc(b, (char)(unsigned char)(v | 0x80));
    buf_addc(b, (char)(unsigned char)v);
}

static void put_tag(struct buf *b, unsigned field, enum wire wire)
{
    put_varint(b, (uint64_t)field << 3 | (unsigned)wire);
}

static void put_number(struct buf *b, unsigned field, int64_t v)
{
    put_tag(b, field, WIRE_VARINT);
    put_varint(b, (uint64_t)v);
}

static void put_bytes(struct buf *b, unsigned field, const void *p, size_t n)
{
    put_tag(b, field, WIRE_BYTES);
    put_varint(b, n);
    buf_add(b, p, n);
}

static void put_text(struct buf *b, unsigned field, const char *s)
{
    put_bytes(b, field, s, strlen(s));
}

/* A message inside of the message: written aside, because its length stands in front. */
static void put_message(struct buf *b, unsigned field, struct buf *inner)
{
    put_bytes(b, field, buf_cstr(inner), inner->n);
    b->over |= inner->over;
    buf_done(inner);
}

static void put_pairs(struct buf *b, unsigned field, const struct criu_pairs *pairs)
{
    vec_each(p, pairs) {
        struct buf inner = BUF_MAX(SETTINGS_MAX);
        put_text(&inner, 1, p->key);
        put_text(&inner, 2, p->val);
        put_message(b, field, &inner);
    }
}

static void put_numbers(struct buf *b, unsigned field, const struct criu_numbers *numbers)
{
    vec_each(p, numbers) {
        struct buf inner = BUF_MAX(SETTINGS_MAX);
        put_text(&inner, 1, p->key);
        put_number(&inner, 2, p->number);
        put_message(b, field, &inner);
    }
}

static const struct setting {
    unsigned field;
    enum { NUMBER, FLAG, TEXT, TEXTS, PAIRS, NUMBERS } kind;
    size_t offset;
} settings_table[] = {
#define S(field, kind, member)                              \
    {                                                       \
        field, kind, offsetof(struct criu_settings, member) \
    }
    S(1, NUMBER, images_dir_fd),
    S(2, NUMBER, pid),
    S(3, FLAG, leave_running),
    S(4, FLAG, ext_unix_sk),
    S(5, FLAG, tcp_established),
    S(6, FLAG, evasive_devices),
    S(7, FLAG, shell_job),
    S(8, FLAG, file_locks),
    S(9, NUMBER, log_level),
    S(10, TEXT, log_file),
    S(11, NUMBERS, page_server),
    S(12, FLAG, notify_scripts),
    S(13, TEXT, root),
    S(14, TEXT, parent_img),
    S(15, FLAG, track_mem),
    S(16, FLAG, auto_dedup),
    S(17, NUMBER, work_dir_fd),
    S(18, FLAG, link_remap),
    S(23, PAIRS, ext_mnt),
    S(24, FLAG, manage_cgroups),
    S(25, PAIRS, cg_root),
    S(26, FLAG, rst_sibling),
    S(27, NUMBERS, inherit_fd),
    S(34, NUMBER, cgroups_mode),
    S(37, TEXTS, external),
    S(38, NUMBER, empty_ns),
    S(39, PAIRS, join_ns),
    S(44, TEXT, freeze_cgroup),
    S(46, FLAG, tcp_skip_in_flight),
    S(48, FLAG, lazy_pages),
    S(50, FLAG, orphan_pts_master),
    S(51, TEXT, config_file),
    S(53, TEXT, lsm_profile),
    S(63, TEXT, lsm_mount_context),
#undef S
};

static void put_setting(struct buf *b, const struct setting *s, const void *member)
{
    switch (s->kind) {
    case NUMBER:
        if (*(const int64_t *)member >= 0)
            put_number(b, s->field, *(const int64_t *)member);
        break;
    case FLAG:
        put_number(b, s->field, *(const bool *)member);
        break;
    case TEXT:
        if (*(const char *const *)member != NULL)
            put_text(b, s->field, *(const char *const *)member);
        break;
    case TEXTS: {
        const struct strv *texts = member;
        for (size_t i = 0; i < texts->n; i++)
            put_text(b, s->field, texts->v[i]);
        break;
    }
    case PAIRS:
        put_pairs(b, s->field, member);
        break;
    case NUMBERS:
        put_numbers(b, s->field, member);
        break;
    }
}

void criu_request_write(const struct criu_request *r, struct buf *out)
{
    put_number(out, 1, r->type);
    if (r->settings != NULL) {
        struct buf inner = BUF_MAX(SETTINGS_MAX);
        for (size_t i = 0; i < ARRAY_LEN(settings_table); i++)
            put_setting(&inner, &settings_table[i],
                        (const char *)r->settings + settings_table[i].offset);
        put_message(out, 2, &inner);
    }
    if (r->type == CRIU_NOTIFY)
        put_number(out, 3, r->notify_success);
    if (r->keep_open)
        put_number(out, 4, 1);
    if (r->features != NULL) {
        struct buf inner = BUF_MAX(64);
        put_number(&inner, 1, r->features->mem_track);
        put_number(&inner, 2, r->features->lazy_pages);
        put_message(out, 5, &inner);
    }
}

/* ---- reading ------------------------------------------------------------------------------ */

struct field {
    uint64_t id;
    enum wire wire;
    uint64_t number;  /* of WIRE_VARINT */
    struct str bytes; /* of WIRE_BYTES */
};

static bool take_varint(struct str *s, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && s->n > 0; shift += 7) {
        unsigned char c = (unsigned char)*s->p;
        s->p++, s->n--;
        v |= (uint64_t)(c & 0x7f) << shift;
        if ((c & 0x80) == 0) {
            *out = v;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct str *s, uint64_t n, struct str *out)
{
    if (n > s->n)
        return false;
    *out = (struct str){s->p, (size_t)n};
    s->p += n;
    s->n -= (size_t)n;
    return true;
}

/* The next field: 1, 0 at the end, -1 for bytes that are no message. */
static int next_field(struct str *s, struct field *out)
{
    uint64_t tag, n;
    if (s->n == 0)
        return 0;
    if (!take_varint(s, &tag))
        return -1;
    *out = (struct field){.id = tag >> 3, .wire = (enum wire)(tag & 7)};
    switch (tag & 7) {
    case WIRE_VARINT:
        return take_varint(s, &out->number) ? 1 : -1;
    case WIRE_64:
        return take_bytes(s, 8, &out->bytes) ? 1 : -1;
    case WIRE_BYTES:
        return take_varint(s, &n) && take_bytes(s, n, &out->bytes) ? 1 : -1;
    case WIRE_32:
        return take_bytes(s, 4, &out->bytes) ? 1 : -1;
    default:
        return -1;
    }
}

/* Numbers of a flat message by field: numbers[i] is field i + 1; texts are passed over but for
 * field 1, which lands in *out_text (may be NULL). */
static int read_flat(struct str s, int64_t *numbers, size_t n, struct str *out_text)
{
    struct field f = {0};
    int r;
    while ((r = next_field(&s, &f)) > 0) {
        if (f.wire == WIRE_VARINT && f.id >= 1 && f.id <= n)
            numbers[f.id - 1] = (int64_t)f.number;
        else if (f.wire == WIRE_BYTES && f.id == 1 && out_text != NULL)
            *out_text = f.bytes;
    }
    return r;
}

/* A build between two releases, which has a git id, counts as the next one, as in go-criu. */
static int read_version(struct str s, int *out)
{
    int64_t part[4] = {0}; /* major, minor, -, sublevel */
    bool git = false;
    struct field f = {0};
    struct str rest = s;
    TRY(read_flat(s, part, ARRAY_LEN(part), NULL));
    while (next_field(&rest, &f) > 0)
        git |= f.wire == WIRE_BYTES && f.id == 3 && f.bytes.n > 0;
    for (size_t i = 0; i < ARRAY_LEN(part); i++)
        if (part[i] < 0 || part[i] > 9999)
            return -1;
    *out = (int)(part[0] * 10000 + part[1] * 100 + part[3]);
    if (git)
        *out += 100 - *out % 100;
    return 0;
}

static int read_inner(const struct field *f, struct criu_answer *out)
{
    int64_t numbers[2] = {0};
    switch (f->id) {
    case 4:
        TRY(read_flat(f->bytes, numbers, 1, NULL));
        out->pid = (int32_t)numbers[0];
        return 0;
    case 5:
        TRY(read_flat(f->bytes, numbers, 2, &out->script));
        out->notify_pid = (int32_t)numbers[1];
        return 0;
    case 8:
        TRY(read_flat(f->bytes, numbers, 2, NULL));
        out->features = (struct criu_features){numbers[0] != 0, numbers[1] != 0};
        return 0;
    case 9:
        out->message = f->bytes;
        return 0;
    case 10:
        return read_version(f->bytes, &out->version);
    default:
        return 0;
    }
}

static int read_answer(struct str s, struct criu_answer *out)
{
    struct field f = {0};
    int r;
    while ((r = next_field(&s, &f)) > 0) {
        if (f.wire == WIRE_BYTES)
            TRY(read_inner(&f, out));
        else if (f.wire == WIRE_VARINT && f.id == 1)
            out->type = (int32_t)f.number;
        else if (f.wire == WIRE_VARINT && f.id == 2)
            out->success = f.number != 0;
        else if (f.wire == WIRE_VARINT && f.id == 7)
            out->error = (int32_t)f.number;
    }
    return r;
}

int criu_answer_read(const void *p, size_t n, struct criu_answer *out, struct err *e)
{
    struct criu_answer a = {0};
    if (read_answer((struct str){p, n}, &a) < 0)
        return err_set(e, ERR_INVALID, "unable to parse the response of criu");
    *out = a;
    return 0;
}
