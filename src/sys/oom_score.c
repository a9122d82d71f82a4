/* The file oom_score_adj of a process: a number and a newline. */
#include "sys/oom_score.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"
#include "sys/path.h"

static void file_of(pid_t pid, char path[static 40])
{
    if (pid == 0)
        (void)snprintf(path, 40, "/proc/self/oom_score_adj");
    else
        (void)snprintf(path, 40, "/proc/%d/oom_score_adj", (int)pid);
}

int64_t oom_score_get(pid_t pid)
{
    char path[40];
    auto_buf struct buf text = BUF_MAX(32);
    struct err ignored = {0};
    int64_t score = 0;

    file_of(pid, path);
    if (file_read(AT_FDCWD, path, &text, &ignored) < 0 || text.n == 0 ||
        !str_to_i64((struct str){text.p, text.n - 1}, -OOM_SCORE_MAX, OOM_SCORE_MAX, &score))
        return 0;
    return score;
}

int oom_score_set(pid_t pid, int64_t score)
{
    char path[40], text[24];

    file_of(pid, path);
    (void)snprintf(text, sizeof(text), "%lld", (long long)score);
    return file_put(AT_FDCWD, path, text);
}
