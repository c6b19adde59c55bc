/* selector_impl.h - what a selector is inside. Only for schema/selector*.c. */
#pragma once

#include "schema/selector.h"

enum requirement_op {
    REQUIRE_EXISTS,
    REQUIRE_NOT_EXISTS,
    REQUIRE_EQUALS,
    REQUIRE_DOUBLE_EQUALS, /* the same, but written "==" */
    REQUIRE_NOT_EQUALS,
    REQUIRE_IN,
    REQUIRE_NOT_IN,
    REQUIRE_GREATER,
    REQUIRE_LESS,
};

struct requirement {
    enum requirement_op op;
    struct str key;
    struct str *values; /* sorted, each once */
    size_t count;
    int64_t number; /* the value of REQUIRE_GREATER and REQUIRE_LESS */
};

struct selector {
    bool nothing; /* matches nothing at all */
    bool fields;  /* values are escaped in the text */
    struct requirement *items;
    size_t count, cap;
};

struct selector *selector_new(struct arena *arena);
/* Copies key and values, checks them, sorts the values. ERR_BAD_REQUEST with what is wrong. */
int selector_add(struct arena *arena, struct selector *selector, struct str key, enum requirement_op op,
                 struct str_array values, struct err *err);
/* By key, as Kubernetes keeps them; requirements of one key stay in order. */
void selector_sort(struct selector *selector);
/* "In", "NotIn", "Exists", "DoesNotExist" of metav1.LabelSelectorRequirement. */
bool selector_op_from_name(struct str name, enum requirement_op *ret_op);
extern const struct selector selector_nothing;
