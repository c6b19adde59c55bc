/* discovery.h - what the server has: /api, /apis and below, as clients ask for it before anything else.
 *
 * Every document is written once, from the tables, in the order of the tables, and then handed out as it is. */
#pragma once

#include "apiserver/request.h"

struct discovery;

/* The built-in resources. */
int discovery_new(struct discovery **ret_discovery, struct err *err);
struct discovery *discovery_free(struct discovery *discovery);
DEFINE_AUTO(discovery, discovery_free)

/* Writes all documents anew with these resources, made at run time, behind the built-in ones; the versions of a group
 * in the order of preference. Any thread; requests under way keep the old documents. The resources are read during the
 * call only. On failure the old documents stay. */
int discovery_set_custom(struct discovery *discovery, const struct resource *const *resources, size_t count,
                         struct err *err);

/* Does not block. */
int discovery_handle(struct request *request, struct err *err);
