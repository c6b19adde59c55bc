/* structural.h - types made at run time from the structural schemas of CustomResourceDefinitions.
 *
 * A JSON schema becomes two things. A struct type, for what all objects go through: pruning, defaults, server-side
 * apply, lists by key. And a struct schema, which says what values must be like beyond that: ranges, patterns, lengths,
 * allOf and the like. Both live in the arena that they were made in, are slices of the schema's tree (which must stay),
 * and never change: any thread may read them. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "schema/object.h"
#include "schema/type.h"
#include "schema/walk.h"

struct schema;

#define SCHEMA_DEPTH_MAX 64 /* deeper schemas are refused */

/* The type of an object of that group, version and kind; apiVersion, kind and metadata are added. schema: the value of
 * openAPIV3Schema, canonical; it has passed schema_check_rules(). ERR_NO_MEMORY, ERR_INVALID. */
int structural_type(struct arena *arena, const struct json *schema, struct str group, struct str version,
                    struct str kind, const struct type **ret_type, struct err *err);

/* What is wrong with a schema as the schema of a custom resource; field: where it stands, "spec.versions[0].schema". */
void schema_check_rules(const struct json *schema, struct str field, struct causes *causes);
/* Whether it holds x-kubernetes-validations anywhere. */
bool schema_has_rules(const struct json *schema);

/* Adds what is wrong with a value. at NULL: it is the object itself. */
void schema_check_value(const struct schema *schema, const struct json *json, const struct path *at,
                        struct causes *causes);
/* The same of an object that takes the place of old: what is wrong but was just so before is not told. */
void schema_check_update(const struct schema *schema, const struct json *json, const struct json *old,
                         struct causes *causes);
/* One schema without the type, for the values of defaults. NULL: no memory, or a pattern that does not compile. */
const struct schema *schema_compile(struct arena *arena, const struct json *json);
