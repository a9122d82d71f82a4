/**
 * The address of a container's log: containerd's "binary://" URI that names our hull-logger and
 * says in its parameters what is to be done with the output.
 *
 *     binary:///usr/libexec/hull/hull-logger?driver=json-file&path=/d/ID-json.log&max-file=3&max-size=10485760
 *
 * The engine writes it, our shim recognises it and serves it itself, any other shim starts the
 * program named in it with the parameters as arguments ("driver json-file path /d/..."): one parser
 * for all three.
 */
#ifndef HULL_STDIO_LOG_URI_H
#define HULL_STDIO_LOG_URI_H

#include "base/json.h"

#define LOG_PROGRAM "hull-logger"
#define LOG_URI_MAX ((size_t)64 << 10) /* bytes of the whole text */
#define LOG_ATTRS_MAX ((size_t)16 << 10)
#define LOG_ATTACH_MAX 107 /* bytes of a socket's path */

struct log_uri {
    const char *program;     /* absolute path that ends in /hull-logger */
    const char *driver;      /* "json-file", "none", or a driver that hull-logger knows */
    const char *path;        /* json-file: absolute path of the current log file */
    int64_t max_size;        /* bytes after which the file is rotated; -1: never */
    int64_t max_file;        /* files that are kept, the current one counted; at least 1 */
    bool compress;           /* files that were rotated away become name.N.gz */
    int64_t max_buffer_size; /* bytes of records that wait while the log is slow, before some are
                                dropped; 0: output waits */
    const char *attrs;       /* JSON object of strings for each record; NULL: none */
    const char *attach;      /* unix socket on which stdio/attach.h is served; NULL: none */
    bool open_stdin;         /* standard input comes from attached clients */
    struct strmap opts;      /* all other parameters, for drivers of hull-logger */
};

/** What a URI without parameters means: driver "json-file" without a path, no rotation. */
#define LOG_URI_DEFAULT                                       \
    {                                                         \
        .driver = "json-file", .max_size = -1, .max_file = 1, \
    }

/**
 * Read a URI.
 *
 * out  its strings live in arena.
 *
 * Returns 1 when it is ours, 0 when it is none of ours (another scheme or another program; out is
 * untouched). Errors: INVALID (a parameter is wrong, twice there, or missing).
 */
int log_uri_parse(const char *text, struct arena *arena, struct log_uri *out, struct err *e);

/** As log_uri_parse from arguments, as shims pass the parameters of a binary:// URI: name, value,
 * name, value … */
int log_uri_parse_args(int argc, char *const *argv, struct arena *arena, struct log_uri *out,
                       struct err *e);

/** Append the URI to out; parameters that have their default value are left out. out->over when it
 * does not fit. */
void log_uri_write(const struct log_uri *u, struct buf *out);

/** True when the shim itself can serve the driver ("json-file", "none"). */
bool log_uri_in_process(const struct log_uri *u);

#endif
