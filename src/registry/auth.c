/* Challenges and tokens: see auth.h. */
#include "registry/auth.h"

#include <curl/curl.h>

#include "base/mem.h"
#include "base/str.h"

#define TOKEN_REPLY(T, F)                      \
    F(T, str, token, "token", 0)               \
    F(T, str, access_token, "access_token", 0) \
    F(T, str, refresh_token, "refresh_token", 0)
JSON_TYPE(token_reply, TOKEN_REPLY)
JSON_DESC(token_reply, TOKEN_REPLY)

/* One parameter name="value" off the front; false at the end. */
static bool next_param(struct str *s, struct str *name, struct buf *value)
{
    while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == ',' || s->p[0] == '\t'))
        s->p++, s->n--;
    if (str_index(*s, '=') < 0)
        return false;
    *name = str_trim(str_cut(s, '='));
    buf_reset(value);
    if (s->n > 0 && s->p[0] == '"') {
        size_t i = 1;
        for (; i < s->n && s->p[i] != '"'; i++) {
            if (s->p[i] == '\\' && i + 1 < s->n)
                i++;
            buf_addc(value, s->p[i]);
        }
        i = MIN(i + 1, s->n);
        s->p += i;
        s->n -= i;
    } else {
        struct str bare = str_trim(str_cut(s, ','));
        buf_add(value, bare.p, bare.n);
    }
    return true;
}

static void read_params(struct str line, struct arena *a, struct challenge *out)
{
    struct {
        const char *name;
        const char **to;
    } fields[] = {{"realm", &out->realm},
                  {"service", &out->service},
                  {"scope", &out->scope},
                  {"error", &out->error}};
    struct buf value = BUF_MAX(4096);
    struct str name;
    while (next_param(&line, &name, &value))
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
            if (str_ieq(name, fields[i].name))
                *fields[i].to = arena_strdup(a, buf_cstr(&value));
    buf_done(&value);
}

bool challenge_parse(const char *lines, struct arena *a, struct challenge *out)
{
    struct str rest = str_of(lines);
    bool found = false;
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n'), scheme = str_cut(&line, ' ');
        bool bearer = str_ieq(scheme, "bearer");
        if (!bearer && (!str_ieq(scheme, "basic") || found))
            continue;
        *out = (struct challenge){.scheme = bearer ? "bearer" : "basic",
                                  .realm = "",
                                  .service = "",
                                  .scope = "",
                                  .error = ""};
        read_params(line, a, out);
        found = true;
        if (bearer)
            return true;
    }
    return found;
}

static void add_escaped(struct buf *b, const char *key, const char *value)
{
    char *text = curl_easy_escape(NULL, value, 0);
    buf_printf(b, "%s%s=%s", b->n > 0 && b->p[b->n - 1] != '?' ? "&" : "", key,
               text != NULL ? text : "");
    curl_free(text);
}

void token_done(struct token *t)
{
    free(t->bearer);
    free(t->refresh);
}

static bool given(const char *s)
{
    return s != NULL && s[0] != 0;
}

static int read_token(const struct http_reply *r, const char *realm, struct token *out,
                      struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct token_reply t;
    if (r->status == 401 || r->status == 403)
        return err_set(e, ERR_UNAUTHORIZED, "unauthorized: incorrect username or password");
    if (r->status != 200)
        return err_set(e, r->status >= 500 || r->status == 429 ? ERR_UNAVAILABLE : ERR_UNAUTHORIZED,
                       "failed to fetch a token from %s: status %d", realm, r->status);
    TRY(json_parse(&token_reply_json, &t, buf_cstr(&r->body), r->body.n, a, e));
    const char *token = given(t.token) ? t.token : t.access_token;
    if (!given(token))
        return err_set(e, ERR_UNAUTHORIZED, "%s answered without a token", realm);
    out->bearer = mem_strdup(token);
    out->refresh = given(t.refresh_token) ? mem_strdup(t.refresh_token) : NULL;
    return 0;
}

