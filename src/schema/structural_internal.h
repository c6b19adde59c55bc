/* structural_internal.h - the compiled form of a schema: structural.c makes it, structural_value.c reads it. */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "schema/structural.h"

enum schema_kind {
    SCHEMA_ANY,
    SCHEMA_BOOLEAN,
    SCHEMA_INTEGER,
    SCHEMA_NUMBER,
    SCHEMA_STRING,
    SCHEMA_ARRAY,
    SCHEMA_OBJECT,
};

struct schema_property {
    struct str name;
    const struct schema *schema;
};

struct schema_list {
    const struct schema **items;
    uint32_t count;
};

struct schema {
    enum schema_kind kind;
    bool nullable, int_or_string, embedded;
    bool has_minimum, has_maximum, exclusive_minimum, exclusive_maximum;
    bool unique;                                                                          /* list-type set or map */
    double minimum, maximum, multiple_of;                                                 /* multiple_of 0: any */
    int64_t min_length, max_length, min_items, max_items, min_properties, max_properties; /* -1: no limit */
    struct str format, pattern_text;
    const pcre2_code *pattern;
    const struct json *enums;                    /* an array, or NULL */
    const struct json *required, *list_map_keys; /* arrays of strings, or NULL */
    const struct schema_property *properties;    /* sorted by name */
    uint32_t property_count;
    const struct schema *items, *additional, *not_;
    struct schema_list all_of, any_of, one_of;
};

enum schema_kind schema_kind_of(struct str type);
/* pattern in the arena; NULL: it does not compile (*ret_problem says why, when wanted) or no memory. */
const pcre2_code *schema_pattern(struct arena *arena, struct str text, char *ret_problem, size_t problem_size);
