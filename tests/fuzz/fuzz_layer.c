/* Layers: any bytes are applied to a directory or refused, and nothing beside it changes. */
#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "archive/extract.h"
#include "sys/fd.h"
#include "sys/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[] = "/tmp/hull-fuzz-layer-XXXXXX";
    struct err e = {0};
    struct stat st;
    assert(mkdtemp(dir) != NULL);
    auto_fd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_fd int outer = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert(mkdirat(outer, "root", 0755) == 0);
    for (int kind = EXTRACT_LAYER; kind <= EXTRACT_COPY; kind++) {
        auto_arena struct arena *a = arena_new();
        auto_fd int root = openat(outer, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        auto_fd int in = fd_memfd("layer", data, size);
        const struct unpack_job job = {.path = "/", .max_bytes = 1 << 20, .max_entries = 1000};
        struct unpack_result res = {0};
        err_clear(&e);
        if (extract((enum extract_kind)kind, root, in, &job, a, &res, &e) < 0)
            assert(e.msg[0] != 0);
    }
    assert(fstat(outer, &st) == 0 && st.st_nlink == 3); /* only "root" is in it */
    assert(path_remove_tree(tmp, dir + 5, &e) == 0);
    return 0;
}
