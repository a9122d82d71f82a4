/**
 * Lists of things: rows of named fields, printed as a table, as JSON lines, or through the user's
 * template.
 *
 *     struct table t = {.cols = ps_cols, .n_cols = ARRAY_LEN(ps_cols), .view = "table
 * {{.ID}}\t{{.Names}}"}; TRY(table_init(&t, cli, format, e)); struct json_object *row =
 * table_row(&t); row_set(row, "ID", id); … TRY(table_print(&t, e));
 */
#ifndef HULL_CLI_TABLE_H
#define HULL_CLI_TABLE_H

#include "base/vec.h"
#include "cli/cli.h"
#include "template/template.h"

/** One field: its name in templates and its column's title. */
struct table_col {
    const char *field, *title;
};

struct table {
    const struct table_col *cols;
    size_t n_cols;
    const char *view;  /* the default: "table {{.A}}\t{{.B}}" */
    const char *quiet; /* what -q prints, NULL: {{.ID}} */
    /* the rest is table.c's */
    struct cli *cli;
    struct template *tpl;
    bool titles, json;
    VEC(struct json_object *) rows;
};

/**
 * Settle the format: --format, else quiet, else config.json's, else the default view.
 *
 * format  NULL or "": not given. config_key: e.g. "psFormat", may be NULL.
 */
int table_init(struct table *t, struct cli *cli, const char *format, const char *config_key,
               bool quiet, struct err *e);

/** A new row; the table owns it. */
struct json_object *table_row(struct table *t);
void row_set(struct json_object *row, const char *field, const char *value);

/** True when the format shows this field. */
bool table_shows(const struct table *t, const char *field);

/** Print all rows to standard output. */
int table_print(struct table *t, struct err *e);

void table_done(struct table *t);
#define auto_table CLEANUP(table_done)

/**
 * Print one object through a template as inspect, version and info do: strictly, and a bad template
 * exits with 64. format "json" is {{json .}}. data is borrowed.
 */
struct call;
int print_object(struct call *c, const char *format, struct json_object *data, struct err *e);

/** Lay out cells separated by tabs and lines by \n: columns are as wide as their longest cell + 3,
 * at least min. */
void tab_layout(const char *text, size_t min, struct buf *out);

/** Print text to standard output. */
void put(const char *text);
void put_line(const char *fmt, ...) PRINTF_LIKE(1, 2);
/** Print a line to standard error. */
void warn_line(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
