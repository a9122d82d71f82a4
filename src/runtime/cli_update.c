/* `update`: flags or a document become linux.resources. See cli.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/str.h"
#include "base/units.h"
#include "runtime/cli.h"
#include "sys/fd.h"

#define DOCUMENT_MAX (1 << 20)

static int bad_number(const char *name, const char *kind, const char *text, struct err *e)
{
    return err_set(e, ERR_INVALID,
                   "invalid value for %s: strconv.Parse%s: parsing \"%s\": invalid syntax", name,
                   kind, text);
}

/* "-1" is no limit; else a size with docker's units */
static int parse_size(const char *name, const char *text, struct arena *a, int64_t **out,
                      struct err *e)
{
    int64_t n = -1;
    if (strcmp(text, "-1") != 0 && !bytes_parse(text, &n))
        return err_set(e, ERR_INVALID, "invalid value for %s: invalid size: '%s'", name, text);
    *out = arena_dup(a, &n, sizeof(n));
    return 0;
}

static int parse_int(const char *name, const char *text, struct arena *a, int64_t **out,
                     struct err *e)
{
    int64_t n;
    if (!str_to_i64(str_of(text), INT64_MIN, INT64_MAX, &n))
        return bad_number(name, "Int", text, e);
    *out = arena_dup(a, &n, sizeof(n));
    return 0;
}

static int parse_uint(const char *name, const char *text, struct arena *a, int64_t **out,
                      struct err *e)
{
    uint64_t n;
    if (!str_to_u64(str_of(text), 0, UINT64_MAX, &n))
        return bad_number(name, "Uint", text, e);
    *out = arena_dup(a, &n, sizeof(n));
    return 0;
}

/* flags that urfave/cli itself reads as numbers */
static int parse_plain(const char *name, const char *text, struct arena *a, int64_t **out,
                       struct err *e)
{
    int64_t n;
    if (!str_to_i64(str_of(text), INT64_MIN, INT64_MAX, &n))
        return err_set(e, ERR_INVALID, "invalid value \"%s\" for flag -%s: parse error", text,
                       name);
    *out = arena_dup(a, &n, sizeof(n));
    return 0;
}

static int resources_of_flags(struct cli *c, const struct cli_values *v, struct oci_resources *r,
                              struct err *e)
{
    struct oci_memory *m = r->memory = ARENA_NEW(c->a, struct oci_memory);
    struct oci_cpu *cpu = r->cpu = ARENA_NEW(c->a, struct oci_cpu);
    struct oci_block_io *io = r->block_io = ARENA_NEW(c->a, struct oci_block_io);
    r->pids = ARENA_NEW(c->a, struct oci_pids);
    const struct {
        const char *flag;
        int (*parse)(const char *, const char *, struct arena *, int64_t **, struct err *);
        void *out; /* int64_t ** or uint64_t **: the same bytes */
    } numbers[] = {
        {"blkio-weight", parse_plain, &io->weight},
        {"cpu-idle", parse_int, &cpu->idle},
        {"cpu-burst", parse_uint, &cpu->burst},
        {"cpu-period", parse_uint, &cpu->period},
        {"cpu-rt-period", parse_uint, &cpu->realtime_period},
        {"cpu-share", parse_uint, &cpu->shares},
        {"cpu-shares", parse_uint, &cpu->shares},
        {"cpu-quota", parse_int, &cpu->quota},
        {"cpu-rt-runtime", parse_int, &cpu->realtime_runtime},
        {"memory", parse_size, &m->limit},
        {"memory-swap", parse_size, &m->swap},
        {"memory-reservation", parse_size, &m->reservation},
        {"kernel-memory", parse_size, &m->kernel},
        {"kernel-memory-tcp", parse_size, &m->kernel_tcp},
        {"pids-limit", parse_plain, &r->pids->limit},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const char *text = cli_text(v, numbers[i].flag);
        int64_t *n = NULL;
        if (text == NULL || *text == '\0')
            continue;
        TRY(numbers[i].parse(numbers[i].flag, text, c->a, &n, e));
        memcpy(numbers[i].out, &n, sizeof(n));
    }
    cpu->cpus = cli_text(v, "cpuset-cpus");
    cpu->mems = cli_text(v, "cpuset-mems");
    return 0;
}

static int resources_of_file(struct cli *c, const char *file, struct oci_resources *r,
                             struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(DOCUMENT_MAX);
    auto_fd int fd =
        strcmp(file, "-") == 0 ? fd_dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "open %s", file);
    int rc = fd_read_to_end(fd, &text);
    if (rc < 0)
        return err_neg(e, rc, "read %s", file);
    return json_parse(&oci_resources_json, r, buf_cstr(&text), text.n, c->a, e);
}

/* systemd has one property for both, and weight 0 means idle. */
static void warn_of_idle(struct cli *c, const struct oci_resources *r)
{
    const char *idle = strmap_get(&r->unified, "cpu.idle");
    if (!c->systemd_cgroup)
        return;
    if (r->cpu != NULL && r->cpu->idle != NULL && *r->cpu->idle == 1 && r->cpu->shares != NULL)
        cli_log(c, "warning",
                "unable to apply both CPUWeight and CpuIdle to systemd, ignoring CPUWeight");
    if (idle != NULL && strcmp(idle, "1") == 0 && strmap_get(&r->unified, "cpu.weight") != NULL)
        cli_log(c, "warning",
                "unable to apply both cpu.weight and cpu.idle to systemd, ignoring cpu.weight");
}

int cli_update(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    struct oci_resources r = {0};
    const char *file = cli_text(v, "resources");
    const char *l3_cache = cli_text(v, "l3-cache-schema"), *mem_bw = cli_text(v, "mem-bw-schema");
    (void)n;
    TRY(file == NULL || *file == '\0' ? resources_of_flags(c, v, &r, e)
                                      : resources_of_file(c, file, &r, e));
    if (r.memory != NULL && (r.memory->kernel != NULL || r.memory->kernel_tcp != NULL))
        cli_log(c, "warning", "Kernel memory settings are ignored and will be removed");
    warn_of_idle(c, &r);
    if (l3_cache != NULL || mem_bw != NULL)
        TRY(hullrun_update_rdt(c->root, args[0], l3_cache, mem_bw, e));
    return hullrun_update(c->root, args[0], &r, e);
}
