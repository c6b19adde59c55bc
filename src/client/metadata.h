/* metadata.h - resources of which only the metadata is wanted: kinds that are known at run time alone.
 *
 * A struct resource with this type works with every call of a client; its objects have meta, and a view that nobody
 * reads. Inside the server's process its version does not matter: group and plural find the definition. */
#pragma once

#include "schema/type.h"

extern const struct type type_metadata_only;

static inline bool resource_is_metadata_only(const struct resource *resource)
{
    return resource->type == &type_metadata_only;
}
