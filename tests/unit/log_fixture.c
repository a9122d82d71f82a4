/* See log_fixture.h. */
#include "test.h"

#include "log_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "sys/path.h"

static char dir[] = "/tmp/hull-test-stdio-XXXXXX";
char log_path[64], attach_path[64];

int log_dir_make(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(log_path, sizeof(log_path), "%s/c-json.log", dir);
    (void)snprintf(attach_path, sizeof(attach_path), "%s/a.sock", dir);
    return 0;
}

int log_dir_remove(void **state)
{
    (void)state;
    struct err e = {0};
    return path_remove_tree(AT_FDCWD, dir, &e);
}

int log_dir_clean(void **state)
{
    return log_dir_remove(state) < 0 ? -1 : mkdir(dir, 0700);
}

char *log_content(const char *suffix)
{
    struct err e = {0};
    auto_free char *path = mem_printf("%s%s", log_path, suffix);
    struct buf b = BUF_MAX(64 << 20);
    assert_ok(file_read(AT_FDCWD, path, &b, &e));
    return buf_take(&b);
}
