/*
 * Metrics of several tasks in one answer: each shim is asked, the last answer (or the time limit)
 * finishes the call. One that does not answer is left out.
 */
#include "base/mem.h"
#include "base/time.h"
#include "containerd/convert.h"
#include "containerd/task_create.h"
#include "proto/tasks.pb-c.h"
#include "store/filter.h"

#define STATS_MS 2000

struct gathering {
    pthread_mutex_t lock;
    struct grpc_call *call;
    struct arena *a;               /* guarded by lock */
    Tasks__MetricsResponse answer; /* guarded by lock */
    int pending;                   /* guarded by lock; the asking handler counts */
};

static const char *field(const void *obj, const char *const *path, size_t n)
{
    const struct task *t = obj;
    if (n == 1 && strcmp(path[0], "id") == 0)
        return t->id;
    if (n == 1 && strcmp(path[0], "namespace") == 0)
        return t->ns;
    return NULL;
}

static void one_less(struct gathering *g)
{
    struct err e = {0};
    (void)pthread_mutex_lock(&g->lock);
    bool last = --g->pending == 0;
    (void)pthread_mutex_unlock(&g->lock);
    if (!last)
        return;
    if (grpc_call_reply(g->call, &g->answer.base, &e) < 0)
        grpc_call_finish(g->call, &e);
    grpc_call_unref(g->call);
    arena_free(g->a);
    (void)pthread_mutex_destroy(&g->lock);
    free(g);
}

struct asked {
    struct gathering *g;
    struct task *t; /* referenced */
};

static void on_stats(void *arg, const void *resp, const struct err *e)
{
    auto_free struct asked *q = arg;
    const Shim__StatsResponse *s = resp;
    struct gathering *g = q->g;
    task_heard(q->t, e);
    if (s != NULL && s->stats != NULL) {
        (void)pthread_mutex_lock(&g->lock);
        const struct any_value v = {arena_strdup(g->a, s->stats->type_url),
                                    arena_dup(g->a, s->stats->value.data, s->stats->value.len),
                                    s->stats->value.len};
        Types__Metric *m = ARENA_NEW(g->a, Types__Metric);
        types__metric__init(m);
        m->timestamp = pb_time_new(time_now_ns(), g->a);
        m->id = arena_strdup(g->a, q->t->id);
        m->data = any_to_pb(&v, g->a);
        g->answer.metrics[g->answer.n_metrics++] = m;
        (void)pthread_mutex_unlock(&g->lock);
    }
    task_unref(q->t);
    one_less(g);
}

static void ask(struct gathering *g, struct task *t)
{
    Shim__StatsRequest m = SHIM__STATS_REQUEST__INIT;
    struct asked *q = mem_alloc(sizeof(*q));
    struct err e = {0};
    *q = (struct asked){.g = g, .t = task_ref(t)};
    m.id = t->id;
    const struct task_rpc call = {"Stats", &m.base, &shim__stats_response__descriptor, STATS_MS};
    if (task_call(t, &call, on_stats, q, &e) < 0)
        on_stats(q, NULL, &e);
}

int task_metrics(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__MetricsRequest *q = req;
    struct tasks *ts = ((struct ctd *)grpc_call_ctx(c))->tasks;
    struct strv texts = strv_from_pb(q->n_filters, q->filters);
    auto_filters struct filters *f = NULL;
    struct scope sc;
    size_t n = 0;
    TRY(call_scope(c, &sc, e));
    TRY(filters_parse(&texts, &f, e));
    (void)pthread_mutex_lock(&ts->lock);
    struct task **v = arena_alloc_array(grpc_call_arena(c), ts->by_key.n + 1, sizeof(void *));
    map_each(ent, &ts->by_key) {
        struct task *t = ent->val;
        if (strcmp(t->ns, sc.ns) == 0 && t->phase == TASK_LIVE && filters_match(f, field, t))
            v[n++] = task_ref(t);
    }
    (void)pthread_mutex_unlock(&ts->lock);
    struct gathering *g = mem_alloc(sizeof(*g));
    *g = (struct gathering){.call = grpc_call_ref(c),
                            .a = arena_new(),
                            .answer = TASKS__METRICS_RESPONSE__INIT,
                            .pending = (int)n + 1};
    (void)pthread_mutex_init(&g->lock, NULL);
    g->answer.metrics = arena_alloc_array(g->a, n + 1, sizeof(void *));
    for (size_t i = 0; i < n; i++) {
        ask(g, v[i]);
        task_unref(v[i]);
    }
    one_less(g);
    return GRPC_LATER;
}
