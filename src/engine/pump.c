/* Detach keys and frames. */
#include "engine/pump.h"

#include "base/str.h"
#include "stdio/attach.h"

/* One key: a character, or ctrl- with a letter or one of @ [ \ ] ^ _ */
static bool read_key(struct str s, unsigned char *out)
{
    if (s.n == 1) {
        *out = (unsigned char)s.p[0];
        return true;
    }
    if (!str_starts(s, "ctrl-") || s.n != 6)
        return false;
    if (s.p[5] >= 'a' && s.p[5] <= 'z')
        *out = (unsigned char)(s.p[5] - 'a' + 1);
    else if (s.p[5] == '@')
        *out = 0;
    else if (s.p[5] >= '[' && s.p[5] <= '_')
        *out = (unsigned char)(s.p[5] - '[' + 27);
    else
        return false;
    return true;
}

int detach_keys_parse(const char *text, struct detach_keys *out, struct err *e)
{
    struct str rest = str_of(text != NULL && text[0] != '\0' ? text : "ctrl-p,ctrl-q");

    *out = (struct detach_keys){.n = 0};
    while (rest.n > 0) {
        struct str key = str_cut(&rest, ',');

        if (out->n == KEYS_MAX || !read_key(key, &out->seq[out->n]))
            return err_set(e, ERR_INVALID, "Invalid detach keys (%s) provided", text);
        out->n++;
    }
    return 0;
}

size_t detach_keys_filter(struct detach_keys *k, const unsigned char *in, size_t n,
                          unsigned char *out, bool *detached)
{
    size_t len = 0;

    *detached = false;
    for (size_t i = 0; i < n; i++) {
        if (in[i] == k->seq[k->seen]) {
            if (++k->seen == k->n) {
                *detached = true;
                k->seen = 0;
                return len;
            }
            continue;
        }
        /* not the sequence after all: what was held back is input */
        memcpy(out + len, k->seq, k->seen);
        len += k->seen;
        k->seen = 0;
        if (in[i] == k->seq[0])
            k->seen = 1;
        else
            out[len++] = in[i];
    }
    return len;
}

int pump_write(struct stream *client, int stream, const void *p, size_t n, struct err *e)
{
    unsigned char head[ATTACH_HEAD];

    if (stream == 0)
        return stream_write(client, p, n, e);
    attach_head_write((enum attach_type)stream, n, head);
    TRY(stream_write(client, head, sizeof(head), e));
    return stream_write(client, p, n, e);
}
