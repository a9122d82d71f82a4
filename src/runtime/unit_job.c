/* The document between the runtime and hull-systemd: see unit_job.h. */
#include "runtime/unit_job.h"

JSON_DESC(unit_property, UNIT_PROPERTY)
JSON_DESC(unit_job, UNIT_JOB)
