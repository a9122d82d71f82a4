/* Numbers in a cgroup's files: see cgroup_stat.h. */
#include "sys/cgroup_stat.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "sys/path.h"

#define FILE_MAX ((size_t)256 << 10)

static bool path_of(char out[4096], const char *dir, const char *file)
{
    int n = dir == NULL ? -1 : snprintf(out, 4096, "%s/%s", dir, file);
    return n >= 0 && n < 4096;
}

bool cgroup_text(const char *dir, const char *file, struct buf *out)
{
    char path[4096];
    struct err ignored = {0};
    return path_of(path, dir, file) && file_read(AT_FDCWD, path, out, &ignored) == 0;
}

bool cgroup_keys(const char *dir, const char *file, const struct cgroup_key *keys, size_t n,
                 void *out)
{
    auto_buf struct buf text = BUF_MAX(FILE_MAX);
    if (!cgroup_text(dir, file, &text))
        return false;
    struct str rest = {text.p, text.n};
    while (rest.n > 0) {
        struct str value = str_cut(&rest, '\n'), key = str_cut(&value, ' ');
        for (size_t i = 0; i < n; i++)
            if (str_eq(key, keys[i].name))
                (void)str_to_u64(value, 0, UINT64_MAX,
                                 (uint64_t *)(void *)((char *)out + keys[i].off));
    }
    return true;
}

uint64_t cgroup_number(const char *dir, const char *file)
{
    char text[64];
    uint64_t v = 0;
    if (dir == NULL || cgroup_read(dir, file, text, sizeof(text)) < 0)
        return 0;
    if (strcmp(text, "max") == 0)
        return UINT64_MAX;
    return str_to_u64(str_of(text), 0, UINT64_MAX, &v) ? v : 0;
}

bool cgroup_has(const char *dir, const char *file)
{
    char path[4096];
    return path_of(path, dir, file) && access(path, F_OK) == 0;
}

bool cgroup_blkio_parse(struct str line, struct cgroup_blkio *out)
{
    struct str minor = str_cut(&line, ' '), major = str_cut(&minor, ':');
    struct str value = str_cut_last(&line, ' ');
    out->op = line;
    return str_to_u64(major, 0, UINT64_MAX, &out->major) &&
           str_to_u64(minor, 0, UINT64_MAX, &out->minor) &&
           str_to_u64(value, 0, UINT64_MAX, &out->value);
}
