#include "kubelet/image/challenge.h"

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~/", c));
}

static void skip_blanks(struct str *s, bool commas)
{
    while (s->len && (s->data[0] == ' ' || s->data[0] == '\t' || (commas && s->data[0] == ',')))
        *s = str_skip(*s, 1);
}

static struct str cut_token(struct str *s)
{
    size_t len = 0;

    while (len < s->len && is_token_char(s->data[len]))
        len++;
    struct str token = str_first(*s, len);
    *s = str_skip(*s, len);
    return token;
}

/* A quoted string without its quotes and backslashes. */
static bool cut_quoted(struct arena *arena, struct str *s, struct str *ret)
{
    char *out = arena_alloc(arena, s->len);
    size_t len = 0, i = 1;

    for (; out && i < s->len && s->data[i] != '"'; i++) {
        if (s->data[i] == '\\' && ++i == s->len)
            return false;
        out[len++] = s->data[i];
    }
    if (!out || i >= s->len)
        return false;
    *s = str_skip(*s, i + 1);
    *ret = str_of(out, len);
    return true;
}

static bool cut_value(struct arena *arena, struct str *s, struct str *ret)
{
    skip_blanks(s, false);
    if (s->len && s->data[0] == '"')
        return cut_quoted(arena, s, ret);
    *ret = arena_str(arena, cut_token(s));
    return ret->len > 0;
}

bool challenge_parse(struct arena *arena, struct str header, struct challenge *challenge)
{
    const struct {
        const char *name;
        struct str *ret;
    } wanted[] = { { "realm", &challenge->realm }, { "service", &challenge->service }, { "scope", &challenge->scope } };
    struct str rest = header, value;
    bool in_bearer = false;

    for (;;) {
        skip_blanks(&rest, true);
        if (rest.len == 0)
            return true;
        struct str token = cut_token(&rest);
        if (token.len == 0)
            return false;
        skip_blanks(&rest, false);
        if (rest.len == 0 || rest.data[0] != '=') { /* not a parameter, so the name of a scheme */
            in_bearer = str_eq_nocase(token, STR("Bearer"));
            challenge->bearer |= in_bearer;
            challenge->basic |= str_eq_nocase(token, STR("Basic"));
            continue;
        }
        rest = str_skip(rest, 1);
        if (!cut_value(arena, &rest, &value))
            return false;
        for (size_t i = 0; in_bearer && i < ARRAY_LEN(wanted); i++)
            if (str_eq_nocase(token, str_from(wanted[i].name)))
                *wanted[i].ret = value;
    }
}