/* Those of the challenge, then those that are known to be needed; each once. */
static void all_scopes(const struct challenge *c, const struct strv *known, struct strv *out)
{
    for (struct str rest = str_of(c->scope); rest.n > 0;) {
        auto_free char *scope = str_dup(str_cut(&rest, ' '));
        if (scope[0] != 0 && !strv_has(out, scope))
            vec_push(out, TAKE_PTR(scope));
    }
    if (known == NULL)
        return;
    vec_each(s, known) {
        if (!strv_has(out, *s))
            vec_push(out, mem_strdup(*s));
    }
}

/* joined: as one parameter, with spaces between. */
static void add_scopes(const struct challenge *c, const struct token_wish *w, bool joined,
                       struct buf *out)
{
    auto_buf struct buf all = BUF_MAX(8192);
    auto_strv struct strv scopes = {0};
    all_scopes(c, w->scopes, &scopes);
    vec_each(s, &scopes) {
        if (joined)
            buf_printf(&all, "%s%s", all.n > 0 ? " " : "", *s);
        else
            add_escaped(out, "scope", *s);
    }
    if (all.n > 0)
        add_escaped(out, "scope", buf_cstr(&all));
}

/* The refresh token in a form, as OAuth has it. */
static void ask_by_form(const struct challenge *c, const struct token_wish *w,
                        struct http_request *rq, struct buf *form)
{
    add_escaped(form, "grant_type", "refresh_token");
    add_escaped(form, "service", c->service);
    add_escaped(form, "client_id", "hull");
    add_scopes(c, w, true, form);
    add_escaped(form, "refresh_token", w->creds->identity_token);
    rq->method = "POST";
    rq->form = buf_cstr(form);
}

static void ask_by_query(const struct challenge *c, const struct token_wish *w,
                         struct http_request *rq, struct buf *url)
{
    bool has_user = given(w->creds->username);
    buf_addc(url, strchr(c->realm, '?') != NULL ? '&' : '?');
    if (has_user)
        add_escaped(url, "account", w->creds->username);
    if (w->offline) {
        add_escaped(url, "client_id", "hull");
        add_escaped(url, "offline_token", "true");
    }
    if (c->service[0] != 0)
        add_escaped(url, "service", c->service);
    add_scopes(c, w, false, url);
    rq->method = "GET";
    rq->user = has_user ? w->creds->username : NULL;
    rq->password = w->creds->password;
}

int auth_token(struct http_pool *pool, const struct http_request *how, const struct challenge *c,
               const struct token_wish *w, struct token *out, struct err *e)
{
    auto_reply struct http_reply reply = {.length = -1};
    auto_buf struct buf url = BUF_MAX(16384);
    auto_buf struct buf form = BUF_MAX(16384);
    bool refresh = given(w->creds->identity_token);
    bool secret = refresh || given(w->creds->username);
    struct http_request rq = {.ca = how->ca,
                              .cert_file = how->cert_file,
                              .key_file = how->key_file,
                              .insecure = how->insecure,
                              .stall_ms = how->stall_ms,
                              .connect_ms = how->connect_ms,
                              .proxies = how->proxies,
                              .cancel_fd = how->cancel_fd};
    if (strncmp(c->realm, "https://", 8) != 0 &&
        (strncmp(c->realm, "http://", 7) != 0 || (secret && !how->insecure)))
        return err_set(e, ERR_UNAUTHORIZED, "refusing the token realm \"%.200s\"", c->realm);
    buf_adds(&url, c->realm);
    if (refresh)
        ask_by_form(c, w, &rq, &form);
    else
        ask_by_query(c, w, &rq, &url);
    if (url.over || form.over)
        return err_set(e, ERR_INVALID, "the registry's challenge is too long");
    rq.url = buf_cstr(&url);
    TRY(http_do(pool, &rq, &reply, NULL, e));
    return read_token(&reply, c->realm, out, e);
}
