/* schema_test.h - what the tests of schema/ share: JSON written with single quotes, and comparing trees by text. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/json.h"

/* 'a' stands for "a" throughout; a tree of its own, in arena. */
static inline struct str from_quoted(struct arena *arena, const char *quoted)
{
    char *text = arena_cstr(arena, str_from(quoted));

    assert_non_null(text);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    return str_from(text);
}

static inline struct json *parse(struct arena *arena, const char *quoted)
{
    struct json *json = NULL;
    struct err err = { 0 };

    if (json_parse(arena, from_quoted(arena, quoted), NULL, &json, &err) < 0)
        fail_msg("%s: %s", quoted, err.message);
    return json;
}

static inline const char *text_of(struct arena *arena, const struct json *json)
{
    return arena_cstr(arena, json_text(arena, json));
}

static inline void assert_text(struct arena *arena, const char *name, const struct json *json, const char *want)
{
    const char *got = text_of(arena, json);
    struct str wanted = from_quoted(arena, want);

    if (!str_is(wanted, got))
        fail_msg("%s:\n got  %s\n want " STR_FMT, name, got, STR_ARG(wanted));
}
