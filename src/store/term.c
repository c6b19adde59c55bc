#include "store/term.h"

bool terms_next(struct str *rest, struct str *ret_term)
{
    uint16_t len;

    if (rest->len <= sizeof len)
        return false;
    memcpy(&len, rest->data, sizeof len);
    if (len == 0 || len > STORE_TERM_MAX || len > rest->len - sizeof len)
        return false;
    *ret_term = str_of(rest->data + sizeof len, len);
    *rest = str_skip(*rest, sizeof len + len);
    return true;
}

bool terms_contain(struct str terms, struct str term)
{
    struct str one;

    while (terms_next(&terms, &one))
        if (str_eq(one, term))
            return true;
    return false;
}

size_t terms_encode(const struct str *terms, size_t count, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        uint16_t term_len = (uint16_t)terms[i].len;

        if (terms_contain(str_of(out, len), terms[i]))
            continue;
        memcpy(out + len, &term_len, sizeof term_len);
        memcpy(out + len + sizeof term_len, terms[i].data, terms[i].len);
        len += sizeof term_len + terms[i].len;
    }
    return len;
}

int terms_check(const struct str *terms, size_t count, struct err *err)
{
    if (count > STORE_TERMS_MAX)
        return err_set(err, ERR_INVALID, "a value has at most %d index terms, not %zu", STORE_TERMS_MAX, count);
    for (size_t i = 0; i < count; i++)
        if (terms[i].len == 0 || terms[i].len > STORE_TERM_MAX || str_chr(terms[i], '\0') >= 0)
            return err_set(err, ERR_INVALID, "an index term has 1 to %d bytes and no NUL", STORE_TERM_MAX);
    return 0;
}
