/*
 * hull-registry: asks a registry one question and ends. Started as a job (sys/job.h) with one of
 * the operations of types/registry_job.h, so that the daemon itself holds no client for registries
 * and reads nothing they say.
 */
#include <signal.h>
#include <sys/prctl.h>

#include "registry/registry.h"
#include "sys/job.h"
#include "types/registry_job.h"

struct work {
    struct registry_job job;
    struct registry_answer answer;
    struct registry_opts opts;
    struct arena *a;
};

static int reference(const struct work *w, struct ref *out, struct err *e)
{
    return ref_parse_full(w->job.reference != NULL ? w->job.reference : "", out, e);
}

static int do_login(struct work *w, struct err *e)
{
    return registry_login(w->job.reference, &w->opts, w->a, &w->answer.token, e);
}

static int do_inspect(struct work *w, struct err *e)
{
    struct ref ref;
    TRY(reference(w, &ref, e));
    return registry_inspect(&ref, &w->opts, w->a, &w->answer, e);
}

static int do_tags(struct work *w, struct err *e)
{
    struct ref ref;
    TRY(reference(w, &ref, e));
    return registry_tags(&ref, &w->opts, w->a, &w->answer.tags, e);
}

static int do_signatures(struct work *w, struct err *e)
{
    struct ref ref;
    TRY(reference(w, &ref, e));
    return registry_signatures(&ref, w->job.platform, &w->opts, w->a, &w->answer, e);
}

static int do_search(struct work *w, struct err *e)
{
    return registry_search(w->job.term, (int)w->job.limit, &w->opts, w->a, &w->answer, e);
}

static const struct {
    const char *name;
    int (*run)(struct work *w, struct err *e);
} ops[] = {{"login", do_login},
           {"inspect", do_inspect},
           {"tags", do_tags},
           {"search", do_search},
           {"signatures", do_signatures}};

static int run(struct work *w, struct err *e)
{
    w->opts = (struct registry_opts){.creds = {.username = w->job.username,
                                               .password = w->job.password,
                                               .identity_token = w->job.identity_token,
                                               .registry_token = w->job.registry_token},
                                     .host_dir = w->job.host_dir,
                                     .attempts = 2}; /* somebody is waiting for the answer */
    const struct registry_settings *set = w->job.settings;
    if (set != NULL)
        w->opts.proxies =
            (struct registry_proxies){set->http_proxy, set->https_proxy, set->no_proxy};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (w->job.op != NULL && strcmp(ops[i].name, w->job.op) == 0)
            return ops[i].run(w, e);
    return err_set(e, ERR_INVALID, "unknown operation");
}

static int work(struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf doc = BUF_MAX(1 << 20), answer = BUF_MAX(JOB_DOC_MAX);
    struct work w = {.a = a};
    TRY(job_read(&doc, e));
    TRY(json_parse(&registry_job_json, &w.job, buf_cstr(&doc), doc.n, a, e));
    TRY(run(&w, e));
    json_write(&registry_answer_json, &w.answer, &answer);
    if (answer.over)
        return err_set(e, ERR_TOO_LARGE, "the registry's answer is too long");
    return job_reply(answer.p, answer.n, e);
}

int main(void)
{
    struct err e = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* it starts nothing: only to be sure */
    registry_global_init();
    if (work(&e) == 0)
        return 0;
    job_fail(&e);
    return 1;
}
