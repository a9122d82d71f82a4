/**
 * Go templates over JSON values: what `--format` takes, log tags and service specifications use.
 *
 * Supported: text, {{- trimming -}}, comments, fields and chains, variables, pipelines,
 * parentheses, if/else/range/with, literals, Go's built-in functions that make sense on data, and
 * docker's own (json, split, join, title, lower, upper, pad, truncate, println). Not supported, and
 * refused when parsing: define, template, block. Source: Go text/template, reading its
 * documentation; docker's formatting guide.
 */
#ifndef HULL_TEMPLATE_TEMPLATE_H
#define HULL_TEMPLATE_TEMPLATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct json_object;
struct template;

/**
 * Answers a field of an object that takes arguments or is computed, as {{.Label "key"}}. args: n
 * JSON values, borrowed. Returns 1 with a new reference in *out, 0 when there is no such method, -1
 * with e.
 */
typedef int template_method_fn(void *arg, struct json_object *object, const char *name,
                               struct json_object *const *args, size_t n, struct json_object **out,
                               struct err *e);

struct template_opts {
    bool missing_error; /* a key that is not there is an error, as inspect wants it; else it prints
                           <no value> */
    bool header; /* the data are column titles: functions other than pad give their argument back */
    template_method_fn *method; /* may be NULL */
    void *method_arg;
};

/**
 * Parse a template. Nothing of text is kept.
 *
 * Errors: INVALID in Go's words, "template: :1: unclosed action".
 */
int template_parse(const char *text, struct template **out, struct err *e);

/** Free. NULL is fine. */
void template_free(struct template *t);

static inline void template_free_ptr(struct template **t)
{
    template_free(*t);
}
#define auto_template CLEANUP(template_free_ptr)

/**
 * Run a template over data (borrowed; NULL is nil) and append its output.
 *
 * Errors: INVALID in Go's words, with what was being evaluated.
 */
int template_exec(const struct template *t, struct json_object *data, const struct template_opts *o,
                  struct buf *out, struct err *e);

/** True when the template uses the field of this name anywhere ({{.Size}}): list commands ask for
 * more then. */
bool template_uses(const struct template *t, const char *field);

#endif
