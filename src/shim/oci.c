/* Which kind of runtime stands behind a name: see oci.h. */
#include "shim/oci.h"

#include "base/str.h"

const struct oci_ops *oci_ops_for(const char *binary)
{
    struct str name = str_of(binary);
    return str_eq(str_cut_last(&name, '/'), "hull-runc") ? &oci_native : &oci_runc;
}
