/* rest.h - the API's URLs, and what its error answers say: for whoever speaks HTTP to it. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "schema/type.h"

/* Appends "/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME/SUBRESOURCE"; unset parts are left out. */
void rest_path(struct buf *url, const struct resource *resource, struct str ns, struct str name,
               struct str subresource);
/* Appends a query parameter, escaped; nothing for an empty value. *separator is '?' before the first one. */
void rest_param(struct buf *url, char *separator, const char *name, struct str value);
/* Always an error: the message and code of the Status in body, else its beginning. */
int rest_error(struct arena *arena, int status, struct str body, struct err *err);
