/** The parsed form of a template, shared by parser and executor. All nodes live in the template's
 * arena. */
#ifndef HULL_TEMPLATE_NODE_H
#define HULL_TEMPLATE_NODE_H

#include "base/vec.h"
#include "template/template.h"

struct pipe;

enum arg_kind { ARG_DOT, ARG_VAR, ARG_LITERAL, ARG_FUNC, ARG_PIPE };

/** One operand: what it begins with, and the fields that follow it (".A.B"). */
struct arg {
    enum arg_kind kind;
    const char *name;            /* ARG_VAR: "$x"; ARG_FUNC */
    struct json_object *literal; /* ARG_LITERAL; NULL is nil */
    struct pipe *pipe;           /* ARG_PIPE: in parentheses */
    struct strv fields;
    const char *text; /* as written, for errors */
    size_t line, col;
};

struct cmd {
    VEC(struct arg) args;
};

/** "$i, $x := a | b": up to two variables, then commands. */
struct pipe {
    const char *vars[2];
    size_t n_vars;
    bool assign; /* "=" instead of ":=" */
    VEC(struct cmd) cmds;
};

enum node_kind {
    NODE_TEXT,
    NODE_ACTION,
    NODE_IF,
    NODE_RANGE,
    NODE_WITH,
    NODE_BREAK,
    NODE_CONTINUE
};

struct node_list;

struct node {
    enum node_kind kind;
    const char *text; /* NODE_TEXT */
    size_t n_text;
    struct pipe *pipe;
    struct node_list *body, *otherwise;
};

struct node_list {
    VEC(struct node) nodes;
};

struct template
{
    struct arena *arena;
    struct node_list *root;
    VEC(struct json_object *) literals; /* references that the template holds */
};

/* funcs.c */
struct call {
    const struct template_opts *opts;
    struct json_object *const *args;
    size_t n;
    const char *name;
};

/**
 * Call a built-in function. *out gets a new reference (NULL for nil). NOT_FOUND when there is no
 * such function. and, or and not are here too; the executor stops evaluating early by itself.
 */
int func_call(const struct call *c, struct json_object **out, struct err *e);

/** True when a built-in of this name exists. */
bool func_exists(const char *name);

/** Go's truth: not zero, not empty, not nil. */
bool value_true(struct json_object *v);

/** Append a value as fmt.Print would. */
void value_print(struct json_object *v, struct buf *out);

#endif
