/*
 * gRPC's bytes: see grpc_wire.h. A message's memory grows with what has really come, so that a
 * prefix that promises 16 MiB costs its sender those 16 MiB too.
 */
#include "rpc/grpc_wire.h"

#include "base/mem.h"
#include "base/time.h"

#define FIRST_PIECE ((size_t)64 << 10) /* bytes reserved before any of a long message has come */

static struct grpc_msg *msg_sized(struct grpc_msg *m, size_t cap)
{
    bool fresh = m == NULL;

    m = mem_resize(m, 1, sizeof(*m) + cap);
    if (fresh) {
        list_init(&m->link);
        m->n = m->pos = 0;
    }
    m->cap = cap;
    return m;
}

static int read_prefix(struct grpc_deframer *d, struct str *in, struct err *e)
{
    while (d->n_prefix < GRPC_PREFIX && in->n > 0) {
        d->prefix[d->n_prefix++] = (uint8_t)*in->p++;
        in->n--;
    }
    if (d->n_prefix < GRPC_PREFIX)
        return 0;
    d->want = (size_t)d->prefix[1] << 24 | (size_t)d->prefix[2] << 16 | (size_t)d->prefix[3] << 8 |
              (size_t)d->prefix[4];
    if (d->prefix[0] == 1)
        return err_set(e, ERR_UNIMPLEMENTED, "grpc: compressed messages are not supported");
    if (d->prefix[0] != 0)
        return err_set(e, ERR_INVALID, "grpc: bad message prefix");
    if (d->want > PB_MAX_BYTES)
        return err_set(e, ERR_EXHAUSTED, "grpc: received message larger than max (%zu vs. %zu)",
                       d->want, PB_MAX_BYTES);
    d->msg = msg_sized(NULL, MIN(d->want, FIRST_PIECE));
    return 1;
}

int grpc_deframe(struct grpc_deframer *d, struct str *in, struct grpc_msg **out_msg, struct err *e)
{
    if (d->msg == NULL) {
        int r = read_prefix(d, in, e);
        if (r <= 0)
            return r;
    }
    struct grpc_msg *m = d->msg;
    size_t n = MIN(d->want - m->n, in->n);
    if (m->n + n > m->cap)
        d->msg = m = msg_sized(m, MIN(d->want, MAX(m->n + n, m->cap * 2)));
    if (n > 0)
        memcpy(m->bytes + m->n, in->p, n);
    m->n += n;
    in->p += n;
    in->n -= n;
    if (m->n < d->want)
        return 0;
    *out_msg = m;
    *d = (struct grpc_deframer){0};
    return 1;
}

bool grpc_deframer_idle(const struct grpc_deframer *d)
{
    return d->n_prefix == 0;
}

void grpc_deframer_done(struct grpc_deframer *d)
{
    free(d->msg);
    *d = (struct grpc_deframer){0};
}

struct grpc_msg *grpc_frame(const ProtobufCMessage *m, struct err *e)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    struct grpc_msg *f;

    if (n > PB_MAX_BYTES) {
        err_set(e, ERR_EXHAUSTED, "grpc: trying to send message larger than max (%zu vs. %zu)", n,
                PB_MAX_BYTES);
        return NULL;
    }
    f = msg_sized(NULL, GRPC_PREFIX + n);
    f->bytes[0] = 0;
    for (int i = 0; i < 4; i++)
        f->bytes[1 + i] = (uint8_t)(n >> (24 - 8 * i));
    f->n = GRPC_PREFIX + protobuf_c_message_pack(m, f->bytes + GRPC_PREFIX);
    return f;
}

void grpc_msgs_free(struct list *queue)
{
    list_each(l, queue) {
        list_remove(l);
        free(CONTAINER_OF(l, struct grpc_msg, link));
    }
}

void grpc_text_encode(const char *text, struct buf *out)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c < 0x20 || *c > 0x7e || *c == '%')
            (void)buf_printf(out, "%%%02X", *c);
        else
            (void)buf_addc(out, (char)*c);
    }
}

void grpc_text_decode(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        int hi = -1, lo = -1;
        if (text.p[i] == '%' && i + 2 < text.n) {
            hi = hex_digit(text.p[i + 1]);
            lo = hex_digit(text.p[i + 2]);
        }
        if (hi < 0 || lo < 0) {
            (void)buf_addc(out, text.p[i]);
        } else {
            (void)buf_addc(out, (char)(hi << 4 | lo));
            i += 2;
        }
    }
}

static const struct {
    char unit;
    int64_t ns;
} units[] = {
    {'n', 1},        {'u', 1000},          {'m', NS_PER_MS},
    {'S', NS_PER_S}, {'M', 60 * NS_PER_S}, {'H', 3600 * NS_PER_S},
};

bool grpc_timeout_parse(struct str s, int64_t *out_ns)
{
    uint64_t v;

    if (s.n < 2 || s.n > 9 || !str_to_u64((struct str){s.p, s.n - 1}, 0, 99999999, &v))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].unit != s.p[s.n - 1])
            continue;
        if (__builtin_mul_overflow((int64_t)v, units[i].ns, out_ns))
            *out_ns = INT64_MAX;
        return true;
    }
    return false;
}

void grpc_timeout_format(int64_t ns, char out[static 16])
{
    size_t i = 0;

    while (i + 1 < ARRAY_LEN(units) && (ns - 1) / units[i].ns + 1 > 99999999)
        i++;
    (void)snprintf(out, 16, "%d%c", (int)MIN((ns - 1) / units[i].ns + 1, 99999999), units[i].unit);
}
