/* unit.h - what the tests of codec/ share. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/json.h"

/* Cases are written with ' for ". */
static inline struct str quotes(struct arena *arena, const char *text)
{
    char *copy = arena_cstr(arena, str_from(text));

    assert_non_null(copy);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    return str_of(copy, strlen(copy));
}

/* The tree of a text that must be valid. */
static inline struct json *parse(struct arena *arena, struct str text)
{
    struct json *json = NULL;
    struct err err = { 0 };

    if (json_parse(arena, text, NULL, &json, &err) < 0)
        fail_msg("%s in %.*s", err.message, (int)text.len, text.data);
    return json;
}

static inline void assert_str(struct str got, const char *want)
{
    if (!str_is(got, want))
        fail_msg("got  \"%.*s\"\nwant \"%s\"", (int)got.len, got.data ? got.data : "", want);
}

/* The tree as compact text must be want (with ' for "). */
static inline void assert_json(struct arena *arena, const struct json *json, const char *want)
{
    assert_str(json_text(arena, json), quotes(arena, want).data);
}
