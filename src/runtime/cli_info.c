/* The commands that ask and tell: state, list, kill, delete, ps, pause, resume, spec ... See cli.h.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "runtime/cli.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/spawn.h"

static void print_json(const struct buf *text)
{
    CLEANUP(buf_done) struct buf pretty = BUF_MAX(64 << 20);
    json_indent(text->p, text->n, "  ", &pretty);
    (void)fwrite(pretty.p, 1, pretty.n, stdout);
    (void)fflush(stdout);
}

int cli_state(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(16 << 20);
    struct hullrun_state s;
    (void)v;
    (void)n;
    TRY(hullrun_get_state(c->root, args[0], c->a, &s, e));
    json_write(&hullrun_state_json, &s, &text);
    print_json(&text);
    return 0;
}

/* ---- list --------------------------------------------------------------------------------- */

struct states {
    VEC(struct hullrun_state) all;
};

static int compare_states(const void *a, const void *b)
{
    return strcmp(((const struct hullrun_state *)a)->id, ((const struct hullrun_state *)b)->id);
}

static const char *owner_of(struct cli *c, const char *id)
{
    struct stat st;
    auto_free char *path = mem_printf("%s/%s", c->root, id);
    if (stat(path, &st) < 0)
        return "";
    return st.st_uid == 0 ? "root" : arena_printf(c->a, "#%u", st.st_uid);
}

static int read_states(struct cli *c, struct states *out, struct err *e)
{
    DIR *d = opendir(c->root);
    if (d == NULL) /* the default one is made with the first container */
        return errno == ENOENT && !c->root_given ? 0 : err_sys(e, "open %s", c->root);
    for (struct dirent *ent; (ent = readdir(d)) != NULL;) { /* NOLINT(concurrency-mt-unsafe) */
        struct hullrun_state s;
        struct err one = {0};
        if (ent->d_name[0] == '.' || ent->d_name[0] == '@') /* '@': not a container's */
            continue;
        const char *id = arena_strdup(c->a, ent->d_name);
        if (hullrun_get_state(c->root, id, c->a, &s, &one) < 0) {
            cli_log(c, "warning", arena_printf(c->a, "load container %s: %s", id, one.msg));
            continue;
        }
        s.owner = owner_of(c, id);
        vec_push_in(c->a, &out->all, s);
    }
    closedir(d);
    if (out->all.n > 1)
        qsort(out->all.v, out->all.n, sizeof(out->all.v[0]), compare_states);
    return 0;
}

