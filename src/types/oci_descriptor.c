/* Field tables of OCI descriptors: see oci_descriptor.h. */
#include "types/oci_descriptor.h"

JSON_DESC(oci_platform, OCI_PLATFORM)
JSON_DESC(oci_descriptor, OCI_DESCRIPTOR)
