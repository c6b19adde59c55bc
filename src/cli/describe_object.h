/* describe_object.h - what `caravel describe` writes about one object. */
#pragma once

#include "cli/doc.h"
#include "cli/resources.h"

/* object is changed: what was described is taken out of it. now: Unix time. */
void describe_object(struct doc *doc, const struct resource *resource, struct json *object, nsec_t now);

/* -- for its parts -- */

struct description {
    struct doc *doc;
    struct json *object; /* what is still to be described */
    nsec_t now;
};
/* A row of a kind's table. */
typedef void describe_fn(struct description *d, int level, const char *title, const struct json *value);

/* "5m ago" with the time itself; short texts for scalars; "<none>" for nothing. */
struct str describe_time(struct description *d, const struct json *value);
struct str describe_scalar(struct arena *arena, const struct json *value);
describe_fn describe_any; /* whatever it is, by its form: generic */
describe_fn describe_containers, describe_template, describe_volumes, describe_tolerations, describe_conditions;
/* "podIP" is "Pod IP". */
struct str describe_title(struct arena *arena, struct str name);
