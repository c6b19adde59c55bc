/* changes.h - the server's history, for commands: /apis/caravel.io/v1/changes. */
#pragma once

#include "cli/resources.h"

/* One page; query without "?", the continuation is added. objects: with the states. In arena. */
int changes_page(struct session *session, struct str query, bool objects, struct str next, struct arena *arena,
                 struct json **ret_list, struct err *err);
/* A time or revision from a command line, as the server takes it: "120" and RFC 3339 as they are, "10m" as the time ten
 * minutes before now. ERR_BAD_REQUEST. In arena. */
int changes_when(struct arena *arena, const char *option, const char *text, nsec_t now, struct str *ret_when,
                 struct err *err);
/* "Pod default/web"; of a kind that is not known "things.example.com default/web". In arena. */
struct str change_object(struct resources *resources, struct arena *arena, const struct json *change);
/* The resource of a change; NULL: it is no longer known. */
const struct resource *change_resource(struct resources *resources, struct arena *arena, const struct json *change);
