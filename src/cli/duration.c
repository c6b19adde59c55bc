#include "cli/duration.h"

#define DURATION_MAX ((double)INT64_MAX / 2)

static const struct {
    struct str name;
    double nsec;
} units[] = {
    { STR_INIT("ms"), 1e6 }, { STR_INIT("us"), 1e3 }, { STR_INIT("ns"), 1 },
    { STR_INIT("s"), 1e9 },  { STR_INIT("m"), 60e9 }, { STR_INIT("h"), 3600e9 },
};

static bool take_unit(struct str *text, double *ret_nsec)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!str_has_prefix(*text, units[i].name))
            continue;
        *text = str_skip(*text, units[i].name.len);
        *ret_nsec = units[i].nsec;
        return true;
    }
    return false;
}

bool duration_parse(struct str text, nsec_t *ret_duration)
{
    double total = 0, number, unit;

    if (str_is(text, "0")) {
        *ret_duration = 0;
        return true;
    }
    if (!text.len)
        return false;
    while (text.len) {
        size_t digits = 0;

        while (digits < text.len && (text.data[digits] == '.' || (text.data[digits] >= '0' && text.data[digits] <= '9')))
            digits++;
        if (!digits || !str_to_double(str_first(text, digits), &number))
            return false;
        text = str_skip(text, digits);
        if (!take_unit(&text, &unit))
            return false;
        total += number * unit;
    }
    if (!(total <= DURATION_MAX))
        return false;
    *ret_duration = (nsec_t)total;
    return true;
}
