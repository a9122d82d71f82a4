/* Sets as "0-3,7": see bitlist.h. */
#include "runtime/bitlist.h"

#include "base/str.h"

static int parse_number(struct str s, uint64_t *out, struct err *e)
{
    if (str_to_u64(s, 0, UINT32_MAX, out))
        return 0;
    bool digits = s.n > 0;
    for (size_t i = 0; i < s.n; i++)
        digits &= s.p[i] >= '0' && s.p[i] <= '9';
    return err_set(e, ERR_INVALID, "strconv.ParseUint: parsing \"%.*s\": %s", STR_ARG(s),
                   digits ? "value out of range" : "invalid syntax");
}

static int add_range(struct str range, unsigned long *mask, size_t n_bits, struct err *e)
{
    const size_t word = 8 * sizeof(*mask);
    struct str rest = range, low = str_cut(&rest, '-');
    uint64_t from, to;
    TRY(parse_number(low, &from, e));
    to = from;
    if (low.n < range.n)
        TRY(parse_number(rest, &to, e));
    if (to < from)
        return err_set(e, ERR_INVALID, "invalid range: %.*s", STR_ARG(range));
    if (to >= n_bits)
        return err_set(e, ERR_INVALID, "values larger than %zu are not supported", n_bits - 1);
    for (uint64_t i = from; i <= to; i++)
        mask[i / word] |= 1UL << i % word;
    return 0;
}

int bitlist_parse(const char *text, unsigned long *mask, size_t n_bits, struct err *e)
{
    for (struct str rest = str_of(text); rest.n > 0;) {
        struct str range = str_trim(str_cut(&rest, ','));
        if (range.n > 0)
            TRY(add_range(range, mask, n_bits, e));
    }
    return 0;
}
