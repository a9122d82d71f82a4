/* See folder.h. */
#include "test.h"

#include "folder.h"

#include <dirent.h>

#include "base/mem.h"
#include "sys/spawn.h"

void sh(const char *dir, const char *script)
{
    struct err e = {0};
    struct proc p;
    int status = -1;
    const char *const argv[] = {"sh", "-ec", script, NULL};
    const struct spawn_fd fds[] = {{1, 2}, {2, 2}};
    const struct spawn_opts o = {
        .path = "/bin/sh", .argv = argv, .fds = fds, .n_fds = 2, .dir = dir};
    assert_ok(spawn(&o, &p, &e));
    assert_ok(proc_wait(&p, 60000, -1, &status, &e));
    proc_done(&p);
    if (status != 0)
        fail_msg("script failed: %s", script);
}

size_t entries(const char *dir, const char *sub)
{
    auto_free char *path = mem_printf("%s/%s", dir, sub);
    DIR *d = opendir(path);
    size_t n = 0;
    assert_non_null(d);
    for (struct dirent *de; (de = readdir(d)) != NULL;)
        n += de->d_name[0] != '.';
    closedir(d);
    return n;
}
