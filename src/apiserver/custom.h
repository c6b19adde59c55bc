/* custom.h - custom resources: what CustomResourceDefinitions add to the server's resources, without a restart.
 *
 * Each definition in the store is compiled into a struct custom: immutable, counted, with a row of the resource table
 * for each served version. All of them together are looked up by custom_find(), which counts a reference for the
 * request, so that a definition may change or go while requests use the old one. Built-in resources are never looked
 * for here. */
#pragma once

#include "apiserver/request.h"

struct custom;
struct customs;

/* Reads the definitions in the store. strand and timers run on the server's executor. */
int customs_new(struct apiserver *server, struct customs **ret_customs, struct err *err);
/* Waits for work under way. */
struct customs *customs_free(struct customs *customs);

/* The resource, with a reference to its definition in *ret_custom; NULL: there is none. Any thread, does not block. */
const struct resource *custom_find(struct customs *customs, struct str group, struct str version, struct str plural,
                                   struct custom **ret_custom);
/* The same by group and plural alone, for those inside the server who look at metadata only: the form in which objects
 * are kept (stored), or the version that clients should take first. */
const struct resource *custom_find_any(struct customs *customs, struct str group, struct str plural, bool stored,
                                       struct custom **ret_custom);
struct custom *custom_ref(struct custom *custom);
struct custom *custom_unref(struct custom *custom);

/* After a definition was written: the table, discovery and OpenAPI are brought up to date before this returns, and
 * definitions that are being deleted are worked on in the background. Blocks. */
void customs_reload(struct customs *customs);

/* What a server that ended left half done goes on in the background. Once the server is complete. */
void customs_resume(struct customs *customs);

/* Deletes the custom objects in a namespace. ERR_CONFLICT: some are still there, as finalizers hold them. Blocks. */
int customs_empty_namespace(struct customs *customs, struct str ns, struct err *err);

/* From a definition as it is stored. */
int custom_compile(const struct json *definition, uint64_t revision, struct custom **ret_custom, struct err *err);
