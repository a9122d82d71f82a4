/* Base64: see base64.h. The two alphabets differ in their last two digits only. */
#include "base/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(const unsigned char *p, size_t n, const char *digits, struct buf *out)
{
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        if (i + 1 < n)
            v |= (uint32_t)p[i + 1] << 8;
        if (i + 2 < n)
            v |= p[i + 2];
        buf_addc(out, digits[v >> 18]);
        buf_addc(out, digits[(v >> 12) & 63]);
        buf_addc(out, i + 1 < n ? digits[(v >> 6) & 63] : '=');
        buf_addc(out, i + 2 < n ? digits[v & 63] : '=');
    }
}

void base64_encode(const void *p, size_t n, struct buf *out)
{
    encode(p, n, standard, out);
}

void base64_encode_url(const void *p, size_t n, struct buf *out)
{
    encode(p, n, for_urls, out);
}

bool base64_decode(const char *text, struct buf *out)
{
    uint32_t v = 0;
    unsigned bits = 0;
    for (; *text != '\0' && *text != '='; text++) {
        const char *at = strchr(standard, *text == '-' ? '+' : *text == '_' ? '/' : *text);
        if (at == NULL)
            return false;
        v = (v << 6) | (uint32_t)(at - standard);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_addc(out, (char)(v >> bits));
        }
    }
    return !out->over;
}
