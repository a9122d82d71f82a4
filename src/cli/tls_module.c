/* What hull loads when the daemon is behind TLS: tls_client_new, kept by naming it here. */
#include "rpc/tls.h"

extern const void *const hull_tls_entry;
const void *const hull_tls_entry = (const void *)tls_client_new;
