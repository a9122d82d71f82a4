/*
 * Running a template: a walk over its nodes. Values are json-c objects; those made on the way are
 * kept in a pool until the end, so that nobody has to say who owns what in between.
 */
#include "template/node.h"

#include <json-c/json.h>
#include <strings.h>

#include "base/mem.h"

struct variable {
    const char *name;
    struct json_object *val;
};

struct exec {
    const struct template_opts *o;
    struct buf *out;
    struct err *e;
    VEC(struct json_object *) pool;
    VEC(struct variable) vars;
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

/* A value, and whether it came from a key that is not there. */
struct value {
    struct json_object *o;
    bool missing;
};

static int eval_pipe(struct exec *x, const struct pipe *p, struct json_object *dot,
                     struct value *out);

static int failed(struct exec *x, const struct arg *a, const char *what)
{
    auto_free char *inner = mem_strdup(what);
    return err_set(x->e, ERR_INVALID, "template: :%zu:%zu: executing \"\" at <%s>: %s", a->line,
                   a->col, a->text, inner);
}

static struct json_object *pooled(struct exec *x, struct json_object *o)
{
    if (o != NULL)
        vec_push(&x->pool, o);
    return o;
}

static struct json_object *variable(struct exec *x, const char *name, bool *found)
{
    *found = false;
    for (size_t i = x->vars.n; i > 0; i--)
        if (strcmp(x->vars.v[i - 1].name, name) == 0) {
            *found = true;
            return x->vars.v[i - 1].val;
        }
    return NULL;
}

/* A key as written, else in another case: the API says "Id" where Go's struct, which formats speak
 * of, says "ID". */
static bool member(struct json_object *o, const char *name, struct json_object **out)
{
    if (json_object_object_get_ex(o, name, out))
        return true;
    json_object_object_foreach(o, key, val)
    {
        if (strcasecmp(key, name) == 0) {
            *out = val;
            return true;
        }
    }
    return false;
}

static int field(struct exec *x, const struct arg *a, struct value *v, const char *name,
                 struct json_object *const *args, size_t n)
{
    struct json_object *got = NULL;
    if (x->o->method != NULL) {
        int r = x->o->method(x->o->method_arg, v->o, name, args, n, &got, x->e);
        if (r < 0)
            return failed(x, a, x->e->msg);
        if (r > 0) {
            *v = (struct value){pooled(x, got), false};
            return 0;
        }
    }
    if (n > 0) {
        auto_free char *what =
            mem_printf("%s has arguments but cannot be invoked as function", name);
        return failed(x, a, what);
    }
    if (!json_object_is_type(v->o, json_type_object)) {
        if (v->o == NULL && !x->o->missing_error) { /* a field of nothing is nothing */
            v->missing = true;
            return 0;
        }
        auto_free char *what =
            mem_printf(v->o == NULL ? "nil pointer evaluating interface {}.%s"
                                    : "can't evaluate field %s in type interface {}",
                       name);
        return failed(x, a, what);
    }
    if (member(v->o, name, &got)) {
        *v = (struct value){got, false};
        return 0;
    }
    if (x->o->missing_error) {
        auto_free char *what = mem_printf("map has no entry for key \"%s\"", name);
        return failed(x, a, what);
    }
    *v = (struct value){NULL, true};
    return 0;
}

/* What an operand begins with. */
static int eval_head(struct exec *x, const struct arg *a, struct json_object *dot, struct value *v)
{
    bool found;
    *v = (struct value){0};
    switch (a->kind) {
    case ARG_DOT:
        v->o = dot;
        return 0;
    case ARG_VAR:
        v->o = variable(x, a->name, &found);
        return found ? 0 : failed(x, a, "undefined variable");
    case ARG_LITERAL:
        v->o = a->literal;
        return 0;
    case ARG_PIPE:
        return eval_pipe(x, a->pipe, dot, v);
    case ARG_FUNC: {
        struct call c = {.opts = x->o, .name = a->name};
        if (func_call(&c, &v->o, x->e) < 0)
            return failed(x, a, x->e->msg);
        pooled(x, v->o);
        return 0;
    }
    }
    return 0;
}

/* An operand; args go to its last field. */
static int eval_arg(struct exec *x, const struct arg *a, struct json_object *dot,
                    struct json_object *const *args, size_t n, struct value *out)
{
    TRY(eval_head(x, a, dot, out));
    for (size_t i = 0; i < a->fields.n; i++) {
        bool last = i + 1 == a->fields.n;
        TRY(field(x, a, out, a->fields.v[i], last ? args : NULL, last ? n : 0));
    }
    if (n > 0 && a->fields.n == 0)
        return failed(x, a, "can't give argument to non-function");
    return 0;
}

/* and, or: the first operand that decides, the rest is not evaluated. */
static int eval_logic(struct exec *x, const struct cmd *c, struct json_object *dot, bool is_and,
                      struct value *out)
{
    for (size_t i = 1; i < c->args.n; i++) {
        TRY(eval_arg(x, &c->args.v[i], dot, NULL, 0, out));
        if (value_true(out->o) != is_and)
            break;
    }
    return 0;
}

static int eval_cmd(struct exec *x, const struct cmd *c, struct json_object *dot,
                    const struct value *piped, struct value *out)
{
    const struct arg *first = &c->args.v[0];
    bool func = first->kind == ARG_FUNC && first->fields.n == 0;
    if (func && piped == NULL && c->args.n > 1 &&
        (strcmp(first->name, "and") == 0 || strcmp(first->name, "or") == 0))
        return eval_logic(x, c, dot, first->name[0] == 'a', out);
    VEC(struct json_object *) args = {0};
    int rc = 0;
    for (size_t i = 1; i < c->args.n && rc == 0; i++) {
        struct value v;
        rc = eval_arg(x, &c->args.v[i], dot, NULL, 0, &v);
        if (rc == 0)
            vec_push(&args, v.o);
    }
    if (rc == 0 && piped != NULL)
        vec_push(&args, piped->o);
    if (rc == 0 && func) {
        struct call call = {.opts = x->o, .name = first->name, .args = args.v, .n = args.n};
        *out = (struct value){0};
        rc = func_call(&call, &out->o, x->e);
        if (rc < 0)
            failed(x, first, x->e->msg);
        else
            pooled(x, out->o);
    } else if (rc == 0) {
        rc = eval_arg(x, first, dot, args.v, args.n, out);
    }
    vec_done(&args);
    return rc;
}

static int eval_pipe(struct exec *x, const struct pipe *p, struct json_object *dot,
                     struct value *out)
{
    struct value v = {0};
    for (size_t i = 0; i < p->cmds.n; i++) {
        struct value next = {0};
        TRY(eval_cmd(x, &p->cmds.v[i], dot, i > 0 ? &v : NULL, &next));
        v = next;
    }
    *out = v;
    return 0;
}

static int bind(struct exec *x, const struct pipe *p, struct json_object *val)
{
    if (p->n_vars == 0)
        return 0;
    const char *name = p->vars[p->n_vars - 1];
    for (size_t i = x->vars.n; p->assign && i > 0; i--)
        if (strcmp(x->vars.v[i - 1].name, name) == 0) {
            x->vars.v[i - 1].val = val;
            return 0;
        }
    if (p->assign)
        return err_set(x->e, ERR_INVALID, "template: : undefined variable: %s", name);
    struct variable v = {name, val};
    vec_push(&x->vars, v);
    return 0;
}

static int run(struct exec *x, const struct node_list *l, struct json_object *dot, enum flow *flow);

static int run_item(struct exec *x, const struct node *n, struct json_object *key,
                    struct json_object *val, enum flow *flow)
{
    size_t mark = x->vars.n;
    if (n->pipe->n_vars == 2) {
        struct variable k = {n->pipe->vars[0], key};
        vec_push(&x->vars, k);
    }
    TRY(bind(x, n->pipe, val));
    TRY(run(x, n->body, val, flow));
    x->vars.n = mark;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int range_object(struct exec *x, const struct node *n, struct json_object *o)
{
    VEC(const char *) keys = {0};
    json_object_object_foreach(o, key, val)
    {
        (void)val;
        const char *k = key;
        vec_push(&keys, k);
    }
    if (keys.n > 1)
        qsort(keys.v, keys.n, sizeof(keys.v[0]), by_name);
    enum flow flow = FLOW_ON;
    int rc = 0;
    for (size_t i = 0; i < keys.n && rc == 0 && flow != FLOW_BREAK; i++)
        rc = run_item(x, n, pooled(x, json_object_new_string(keys.v[i])),
                      json_object_object_get(o, keys.v[i]), &flow);
    vec_done(&keys);
    return rc;
}

static int run_range(struct exec *x, const struct node *n, struct json_object *dot)
{
    struct value v;
    TRY(eval_pipe(x, n->pipe, dot, &v));
    enum flow flow = FLOW_ON;
    if (!value_true(v.o))
        return n->otherwise == NULL ? 0 : run(x, n->otherwise, dot, &flow);
    if (json_object_is_type(v.o, json_type_object))
        return range_object(x, n, v.o);
    if (!json_object_is_type(v.o, json_type_array))
        return failed(x, &n->pipe->cmds.v[0].args.v[0], "range can't iterate over this value");
    for (size_t i = 0; i < json_object_array_length(v.o) && flow != FLOW_BREAK; i++)
        TRY(run_item(x, n, pooled(x, json_object_new_int64((int64_t)i)),
                     json_object_array_get_idx(v.o, i), &flow));
    return 0;
}

static int run_branch(struct exec *x, const struct node *n, struct json_object *dot,
                      enum flow *flow)
{
    struct value v;
    size_t mark = x->vars.n;
    TRY(eval_pipe(x, n->pipe, dot, &v));
    TRY(bind(x, n->pipe, v.o));
    if (value_true(v.o))
        TRY(run(x, n->body, n->kind == NODE_WITH ? v.o : dot, flow));
    else if (n->otherwise != NULL)
        TRY(run(x, n->otherwise, dot, flow));
    x->vars.n = mark;
    return 0;
}

static int run_action(struct exec *x, const struct node *n, struct json_object *dot)
{
    struct value v;
    TRY(eval_pipe(x, n->pipe, dot, &v));
    if (n->pipe->n_vars > 0)
        return bind(x, n->pipe, v.o);
    if (v.missing)
        buf_adds(x->out, "<no value>");
    else
        value_print(v.o, x->out);
    return 0;
}

static int run(struct exec *x, const struct node_list *l, struct json_object *dot, enum flow *flow)
{
    *flow = FLOW_ON;
    vec_each(n, &l->nodes) {
        switch (n->kind) {
        case NODE_TEXT:
            buf_add(x->out, n->text, n->n_text);
            break;
        case NODE_ACTION:
            TRY(run_action(x, n, dot));
            break;
        case NODE_RANGE:
            TRY(run_range(x, n, dot));
            break;
        case NODE_IF:
        case NODE_WITH:
            TRY(run_branch(x, n, dot, flow));
            if (*flow != FLOW_ON)
                return 0;
            break;
        case NODE_BREAK:
            *flow = FLOW_BREAK;
            return 0;
        case NODE_CONTINUE:
            *flow = FLOW_CONTINUE;
            return 0;
        }
    }
    return 0;
}

int template_exec(const struct template *t, struct json_object *data, const struct template_opts *o,
                  struct buf *out, struct err *e)
{
    static const struct template_opts none = {0};
    struct exec x = {.o = o != NULL ? o : &none, .out = out, .e = e};
    struct variable root = {"$", data};
    enum flow flow;
    vec_push(&x.vars, root);
    int rc = run(&x, t->root, data, &flow);
    if (rc == 0 && out->over)
        rc = err_set(e, ERR_TOO_LARGE, "template: output longer than %zu bytes", out->max);
    vec_each(p, &x.pool)
        json_object_put(*p);
    vec_done(&x.pool);
    vec_done(&x.vars);
    return rc;
}
