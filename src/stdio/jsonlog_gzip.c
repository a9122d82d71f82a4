/* Compressed log files: see jsonlog_gzip.h. */
#include "stdio/jsonlog_gzip.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <zlib.h>

#include "base/mem.h"
#include "stdio/jsonlog_files.h"
#include "sys/fd.h"

#define SLICE ((size_t)64 << 10)
#define GZIP_BITS (15 + 16) /* zlib: the largest window, with gzip's header */
#define HEAD_LEN 12         /* gzip's own header with the length of the extra fields */

/* The extra field, as it stands in the file. */
struct origin {
    unsigned char id[2]; /* "Hl" */
    unsigned char len[2];
    unsigned char dev[8], ino[8]; /* little endian */
};

struct log_gzip {
    char *path, *unfinished;
    int64_t max_file;
    int in, out;    /* -1: no file is being compressed */
    struct stat st; /* of in */
    z_stream z;
    gz_header head;
    struct origin origin;
};

static struct origin origin_of(const struct stat *st)
{
    struct origin o = {.id = "Hl", .len = {sizeof(o.dev) + sizeof(o.ino), 0}};
    uint64_t dev = htole64(st->st_dev), ino = htole64(st->st_ino);
    memcpy(o.dev, &dev, sizeof(dev));
    memcpy(o.ino, &ino, sizeof(ino));
    return o;
}

struct log_gzip *log_gzip_new(const char *path, int64_t max_file)
{
    struct log_gzip *z = mem_alloc(sizeof(*z));
    z->path = mem_strdup(path);
    z->unfinished = mem_printf("%s.gz.tmp", path);
    z->max_file = max_file;
    z->in = z->out = -1;
    return z;
}

/* ---- a file is begun and ended */

static void drop(struct log_gzip *z)
{
    if (z->in < 0)
        return;
    (void)deflateEnd(&z->z);     /* says only that it was not at its end */
    (void)unlink(z->unfinished); /* the next one replaces it */
    fd_close(take_fd(&z->in));
    fd_close(take_fd(&z->out));
}

void log_gzip_free(struct log_gzip *z)
{
    if (z == NULL)
        return;
    drop(z);
    free(z->path);
    free(z->unfinished);
    free(z);
}

/* 1: a file is open; 0: all are compressed. Those that are not have the lowest numbers. */
static int open_oldest(struct log_gzip *z, struct err *e)
{
    for (int64_t i = 1; i < z->max_file; i++) {
        auto_free char *name = jsonlog_file_name(z->path, i, false);
        int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT)
            break;
        fd_close(z->in);
        z->in = fd;
        if (fd < 0 || fstat(fd, &z->st) < 0) {
            (void)err_sys(e, "open log file %s", name);
            fd_close(take_fd(&z->in));
            return -1;
        }
    }
    return z->in >= 0;
}

static int begin(struct log_gzip *z, struct err *e)
{
    int r = open_oldest(z, e);
    if (r <= 0)
        return r;
    z->z = (z_stream){0};
    z->origin = origin_of(&z->st);
    z->head = (gz_header){
        .extra = (unsigned char *)&z->origin, .extra_len = sizeof(z->origin), .os = 3 /* Unix */};
    if (deflateInit2(&z->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_BITS, 8, Z_DEFAULT_STRATEGY) !=
            Z_OK ||
        deflateSetHeader(&z->z, &z->head) != Z_OK) {
        drop(z);
        return err_set(e, ERR_INTERNAL, "zlib");
    }
    z->out = open(z->unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0640);
    if (z->out >= 0)
        return 1;
    (void)err_sys(e, "open %s", z->unfinished);
    drop(z);
    return -1;
}

/* The compressed file takes the place of the other one, whichever number that has by now. */
static int end(struct log_gzip *z, struct err *e)
{
    struct stat now;
    int r = 0;
    for (int64_t i = 1; i < z->max_file; i++) {
        auto_free char *plain = jsonlog_file_name(z->path, i, false);
        auto_free char *gz = jsonlog_file_name(z->path, i, true);
        if (stat(plain, &now) < 0 || now.st_dev != z->st.st_dev || now.st_ino != z->st.st_ino)
            continue;
        if (rename(z->unfinished, gz) < 0)
            r = err_sys(e, "rename %s", z->unfinished);
        else if (unlink(plain) < 0)
            r = err_sys(e, "remove %s", plain);
        break;
    }
    drop(z);
    return r;
}

/* Give deflate what was read, write what it gives. flush: Z_FINISH at the end of the file. */
static int compress_bytes(struct log_gzip *z, unsigned char *in, size_t n, int flush, struct err *e)
{
    unsigned char out[16 << 10];
    z->z.next_in = in;
    z->z.avail_in = (unsigned)n;
    do {
        z->z.next_out = out;
        z->z.avail_out = sizeof(out);
        (void)deflate(&z->z, flush); /* Z_BUF_ERROR: it had nothing to do */
        int r = fd_write_all(z->out, out, sizeof(out) - z->z.avail_out);
        if (r < 0)
            return err_neg(e, r, "write %s", z->unfinished);
    } while (z->z.avail_out == 0);
    return 0;
}

int log_gzip_step(struct log_gzip *z, struct err *e)
{
    unsigned char in[SLICE];
    if (z->in < 0) {
        int r = begin(z, e);
        if (r <= 0)
            return r;
    }
    ssize_t n = read(z->in, in, sizeof(in));
    if (n < 0)
        (void)err_sys(e, "read log file %s", z->path);
    if (n < 0 || compress_bytes(z, in, (size_t)n, n == 0 ? Z_FINISH : Z_NO_FLUSH, e) < 0) {
        drop(z);
        return -1;
    }
    return n == 0 && end(z, e) < 0 ? -1 : 1;
}

/* ---- reading */

bool log_gzip_is_of(int fd, const struct stat *st)
{
    unsigned char head[HEAD_LEN + sizeof(struct origin)];
    struct origin o = origin_of(st);
    return pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
           memcmp(head + HEAD_LEN, &o, sizeof(o)) == 0;
}

int log_gzip_inflate(int fd, int out_fd, struct err *e)
{
    auto_free unsigned char *in = mem_alloc(SLICE), *out = mem_alloc(SLICE);
    z_stream z = {0};
    off_t at = 0;
    ssize_t n;
    int r = 0, state = inflateInit2(&z, GZIP_BITS);
    if (state != Z_OK)
        return err_set(e, ERR_INTERNAL, "zlib");
    while (r == 0 && state == Z_OK && (n = pread(fd, in, SLICE, at)) > 0) {
        at += n;
        z.next_in = in;
        z.avail_in = (unsigned)n;
        do {
            z.next_out = out;
            z.avail_out = (unsigned)SLICE;
            state = inflate(&z, Z_NO_FLUSH);
            r = fd_write_all(out_fd, out, SLICE - z.avail_out);
        } while (r == 0 && state == Z_OK && (z.avail_in > 0 || z.avail_out == 0));
        if (state == Z_BUF_ERROR)
            state = Z_OK; /* it wants more */
    }
    (void)inflateEnd(&z);
    return r < 0 ? err_neg(e, r, "write an uncompressed log") : 0;
}
