/* Runs a fuzz target over the files and directories named: what plain builds do with the corpora.
 */
#include <dirent.h>
#include <fcntl.h>

#include "base/mem.h"
#include "sys/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (16u << 20)

static int replay_file(const char *path)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_buf struct buf b = BUF_MAX(INPUT_MAX);
    if (fd < 0 || fd_read_to_end(fd, &b) < 0) {
        fprintf(stderr, "cannot read %s\n", path);
        return -1;
    }
    (void)LLVMFuzzerTestOneInput((const uint8_t *)buf_cstr(&b), b.n);
    return 1;
}

/* How many inputs there were, or -1. */
static int replay(const char *path)
{
    DIR *d = opendir(path);
    if (d == NULL)
        return replay_file(path);
    int n = 0;
    for (struct dirent *ent; n >= 0 && (ent = readdir(d)) != NULL;) {
        if (ent->d_name[0] == '.')
            continue;
        auto_free char *file = mem_printf("%s/%s", path, ent->d_name);
        n = replay_file(file) < 0 ? -1 : n + 1;
    }
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int n = replay(argv[i]);
        if (n <= 0)
            return 1;
        total += n;
    }
    printf("1..1\nok 1 - %d inputs\n", total);
    return total == 0;
}
