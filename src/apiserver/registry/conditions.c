/* conditions.c - metav1.Condition: type and reason have a form, status three values, and each type comes once. */
#include "apiserver/registry/conditions.h"

#define REASON_MAX 1024
#define MESSAGE_MAX (32 << 10)

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
}

/* [A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])? */
static bool is_reason(struct str s)
{
    if (str_empty(s) || !is_letter(s.data[0]) || !is_word(s.data[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_word(s.data[i]) && s.data[i] != ',' && s.data[i] != ':')
            return false;
    return true;
}

static void check_condition(const struct place *at)
{
    static const char *const statuses[] = { "False", "True", "Unknown", NULL };
    struct place type = place_member(at, "type"), status = place_member(at, "status");
    struct place generation = place_member(at, "observedGeneration"), time = place_member(at, "lastTransitionTime");
    struct place reason = place_member(at, "reason"), message = place_member(at, "message");

    check_qualified(&type);
    check_one_of(&status, statuses);
    check_range(&generation, 0, INT64_MAX, "must be greater than or equal to zero");
    if (!json_is(time.json, JSON_STRING))
        say_required(&time, "must be set");
    if (place_empty(&reason))
        say_required(&reason, "must be set");
    else if (!is_reason(place_str(&reason)))
        say_invalid(&reason,
                    "a condition reason must start with alphabetic character, optionally followed by a string "
                    "of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' "
                    "(e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or "
                    "'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')");
    if (place_str(&reason).len > REASON_MAX)
        say_too_long(&reason, REASON_MAX);
    if (place_str(&message).len > MESSAGE_MAX)
        say_too_long(&message, MESSAGE_MAX);
}

void check_conditions(const struct place *list)
{
    place_each (condition, list) {
        struct place type = place_member(&condition, "type");

        for (uint32_t i = place_lookback(&condition); i < condition.index; i++)
            if (str_eq(place_str(&type), json_str(json_member(&list->json->items[i], "type")))) {
                say_duplicate(&type);
                break;
            }
        check_condition(&condition);
    }
}