static void print_table(const struct states *s)
{
    static const char *const heads[] = {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"};
    size_t width[6];
    for (size_t k = 0; k < 6; k++)
        width[k] = strlen(heads[k]);
    char pid[24], created[TIME_TEXT_MAX];
#define CELLS(r) {(r)->id, pid, (r)->status, (r)->bundle, created, (r)->owner}
    vec_each(r, &s->all) {
        (void)snprintf(pid, sizeof(pid), "%lld", (long long)r->pid);
        time_format(r->created, created);
        const char *cells[] = CELLS(r);
        for (size_t k = 0; k < 6; k++)
            width[k] = MAX(width[k], strlen(cells[k]));
    }
    for (size_t k = 0; k < 6; k++) /* as Go's tabwriter: at least 12 wide, 3 between */
        width[k] = MAX(width[k] + 3, 12);
    for (size_t k = 0; k < 6; k++)
        printf("%-*s", k == 5 ? 0 : (int)width[k], heads[k]);
    printf("\n");
    vec_each(r, &s->all) {
        (void)snprintf(pid, sizeof(pid), "%lld", (long long)r->pid);
        time_format(r->created, created);
        const char *cells[] = CELLS(r);
        for (size_t k = 0; k < 6; k++)
            printf("%-*s", k == 5 ? 0 : (int)width[k], cells[k]);
        printf("\n");
    }
#undef CELLS
}

static int check_format(const char *format, struct err *e)
{
    if (format == NULL || strcmp(format, "table") == 0 || strcmp(format, "json") == 0)
        return 0;
    return err_set(e, ERR_INVALID, "invalid format option");
}

int cli_list_all(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(64 << 20);
    const char *format = cli_text(v, "format");
    struct states s = {0};
    (void)args;
    (void)n;
    TRY(check_format(format, e));
    TRY(read_states(c, &s, e));
    if (cli_bool(v, "quiet")) {
        vec_each(r, &s.all)
            printf("%s\n", r->id);
    } else if (format == NULL || strcmp(format, "table") == 0) {
        print_table(&s);
    } else if (s.all.n == 0) {
        printf("null\n");
    } else {
        json_write_list(&hullrun_state_json, s.all.v, s.all.n, &text);
        printf("%s\n", buf_cstr(&text));
    }
    return 0;
}

/* ---- signals ------------------------------------------------------------------------------ */

static int parse_signal(const char *text, int *out, struct err *e)
{
    uint64_t number = 0;
    if (str_to_u64(str_of(text), 0, NSIG - 1, &number)) {
        *out = (int)number;
        return 0;
    }
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (int sig = 1; sig < NSIG; sig++) {
        const char *abbrev = sigabbrev_np(sig);
        if (abbrev != NULL && strcasecmp(abbrev, name) == 0) {
            *out = sig;
            return 0;
        }
    }
    if (strncasecmp(name, "RTMIN", 5) == 0 || strncasecmp(name, "RTMAX", 5) == 0) {
        bool min = (name[3] | 0x20) == 'i';
        int64_t off = 0;
        const char *tail = name[5] == '+' ? name + 6 : name + 5;
        if (*tail == '\0' || str_to_i64(str_of(tail), -30, 30, &off)) {
            int sig = (min ? 34 : 64) + (int)off;
            if (sig >= 34 && sig <= 64) {
                *out = sig;
                return 0;
            }
        }
    }
    return err_set(e, ERR_INVALID, "unknown signal \"%s\"", text);
}

int cli_kill(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    int signo = SIGTERM;
    if (n > 1)
        TRY(parse_signal(args[1], &signo, e));
    return hullrun_kill(c->root, args[0], signo, cli_bool(v, "all"), e);
}

int cli_delete(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    (void)n;
    return hullrun_delete(c->root, args[0], cli_bool(v, "force"), e);
}

int cli_pause(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    (void)v;
    (void)n;
    return hullrun_pause(c->root, args[0], e);
}

int cli_resume(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    (void)v;
    (void)n;
    return hullrun_resume(c->root, args[0], e);
}

/* ---- ps ----------------------------------------------------------------------------------- */

static bool has_pid(const struct hullrun_pids *pids, struct str word)
{
    int64_t pid;
    if (!str_to_i64(word, 1, INT_MAX, &pid))
        return false;
    vec_each(p, pids)
        if (*p == (pid_t)pid)
            return true;
    return false;
}

static struct str field(struct str line, int index)
{
    for (int i = 0;; i++) {
        while (line.n > 0 && isspace((unsigned char)*line.p))
            line.p++, line.n--;
        struct str word = line;
        word.n = 0;
        while (word.n < line.n && !isspace((unsigned char)line.p[word.n]))
            word.n++;
        if (i == index || word.n == 0)
            return word;
        line.p += word.n;
        line.n -= word.n;
    }
}

/* The host's ps, of which only the lines of our processes are kept. */
static int ps_table(const struct hullrun_pids *pids, char **args, int n, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(64 << 20);
    static const char *const standard[] = {"ps", "-ef", NULL};
    const char **argv = mem_alloc_array((size_t)n + 2, sizeof(*argv));
    int from = -1, to = -1, rc = 0, column = -1;
    struct proc child = PROC_NONE;
    argv[0] = "ps";
    for (int i = 0; i < n; i++)
        argv[i + 1] = args[i];
    rc = fd_pipe(&from, &to, 0);
    struct spawn_fd fds[] = {{1, to}, {2, STDERR_FILENO}};
    struct spawn_opts o = {
        .path = "ps", .argv = n > 0 ? argv : standard, .fds = fds, .n_fds = ARRAY_LEN(fds)};
    rc = rc < 0 ? err_neg(e, rc, "pipe") : spawn(&o, &child, e);
    fd_close(to);
    if (rc == 0)
        rc = fd_read_to_end(from, &text);
    fd_close(from);
    free(argv);
    if (rc < 0)
        return e->kind != ERR_NONE ? -1 : err_neg(e, rc, "read the output of ps");
    TRY(proc_wait(&child, -1, -1, NULL, e));
    proc_done(&child);
    for (struct str rest = str_of(buf_cstr(&text)); rest.n > 0;) {
        struct str line = str_cut(&rest, '\n');
        if (column < 0) {
            for (int i = 0; column < 0 && field(line, i).n > 0; i++)
                if (str_eq(field(line, i), "PID"))
                    column = i;
            if (column < 0)
                return err_set(e, ERR_INVALID, "couldn't find PID field in ps output");
            printf("%.*s\n", STR_ARG(line));
        } else if (has_pid(pids, field(line, column))) {
            printf("%.*s\n", STR_ARG(line));
        }
    }
    return 0;
}

int cli_ps(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    struct hullrun_pids pids = {0};
    const char *format = cli_text(v, "format");
    TRY(check_format(format, e));
    TRY(hullrun_ps(c->root, args[0], &pids, e));
    int rc = 0;
    if (format == NULL || strcmp(format, "table") == 0) {
        rc = ps_table(&pids, args + 1, n - 1, e);
    } else if (pids.n == 0) {
        printf("null\n");
    } else {
        for (size_t i = 0; i < pids.n; i++)
            printf("%s%d", i == 0 ? "[" : ",", (int)pids.v[i]);
        printf("]\n");
    }
    vec_done(&pids);
    return rc;
}
