/* indexed.h - the fields by which objects are found without looking at all of them: the store's index terms.
 *
 * A term is "field=value". An object has one for each value of each indexed field of its resource; a value that is
 * empty or too long for a term has none, and is looked for the slow way. Pods of no node have "spec.nodeName=". */
#pragma once

#include "codec/json.h"
#include "schema/selector.h"
#include "store/store.h"

/* The uid of any owner. Not a field selector of Kubernetes: lists and watches inside the process may use it, with "="
 * only: metadata.ownerReferences.uid=<uid>. */
#define FIELD_OWNER "metadata.ownerReferences.uid"

/* key: the store's. The terms live in arena; without memory some are missing. Returns how many. */
size_t indexed_terms(struct arena *arena, struct str key, const struct json *object,
                     struct str ret_terms[STORE_TERMS_MAX]);
/* A term that every object must have which the field selector chooses; unset: there is none. prefix: of the resource
 * in the store. */
struct str indexed_term(struct arena *arena, struct str prefix, const struct selector *fields);
/* "field=value", or unset when that is no term. */
struct str indexed_term_of(struct arena *arena, const char *field, struct str value);
/* Brings an older store's terms up to date; before anything is written. */
int indexed_upgrade(struct store *store, struct err *err);
