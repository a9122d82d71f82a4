/* libarchive's pax writer, a hash and a compressor in a row: see tar_out.h. */
#include "archive/tar_out.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "base/mem.h"
#include "sys/fd.h"
#include "types/digest.h"

enum { OUT_SIZE = 256 << 10, CHUNK = 128 << 10 };

struct tar_out {
    int fd;
    struct archive *ar;
    struct sha256 *sum;
    int64_t size;
    struct err err;
    struct isal_zstream *gz;
    uint8_t *gz_level;
    ZSTD_CStream *zs;
    char out[OUT_SIZE], chunk[CHUNK];
};

static int put(struct tar_out *t, const void *p, size_t n)
{
    int r = fd_write_all(t->fd, p, n);
    return r < 0 ? err_neg(&t->err, r, "write archive") : 0;
}

static int deflate_gzip(struct tar_out *t, const void *p, size_t n, bool end)
{
    t->gz->next_in = (uint8_t *)(uintptr_t)p;
    t->gz->avail_in = (uint32_t)n;
    t->gz->end_of_stream = end;
    do {
        t->gz->next_out = (uint8_t *)t->out;
        t->gz->avail_out = OUT_SIZE;
        int r = isal_deflate(t->gz);
        if (r != COMP_OK)
            return err_set(&t->err, ERR_INTERNAL, "gzip: cannot compress (%d)", r);
        TRY(put(t, t->out, OUT_SIZE - t->gz->avail_out));
    } while (t->gz->avail_out == 0 || t->gz->avail_in > 0);
    return 0;
}

static int deflate_zstd(struct tar_out *t, const void *p, size_t n, bool end)
{
    ZSTD_inBuffer in = {p, n, 0};
    size_t left;
    do {
        ZSTD_outBuffer out = {t->out, OUT_SIZE, 0};
        left = ZSTD_compressStream2(t->zs, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return err_set(&t->err, ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
        TRY(put(t, t->out, out.pos));
    } while (end ? left > 0 : in.pos < in.size);
    return 0;
}

static int compress_out(struct tar_out *t, const void *p, size_t n, bool end)
{
    if (t->gz != NULL)
        return deflate_gzip(t, p, n, end);
    return t->zs != NULL ? deflate_zstd(t, p, n, end) : put(t, p, n);
}

static la_ssize_t on_write(struct archive *ar, void *arg, const void *p, size_t n)
{
    struct tar_out *t = arg;
    sha256_add(t->sum, p, n);
    t->size += (int64_t)n;
    if (compress_out(t, p, n, false) < 0) {
        archive_set_error(ar, EIO, "%s", t->err.msg);
        return -1;
    }
    return (la_ssize_t)n;
}

static int fail(struct tar_out *t, struct err *e)
{
    if (t->err.kind != ERR_NONE) {
        *e = t->err;
        return -1;
    }
    const char *text = archive_error_string(t->ar);
    return err_set(e, ERR_INTERNAL, "write tar: %s", text != NULL ? text : "failed");
}

static int open_compressor(struct tar_out *t, const char *name, struct err *e)
{
    if (name == NULL || name[0] == 0)
        return 0;
    if (strcmp(name, "gzip") == 0) {
        t->gz = mem_alloc(sizeof(*t->gz));
        t->gz_level = mem_alloc(ISAL_DEF_LVL1_DEFAULT);
        isal_deflate_init(t->gz);
        t->gz->gzip_flag = IGZIP_GZIP;
        t->gz->level = 1;
        t->gz->level_buf = t->gz_level;
        t->gz->level_buf_size = ISAL_DEF_LVL1_DEFAULT;
        t->gz->flush = NO_FLUSH;
        return 0;
    }
    if (strcmp(name, "zstd") == 0 && (t->zs = ZSTD_createCStream()) != NULL)
        return 0;
    return err_set(e, ERR_INVALID, "unsupported compression \"%.50s\"", name);
}

int tar_out_open(int fd, const char *compression, struct tar_out **out, struct err *e)
{
    struct tar_out *t = mem_alloc(sizeof(*t));
    t->fd = fd;
    t->sum = sha256_new();
    t->ar = archive_write_new();
    if (open_compressor(t, compression, e) < 0) {
        tar_out_free(t);
        return -1;
    }
    int r = t->ar == NULL ? ARCHIVE_FATAL : archive_write_set_format_pax_restricted(t->ar);
    if (r == ARCHIVE_OK)
        r = archive_write_set_options(t->ar, "xattrheader=SCHILY");
    if (r == ARCHIVE_OK) /* the caller of a stream wants no padding to 10 KiB of its own */
        r = archive_write_set_bytes_per_block(t->ar, 0);
    if (r == ARCHIVE_OK)
        r = archive_write_open(t->ar, t, NULL, on_write, NULL);
    if (r != ARCHIVE_OK) {
        err_set(e, ERR_INTERNAL, "libarchive: no writer");
        tar_out_free(t);
        return -1;
    }
    *out = t;
    return 0;
}

void tar_out_free(struct tar_out *t)
{
    if (t == NULL)
        return;
    if (t->ar != NULL) {
        archive_write_fail(t->ar);
        archive_write_free(t->ar);
    }
    ZSTD_freeCStream(t->zs);
    sha256_free(t->sum);
    free(t->gz_level);
    free(t->gz);
    free(t);
}

int tar_out_header(struct tar_out *t, struct archive_entry *ent, struct err *e)
{
    int r = archive_write_header(t->ar, ent);
    return r == ARCHIVE_OK || r == ARCHIVE_WARN ? 0 : fail(t, e);
}

int tar_out_data(struct tar_out *t, const void *p, size_t n, struct err *e)
{
    return n == 0 || archive_write_data(t->ar, p, n) == (la_ssize_t)n ? 0 : fail(t, e);
}

int tar_out_file(struct tar_out *t, int fd, int64_t size, struct err *e)
{
    while (size > 0) {
        ssize_t n = read(fd, t->chunk, (size_t)MIN(size, (int64_t)CHUNK));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, "read file");
        if (n == 0) {
            n = (ssize_t)MIN(size, (int64_t)CHUNK);
            memset(t->chunk, 0, (size_t)n);
        }
        TRY(tar_out_data(t, t->chunk, (size_t)n, e));
        size -= n;
    }
    return 0;
}

int tar_out_finish(struct tar_out *t, char out_digest[72], int64_t *out_size, struct err *e)
{
    if (archive_write_close(t->ar) != ARCHIVE_OK || compress_out(t, "", 0, true) < 0)
        return fail(t, e);
    sha256_peek(t->sum, out_digest);
    *out_size = t->size;
    return 0;
}
