/* libarchive's reader behind three calls: see tar_in.h. */
#include "archive/tar_in.h"

#include <errno.h>

#include "base/str.h"
#include "sys/fd.h"

#define DEFAULT_MAX_ENTRIES 4000000

static la_ssize_t on_read(struct archive *ar, void *arg, const void **out)
{
    struct tar_in *t = arg;
    ssize_t n = ahead_next(t->bytes, out, &t->err);
    if (n < 0)
        archive_set_error(ar, EIO, "%s", t->err.msg);
    return n;
}

/* The stream's own error, else libarchive's. */
static int fail(struct tar_in *t, struct err *e)
{
    if (t->err.kind != ERR_NONE) {
        *e = t->err;
        return -1;
    }
    const char *text = archive_error_string(t->ar);
    return err_set(e, ERR_INVALID, "invalid tar: %s", text != NULL ? text : "damaged");
}

int tar_in_open(struct tar_in *t, const struct inflate_opts *o, int64_t max_entries, struct err *e)
{
    *t = (struct tar_in){.max_entries = max_entries > 0 ? max_entries : DEFAULT_MAX_ENTRIES};
    TRY(ahead_new(o, &t->bytes, e));
    t->ar = archive_read_new();
    if (t->ar == NULL)
        return err_set(e, ERR_INTERNAL, "libarchive: no reader");
    archive_read_support_format_tar(t->ar);
    archive_read_support_format_empty(t->ar);
    archive_read_support_filter_bzip2(t->ar);
    archive_read_support_filter_xz(t->ar);
    if (archive_read_open(t->ar, t, NULL, on_read, NULL) != ARCHIVE_OK)
        return fail(t, e);
    return 0;
}

void tar_in_close(struct tar_in *t)
{
    if (t->ar != NULL)
        archive_read_free(t->ar);
    ahead_free(t->bytes);
    *t = (struct tar_in){0};
}

int tar_in_next(struct tar_in *t, struct archive_entry **out, struct err *e)
{
    int r = archive_read_next_header(t->ar, out);
    if (r == ARCHIVE_EOF) {
        const void *p;
        ssize_t n;
        while ((n = ahead_next(t->bytes, &p, e)) > 0)
            ; /* blocks behind the end belong to the digest */
        return n < 0 ? -1 : 0;
    }
    if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
        return fail(t, e);
    if (++t->entries > t->max_entries)
        return err_set(e, ERR_TOO_LARGE, "archive has more than %lld entries",
                       (long long)t->max_entries);
    if (archive_entry_pathname(*out) == NULL)
        return err_set(e, ERR_INVALID, "invalid tar: an entry without a readable name");
    return 1;
}

/* One block of a file at its offset. */
static int write_block(int fd, const char *p, size_t n, int64_t at, struct err *e)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, p, n, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == ESPIPE) { /* a pipe or socket: in order only */
            int r = fd_write_all(fd, p, n);
            return r < 0 ? err_neg(e, r, "write") : 0;
        }
        if (done < 0)
            return err_sys(e, "write file");
        p += done;
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

int tar_in_data_to(struct tar_in *t, int fd, int64_t size, struct err *e)
{
    const void *p;
    size_t n;
    la_int64_t at;
    int r;
    while ((r = archive_read_data_block(t->ar, &p, &n, &at)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
        if (at < 0 || at > size || (int64_t)n > size - at)
            return err_set(e, ERR_INVALID, "invalid tar: data beyond the end of a file");
        TRY(write_block(fd, p, n, at, e));
    }
    return r == ARCHIVE_EOF ? 0 : fail(t, e);
}

int tar_in_data(struct tar_in *t, char *out, size_t n, struct err *e)
{
    size_t got = 0;
    la_ssize_t r = 1;
    while (r > 0 && got < n) {
        r = archive_read_data(t->ar, out + got, n - got);
        got += r > 0 ? (size_t)r : 0;
    }
    if (r < 0)
        return fail(t, e);
    return got == n ? 0 : err_set(e, ERR_INVALID, "invalid tar: a file is shorter than its size");
}

int tar_clean_path(const char *name, char out[static 4097], struct err *e)
{
    struct str rest = str_of(name);
    size_t n = 0;
    if (rest.n > 4096)
        return err_set(e, ERR_INVALID, "invalid tar: name of %zu bytes", rest.n);
    while (rest.n > 0) {
        struct str part = str_cut(&rest, '/');
        if (part.n == 0 || str_eq(part, "."))
            continue;
        if (str_eq(part, ".."))
            return err_set(e, ERR_INVALID,
                           "invalid tar: \"%.500s\" is outside of the archive's root", name);
        if (part.n > 255)
            return err_set(e, ERR_INVALID, "invalid tar: name of %zu bytes", part.n);
        if (n > 0)
            out[n++] = '/';
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    out[n] = 0;
    return 0;
}
