/*
 * Inflating as a pull stream: see inflate.h. One input block, the caller's output block, a decoder
 * in between that is chosen once. isa-l is four times as fast as zlib here, and inflating is what a
 * pull waits for.
 */
#include "archive/inflate.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "base/mem.h"
#include "sys/fd.h"
#include "sys/job.h"
#include "types/digest.h"
#include "types/unpack_job.h"

enum { IN_SIZE = 256 << 10, WINDOW_LOG_MAX = 27 };
#define DEFAULT_MAX_BYTES (64LL << 30)
#define BOMB_BYTES (256LL << 20) /* from here on the ratio is looked at */
#define BOMB_RATIO 5000

enum codec { CODEC_UNKNOWN, CODEC_PLAIN, CODEC_GZIP, CODEC_ZSTD };

struct inflate {
    struct inflate_opts o;
    enum codec codec;
    char in[IN_SIZE];
    size_t in_pos, in_n;
    bool in_end, out_end;
    int64_t file_pos, file_have, bytes_in, bytes_out; /* file_*: follow only */
    bool file_complete;
    struct inflate_state gz;
    bool gz_open; /* inside a member */
    ZSTD_DStream *zs;
    bool zs_open; /* inside a frame */
    struct sha256 *sum;
};

struct inflate *inflate_new(const struct inflate_opts *o)
{
    struct inflate *f = mem_alloc(sizeof(*f));
    f->o = *o;
    if (f->o.max_bytes <= 0)
        f->o.max_bytes = DEFAULT_MAX_BYTES;
    f->sum = sha256_new();
    return f;
}

void inflate_free(struct inflate *f)
{
    if (f == NULL)
        return;
    ZSTD_freeDStream(f->zs);
    sha256_free(f->sum);
    free(f);
}

void inflate_digest(const struct inflate *f, char out[static 72], int64_t *out_bytes)
{
    sha256_peek(f->sum, out);
    *out_bytes = f->bytes_out;
}

/* ---- input ---- */

static int wait_for_more(struct inflate *f, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct buf b = BUF_MAX(JOB_MESSAGE_MAX);
    struct unpack_notice notice = {0};
    int r = job_next_notice(&b, f->o.stop_fd, e);
    if (r == 0)
        r = json_parse(&unpack_notice_json, &notice, b.p, b.n, a, e);
    buf_done(&b);
    TRY(r);
    f->file_have = MAX(f->file_have, notice.size);
    f->file_complete = f->file_complete || notice.end;
    return 0;
}

static ssize_t read_followed(struct inflate *f, struct err *e)
{
    while (f->file_pos >= f->file_have && !f->file_complete)
        TRY(wait_for_more(f, e));
    int64_t left = f->file_have - f->file_pos;
    if (left <= 0)
        return 0;
    ssize_t n = pread(f->o.fd, f->in, (size_t)MIN(left, (int64_t)IN_SIZE), f->file_pos);
    if (n < 0)
        return err_sys(e, "read layer");
    if (n == 0)
        return err_set(e, ERR_INVALID, "layer is shorter than announced");
    f->file_pos += n;
    return n;
}

static int fill(struct inflate *f, struct err *e)
{
    ssize_t n;
    if (f->in_pos < f->in_n || f->in_end)
        return 0;
    if (f->o.follow) {
        n = read_followed(f, e);
        TRY(n);
    } else {
        if (fd_wait_readable(f->o.fd, f->o.stop_fd) < 0)
            return err_set(e, ERR_CANCELLED, "nobody waits for more");
        do
            n = read(f->o.fd, f->in, IN_SIZE);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            return err_sys(e, "read archive");
    }
    f->in_pos = 0;
    f->in_n = (size_t)n;
    f->in_end = n == 0;
    f->bytes_in += n;
    return 0;
}

/* ---- decoders: each fills out and returns its bytes; 0 means that more input is needed ---- */

static ssize_t next_plain(struct inflate *f, char *out)
{
    size_t n = MIN(f->in_n - f->in_pos, (size_t)INFLATE_BLOCK);
    memcpy(out, f->in + f->in_pos, n);
    f->in_pos += n;
    return (ssize_t)n;
}

