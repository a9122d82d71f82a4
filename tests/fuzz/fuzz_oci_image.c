/* Documents of images: any bytes parse or are refused; what parses is written, and read back the
 * same. */
#include <assert.h>

#include "types/oci_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_type(const struct json_desc *type, void *doc, const uint8_t *data, size_t size)
{
    auto_arena struct arena *a = arena_new();
    struct buf once = BUF_MAX(64 << 20), twice = BUF_MAX(64 << 20);
    struct err e = {0};
    if (json_parse(type, doc, (const char *)data, size, a, &e) == 0) {
        json_write(type, doc, &once);
        assert(json_parse(type, doc, buf_cstr(&once), once.n, a, &e) == 0);
        json_write(type, doc, &twice);
        assert(once.n == twice.n && memcmp(once.p, twice.p, once.n) == 0);
    }
    buf_done(&once);
    buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oci_index index;
    struct oci_manifest manifest;
    struct oci_image_config config;
    auto_arena struct arena *a = arena_new();
    const struct oci_platform want = {.os = "linux", .architecture = "arm64", .variant = "v8"};
    struct err e = {0};
    if (json_parse(&oci_index_json, &index, (const char *)data, size, a, &e) == 0)
        (void)oci_index_pick(&index, &want);
    try_type(&oci_index_json, &index, data, size);
    try_type(&oci_manifest_json, &manifest, data, size);
    try_type(&oci_image_config_json, &config, data, size);
    return 0;
}
