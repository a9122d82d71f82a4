#include "types/registry_job.h"

JSON_DESC(registry_job, REGISTRY_JOB)
JSON_DESC(search_result, SEARCH_RESULT)
JSON_DESC(registry_answer, REGISTRY_ANSWER)
