/* output.h - objects on standard output, as -o asks: yaml, json, name, jsonpath. */
#pragma once

#include <stdio.h>

#include "cli/jsonpath_template.h"
#include "cli/resources.h"

enum output_kind { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_NAME, OUTPUT_YAML, OUTPUT_JSON, OUTPUT_JSONPATH };
#define OUTPUT_FORMATS "wide|name|yaml|json|jsonpath=TEMPLATE"

struct output {
    enum output_kind kind;
    const struct jsonpath_template *template;
    bool managed_fields; /* show them */
};

/* text: what -o was given; NULL: a table. ERR_BAD_REQUEST names the formats. */
int output_parse(struct arena *arena, const char *text, struct output *ret_output, struct err *err);
/* Makes the object complete and readable: apiVersion and kind are there, managedFields are not, unless wanted. NULL without
 * memory. */
struct json *output_tidy(struct arena *arena, const struct output *output, const struct resource *resource,
                         const struct json *object);
/* A tidy object, or a List of such. Not for tables and names. */
int output_print(const struct output *output, const struct json *json, FILE *out, struct err *err);
/* A line: "pod/web", "pod/web created", "pod/web created (server dry run)". */
void output_name(struct arena *arena, const struct resource *resource, struct str name, const char *what, const char *note,
                 FILE *out);
