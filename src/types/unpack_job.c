/* The tables of hull-unpack's documents: see unpack_job.h. */
#include "types/unpack_job.h"

JSON_DESC(archive_member, ARCHIVE_MEMBER)
JSON_DESC(unpack_job, UNPACK_JOB)
JSON_DESC(unpack_notice, UNPACK_NOTICE)
JSON_DESC(unpack_result, UNPACK_RESULT)
JSON_DESC(path_stat, PATH_STAT)
