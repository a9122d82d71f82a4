/* gRPC status codes and error kinds: see grpc_status.h. The table is the module. */
#include "rpc/grpc_status.h"

static const struct {
    enum grpc_code code;
    enum err_kind kind;
} table[] = {
    /* one row for each code, in order */
    {GRPC_OK, ERR_NONE},
    {GRPC_CANCELLED, ERR_CANCELLED},
    {GRPC_UNKNOWN, ERR_UNKNOWN},
    {GRPC_INVALID_ARGUMENT, ERR_INVALID},
    {GRPC_DEADLINE_EXCEEDED, ERR_TIMEOUT},
    {GRPC_NOT_FOUND, ERR_NOT_FOUND},
    {GRPC_ALREADY_EXISTS, ERR_EXISTS},
    {GRPC_PERMISSION_DENIED, ERR_FORBIDDEN},
    {GRPC_RESOURCE_EXHAUSTED, ERR_EXHAUSTED},
    {GRPC_FAILED_PRECONDITION, ERR_PRECONDITION},
    {GRPC_ABORTED, ERR_ABORTED},
    {GRPC_OUT_OF_RANGE, ERR_OUT_OF_RANGE},
    {GRPC_UNIMPLEMENTED, ERR_UNIMPLEMENTED},
    {GRPC_INTERNAL, ERR_INTERNAL},
    {GRPC_UNAVAILABLE, ERR_UNAVAILABLE},
    {GRPC_DATA_LOSS, ERR_DATA_LOSS},
    {GRPC_UNAUTHENTICATED, ERR_UNAUTHORIZED},
    /* kinds of our own; containerd sends its conflicts and "not modified" as failed preconditions
     */
    {GRPC_FAILED_PRECONDITION, ERR_CONFLICT},
    {GRPC_FAILED_PRECONDITION, ERR_NOT_MODIFIED},
    {GRPC_RESOURCE_EXHAUSTED, ERR_TOO_LARGE},
};

enum grpc_code grpc_code_of(enum err_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].kind == kind)
            return table[i].code;
    return GRPC_UNKNOWN;
}

enum err_kind grpc_kind_of(int64_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if ((int64_t)table[i].code == code)
            return table[i].kind;
    return ERR_UNKNOWN;
}

int grpc_err(struct err *e, int64_t code, const char *message)
{
    return err_set(e, grpc_kind_of(code), "%s", message);
}
