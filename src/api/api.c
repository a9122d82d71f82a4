/*
 * From a request to its handler: version, route, headers, and the error if there is one.
 *
 * The order is dockerd's: a path that is unknown gets a bare 404; a known one gets the headers that
 * tell who answers; then the version is checked, then the handler runs.
 */
#include "api/api.h"

#include "api/req.h"
#include "api/route.h"
#include "base/log.h"

#define FORM_MAX (1u << 20)

static void add_headers(struct http_req *http)
{
    char version[16];
    snprintf(version, sizeof(version), "1.%d", API_VERSION_MAX);
    http_req_header(http, "Server", "Hull/" HULL_VERSION " (linux)");
    http_req_header(http, "Api-Version", version);
    http_req_header(http, "Ostype", "linux");
}

/* Docker's words for versions outside of the window. asked: the text in the path. */
static int check_version(const struct api *api, struct str asked, int minor, struct err *e)
{
    int min = api->min_version > 0 ? api->min_version : API_VERSION_MIN;
    if (minor < min)
        return err_set(
            e, ERR_INVALID,
            "client version %.*s is too old. Minimum supported API version is 1.%d, please "
            "upgrade your client to a newer version",
            (int)MIN(asked.n, 100), asked.p, min);
    if (minor > API_VERSION_MAX)
        return err_set(e, ERR_INVALID,
                       "client version %.*s is too new. Maximum supported API version is 1.%d",
                       (int)MIN(asked.n, 100), asked.p, API_VERSION_MAX);
    return 0;
}

/* A form in the body counts as parameters of the query. */
static int read_form(struct http_req *http, struct err *e)
{
    const char *type = http_req_head(http, "Content-Type"), *text;
    size_t n;
    if (strcmp(http->method, "POST") != 0 || type == NULL ||
        !str_starts(str_of(type), "application/x-www-form-urlencoded"))
        return 0;
    TRY(http_req_read_all(http, FORM_MAX, &text, &n, e));
    return http_params_parse((struct str){text, n}, http->arena, &http->query, e);
}

static int answer(struct req *rq, const struct route *r, struct str asked, struct err *e)
{
    add_headers(rq->http);
    TRY(check_version(rq->api, asked, rq->version, e));
    http_req_header(rq->http, "Docker-Experimental", rq->api->experimental ? "true" : "false");
    if (rq->version < r->since)
        return err_set(e, ERR_INVALID, "%s %s requires minimum API version 1.%d", r->method,
                       r->pattern, r->since);
    if (r->handler == NULL)
        return err_set(e, ERR_UNIMPLEMENTED, "%s", r->missing);
    TRY(read_form(rq->http, e));
    return r->handler(rq, e);
}

static void log_call(const struct http_req *http, const struct err *e)
{
    if (e == NULL)
        log_debug("request", "method", http->method, "path", http->path, NULL);
    else if (err_http_status(e->kind) >= 500 && e->kind != ERR_CANCELLED)
        log_error("request failed", "method", http->method, "path", http->path, "error", e->msg,
                  NULL);
    else
        log_debug("request refused", "method", http->method, "path", http->path, "error", e->msg,
                  NULL);
}

void api_handle(struct http_req *http, void *arg)
{
    const struct api *api = arg;
    struct err e = {0};
    int minor;
    const char *path = route_version(http->path, &minor);
    struct req rq = {.http = http, .api = api, .engine = api->engine, .arena = http->arena};
    const struct route *r = route_find(http->method, path, http->arena, rq.vars);

    log_call(http, NULL);
    if (strcmp(http->method, "OPTIONS") == 0) {
        (void)http_req_status(http, 200); /* the client may be gone, here and below */
        return;
    }
    if (r == NULL) {
        err_set(&e, ERR_NOT_FOUND, "page not found");
        (void)http_req_error(http, &e);
        return;
    }
    struct str asked =
        minor < 0 ? STR("1.51") : (struct str){http->path + 2, (size_t)(path - http->path) - 2};
    rq.version = minor < 0 ? API_VERSION_MAX : minor;
    if (answer(&rq, r, asked, &e) < 0) {
        log_call(http, &e);
        (void)http_req_error(http, &e);
    }
}
