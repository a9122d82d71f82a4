/**
 * gRPC's status codes and our error kinds, in one table. ttrpc uses the same codes. Every code has
 * a kind of its own, so code -> kind -> code gives back the code; kinds that only we have share the
 * nearest code.
 */
#ifndef HULL_RPC_GRPC_STATUS_H
#define HULL_RPC_GRPC_STATUS_H

#include "base/err.h"

enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

/** The code that says what kind says. GRPC_OK for ERR_NONE. */
enum grpc_code grpc_code_of(enum err_kind kind);

/** The kind for a code; UNKNOWN for numbers that gRPC does not define. ERR_NONE for 0. */
enum err_kind grpc_kind_of(int64_t code);

/** Fill e from a status of the other side: its kind, and its text as it is. Returns -1. */
int grpc_err(struct err *e, int64_t code, const char *message);

#endif
