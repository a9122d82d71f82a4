/**
 * The client as a whole: where the daemon is, which API version is spoken, the user's
 * configuration, and the requests that commands make. One thread.
 */
#ifndef HULL_CLI_CLI_H
#define HULL_CLI_CLI_H

#include "base/json.h"
#include "rpc/http_client.h"

#define CLI_API_MAX "1.51"
#define CLI_BODY_MAX (256u << 20)

struct cli {
    struct arena *arena; /* lives as long as the program */
    const char *host;    /* "unix:///run/hull/hull.sock" */
    const char *context; /* "default" */
    const char *config_dir;
    const char *tls_ca, *tls_cert, *tls_key;
    bool tls, tls_verify, debug;
    const char *fixed_version; /* DOCKER_API_VERSION; NULL: negotiate */
    const char *auth_config;   /* DOCKER_AUTH_CONFIG: credentials before all stored ones; NULL */
    char version[8];           /* the API version spoken; "" until the first request */
    char server_version[8];    /* what the daemon's ping told */
    struct http_client *http;
    struct json_object *config; /* config.json; NULL: none */
};

/** Read the environment and the configuration file's context; flags were stored before. */
int cli_init(struct cli *c, struct err *e);
void cli_done(struct cli *c);

/** Connect and settle the API version; once, further calls return at once. */
int cli_connect(struct cli *c, struct err *e);

/** A further connection, for an answer that stays open while others are asked: free with
 * http_client_free. */
int cli_connection(struct cli *c, struct http_client **out, struct err *e);

/** "1.40" is below "1.44". */
bool api_version_below(const char *a, const char *b);

struct cli_req {
    const char *method;
    const char *path; /* without version, its parts already encoded: see cli_path */
    const struct json_desc *doc_desc;
    const void *doc;
    const struct http_call_header *headers;
    size_t n_headers;
    const char *type;
    int body_fd; /* used when stream_fd */
    bool stream_fd;
    const char *upgrade;
    struct http_client *via; /* NULL: the client's own connection */
};

/**
 * Send a request; the answer's head is checked: 4xx and 5xx become "Error response from daemon: …"
 * with the kind of their status. *out: free with http_resp_free.
 */
int cli_call(struct cli *c, const struct cli_req *rq, struct http_resp **out, struct err *e);

/** As cli_call without a body; the answer is read into doc (NULL: dropped), in the client's arena.
 */
int cli_json(struct cli *c, const char *method, const char *path, const struct json_desc *desc,
             void *doc, struct err *e);

/** As cli_json with a request document. */
int cli_send_json(struct cli *c, const char *method, const char *path,
                  const struct json_desc *in_desc, const void *in, const struct json_desc *desc,
                  void *doc, struct err *e);

/** The answer's bytes as they are. */
int cli_raw(struct cli *c, const char *path, struct buf *out, struct err *e);

/** "/containers/%s/json" with each %s percent-encoded; in the arena. Only %s is allowed. */
const char *cli_path(struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** Append "?key=value" or "&key=value", encoded, to a path; value NULL: left out. Returns the new
 * path. */
const char *cli_query(struct cli *c, const char *path, const char *key, const char *value);

/** A platform ("linux/arm64") as queries carry it: JSON, in the arena; NULL for NULL. INVALID. */
int cli_platform(struct cli *cli, const char *text, const char **out, struct err *e);

/** The filters parameter from "key=value" words. INVALID: "invalid argument "x": must be in format
 * KEY=VALUE". */
int cli_filters(struct cli *c, const struct strv *words, const char **out, struct err *e);

/** "key=value" words into a map in the arena; without "=" the value is "". */
void cli_words_map(struct cli *c, struct strmap *m, const struct strv *words);

/**
 * A moment as the daemon takes it, unix seconds with a fraction, from "10m" (ago, on our clock),
 * RFC 3339, a date, or unix seconds. text NULL gives NULL.
 */
int cli_moment(struct cli *c, const char *text, const char **out, struct err *e);

/** X-Registry-Auth for an image reference from the stored credentials; "" when there are none. */
int cli_registry_auth(struct cli *c, const char *image, const char **out, struct err *e);

/** The path of one of our helper files ("hull-unpack"), see path_helper; NULL when absent. */
const char *cli_helper(struct cli *c, const char *name);

/** A string of config.json (psFormat, detachKeys …), or NULL. */
const char *cli_config_str(struct cli *c, const char *key);

#endif
