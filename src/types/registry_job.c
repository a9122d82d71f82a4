#include "types/registry_job.h"

#include <string.h>

#include "base/arena.h"

JSON_DESC(registry_settings, REGISTRY_SETTINGS)
JSON_DESC(registry_job, REGISTRY_JOB)
JSON_DESC(search_result, SEARCH_RESULT)
JSON_DESC(registry_answer, REGISTRY_ANSWER)

const char *registry_proxy_shown(const char *url, struct arena *a)
{
    const char *host = url != NULL ? strstr(url, "://") : NULL;
    size_t n = host != NULL ? strcspn(host + 3, "/") : 0;
    const char *at = n > 0 ? memrchr(host + 3, '@', n) : NULL;
    return at == NULL ? url : arena_printf(a, "%.*s://xxxxx:xxxxx%s", (int)(host - url), url, at);
}