static ssize_t next_gzip(struct inflate *f, char *out, struct err *e)
{
    if (f->in_pos == f->in_n && (f->in_end || !f->gz_open))
        return f->gz_open ? err_set(e, ERR_INVALID, "gzip: unexpected EOF") : 0;
    if (!f->gz_open) {
        if (f->in[f->in_pos] == 0) { /* padding behind the last member, as some tools write */
            f->in_pos++;
            return 0;
        }
        isal_inflate_init(&f->gz);
        f->gz.crc_flag = ISAL_GZIP;
        f->gz_open = true;
    }
    f->gz.next_in = (uint8_t *)f->in + f->in_pos;
    f->gz.avail_in = (uint32_t)(f->in_n - f->in_pos);
    f->gz.next_out = (uint8_t *)out;
    f->gz.avail_out = INFLATE_BLOCK;
    int r = isal_inflate(&f->gz);
    f->in_pos = f->in_n - f->gz.avail_in;
    if (r != ISAL_DECOMP_OK)
        return err_set(e, ERR_INVALID, "gzip: invalid data (%d)", r);
    if (f->gz.block_state == ISAL_BLOCK_FINISH)
        f->gz_open = false;
    return INFLATE_BLOCK - (ssize_t)f->gz.avail_out;
}

static ssize_t next_zstd(struct inflate *f, char *out_block, struct err *e)
{
    if (f->in_pos == f->in_n && (f->in_end || !f->zs_open))
        return f->zs_open ? err_set(e, ERR_INVALID, "zstd: unexpected EOF") : 0;
    ZSTD_inBuffer in = {f->in, f->in_n, f->in_pos};
    ZSTD_outBuffer out = {out_block, INFLATE_BLOCK, 0};
    size_t r = ZSTD_decompressStream(f->zs, &out, &in);
    if (ZSTD_isError(r))
        return err_set(e, ERR_INVALID, "zstd: %s", ZSTD_getErrorName(r));
    f->in_pos = in.pos;
    f->zs_open = r != 0;
    return (ssize_t)out.pos;
}

static bool starts(const struct inflate *f, const char *magic, size_t n)
{
    return f->in_n - f->in_pos >= n && memcmp(f->in + f->in_pos, magic, n) == 0;
}

static int choose_codec(struct inflate *f, struct err *e)
{
    f->codec = CODEC_PLAIN;
    if (starts(f, "\x1f\x8b", 2)) {
        f->codec = CODEC_GZIP;
    } else if (starts(f, "\x28\xb5\x2f\xfd", 4)) {
        f->codec = CODEC_ZSTD;
        f->zs = ZSTD_createDStream();
        if (f->zs == NULL ||
            ZSTD_isError(ZSTD_DCtx_setParameter(f->zs, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
            return err_set(e, ERR_INTERNAL, "zstd: no decoder");
    }
    return 0;
}

static int check_limits(const struct inflate *f, struct err *e)
{
    if (f->bytes_out > f->o.max_bytes)
        return err_set(e, ERR_TOO_LARGE, "archive is larger than %lld bytes",
                       (long long)f->o.max_bytes);
    if (f->bytes_out > BOMB_BYTES && f->bytes_out / BOMB_RATIO > f->bytes_in)
        return err_set(e, ERR_INVALID,
                       "archive is compressed suspiciously well (%lld bytes from %lld)",
                       (long long)f->bytes_out, (long long)f->bytes_in);
    return 0;
}

ssize_t inflate_next(struct inflate *f, char out[static INFLATE_BLOCK], struct err *e)
{
    ssize_t n = 0;
    while (n == 0 && !f->out_end) {
        TRY(fill(f, e));
        if (f->codec == CODEC_UNKNOWN)
            TRY(choose_codec(f, e));
        if (f->codec == CODEC_GZIP)
            n = next_gzip(f, out, e);
        else
            n = f->codec == CODEC_ZSTD ? next_zstd(f, out, e) : next_plain(f, out);
        TRY(n);
        f->out_end = n == 0 && f->in_end && f->in_pos == f->in_n && !f->gz_open && !f->zs_open;
    }
    sha256_add(f->sum, out, (size_t)n);
    f->bytes_out += n;
    TRY(check_limits(f, e));
    return n;
}
