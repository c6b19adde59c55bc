/* get.h - what the two halves of `caravel get` share: fetching and printing (get.c), and watching (get_watch.c). */
#pragma once

#include "cli/manifest.h"
#include "cli/output.h"
#include "cli/table.h"

enum {
    GET_FIELD_SELECTOR = 256,
    GET_WATCH_ONLY,
    GET_SHOW_LABELS,
    GET_SORT_BY,
    GET_NO_HEADERS,
    GET_IGNORE_NOT_FOUND,
    GET_MANAGED_FIELDS,
};

struct get {
    struct session_options session_options;
    struct file_options files;
    char **words;
    size_t word_count;
    const char *output_text, *sort_text;
    struct output output;
    bool all_namespaces, watch, watch_only, show_labels, no_headers, ignore_not_found;
    struct str label_selector, field_selector;
    struct str label_columns[32];
    size_t label_column_count;
    const struct jsonpath *sort_by;

    struct session session;
    struct resources resources;
    struct manifests manifests;
    struct targets targets;
    VEC(const struct json *) objects; /* of all groups, for output as a whole */
    size_t printed;
};

/* Targets of one resource. */
struct group {
    const struct resource *resource;
    struct table table;
    VEC(const struct json *) objects;
    struct str revision; /* that the last answer shows */
    uint64_t shown;      /* what is not newer has been shown: of a watch that has begun anew; 0: nothing */
};

int get_group_init(struct get *get, const struct resource *resource, struct group *group, struct err *err);
void get_group_deinit(struct group *group);
struct str get_namespace(const struct get *get, const struct target *target);
/* more: parameters, already escaped. A field selector makes a list of what would be one object. */
int get_path(const struct get *get, const struct target *target, struct str field_selector, struct str more,
             struct arena *arena, struct str *ret_path, struct err *err);
/* Shows changes after the group's revision (unset: from now) until the command is interrupted. */
int get_watch(struct get *get, const struct target *target, struct group *group, struct err *err);
