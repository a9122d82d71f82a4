/**
 * Packet filter rules through libnftables: texts in nft's language, each one atomic transaction.
 *
 * Thread-safe: transactions queue on a lock of their own. Names in a text come from ids, never from
 * what a user typed. Open it before descriptors reach number 1024 (the library waits with select);
 * it keeps the network namespace of its thread.
 */
#ifndef HULL_SYS_NFT_H
#define HULL_SYS_NFT_H

#include "base/buf.h"
#include "base/err.h"

struct nft;

/** Open and close (NULL is fine). */
int nft_open(struct nft **out, struct err *e);
void nft_close(struct nft *n);

/** Run one transaction: all of text or nothing. Errors: INTERNAL with nft's message, NOT_FOUND when
 * that is ENOENT, EXISTS. */
int nft_run(struct nft *n, const char *text, struct err *e);

/** As nft_run, and append what is printed (list commands) to out. */
int nft_query(struct nft *n, const char *text, struct buf *out, struct err *e);

#endif
