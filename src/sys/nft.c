/*
 * libnftables behind one lock: the library is not thread-safe, and what it says about an error goes
 * into our err instead of stderr.
 */
#include "sys/nft.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/str.h"

struct nft {
    pthread_mutex_t lock; /* guards ctx: one transaction at a time */
    struct nft_ctx *ctx;
};

int nft_open(struct nft **out, struct err *e)
{
    struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    struct nft *n;

    if (ctx == NULL)
        return err_set(e, ERR_INTERNAL, "nftables: no context");
    (void)nft_ctx_buffer_output(ctx);
    (void)nft_ctx_buffer_error(ctx);
    nft_ctx_output_set_flags(ctx, NFT_CTX_OUTPUT_HANDLE | NFT_CTX_OUTPUT_NUMERIC_ALL);
    n = mem_alloc(sizeof(*n));
    n->ctx = ctx;
    pthread_mutex_init(&n->lock, NULL);
    *out = n;
    return 0;
}

void nft_close(struct nft *n)
{
    if (n == NULL)
        return;
    nft_ctx_free(n->ctx);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

/* Its messages span lines, with the text and a marker below: the first line says it. */
static int fail(const char *message, struct err *e)
{
    struct str all = str_of(message), line = str_cut(&all, '\n');

    (void)err_set(e, ERR_INTERNAL, "nftables: %.*s", STR_ARG(line));
    if (strstr(e->msg, "No such file or directory") != NULL)
        e->kind = ERR_NOT_FOUND;
    else if (strstr(e->msg, "File exists") != NULL)
        e->kind = ERR_EXISTS;
    return -1;
}

int nft_query(struct nft *n, const char *text, struct buf *out, struct err *e)
{
    int r;

    pthread_mutex_lock(&n->lock);
    r = nft_run_cmd_from_buffer(n->ctx, text);
    if (r != 0)
        (void)fail(nft_ctx_get_error_buffer(n->ctx), e);
    else if (out != NULL)
        (void)buf_adds(out, nft_ctx_get_output_buffer(n->ctx)); /* the caller looks at out->over */
    pthread_mutex_unlock(&n->lock);
    return r != 0 ? -1 : 0;
}

int nft_run(struct nft *n, const char *text, struct err *e)
{
    return nft_query(n, text, NULL, e);
}
