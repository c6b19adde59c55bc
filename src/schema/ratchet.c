/* ratchet.c - fields of causes are followed in the new and in the old object, side by side, to the first pair that is
 * equal: below it nothing changed. */
#include "schema/ratchet.h"

/* The next step of "a.b[0].c": a name, or what stands in brackets. False: there is none, or it cannot be read. */
static bool next_step(struct str *rest, struct str *ret_name, bool *ret_bracket)
{
    size_t end = 0;

    if (rest->len && rest->data[0] == '.')
        *rest = str_skip(*rest, 1);
    if (str_empty(*rest))
        return false;
    *ret_bracket = rest->data[0] == '[';
    if (*ret_bracket) {
        ssize_t close = str_chr(*rest, ']');

        if (close < 0)
            return false;
        *ret_name = str_skip(str_first(*rest, (size_t)close), 1);
        *rest = str_skip(*rest, (size_t)close + 1);
        return true;
    }
    while (end < rest->len && rest->data[end] != '.' && rest->data[end] != '[')
        end++;
    *ret_name = str_first(*rest, end);
    *rest = str_skip(*rest, end);
    return true;
}

/* The last step is not taken when the value is lacking: its owner is what is wrong. */
static bool is_unchanged(const struct cause *cause, const struct json *object, const struct json *old)
{
    struct str rest = cause->field, name;
    bool bracket;

    while (next_step(&rest, &name, &bracket)) {
        if (object && old && json_equal(object, old))
            return true;
        if (!json_is(object, JSON_OBJECT) || !json_is(old, JSON_OBJECT))
            return false;
        if (cause->type == CAUSE_REQUIRED && str_empty(rest))
            return false;
        object = json_get(object, name);
        old = json_get(old, name);
    }
    return object && old && str_empty(rest) && json_equal(object, old);
}

void causes_ratchet(struct causes *causes, size_t from, const struct json *object, const struct json *old)
{
    size_t kept = from;

    for (size_t i = from; i < causes->count; i++)
        if (!is_unchanged(&causes->items[i], object, old))
            causes->items[kept++] = causes->items[i];
    causes->count = MAX(kept, from);
}
