#include "apiserver/own.h"

#include "apiserver/changes.h"
#include "apiserver/hearsay.h"
#include "apiserver/server.h"

#define OWN_GROUP "caravel.io"
#define OWN_VERSION "v1"

static const struct own_path table[] = {
    { "transactions", NULL, .verbs = VERB_CREATE, .newest = true, .run = transaction_run },
    { "undo", NULL, .verbs = VERB_CREATE, .newest = true, .run = undo_run },
    { "nodes", "heartbeat", .named = true, .verbs = VERB_CREATE, .quick = true, .run = heartbeat_run },
    { "heartbeats", NULL, .verbs = VERB_CREATE, .restricted = true, .run = hearsay_run },
    { "changes", NULL, .verbs = VERB_LIST, .restricted = true, .newest = true, .run = changes_run },
};

static bool is_part(struct str part, const char *want)
{
    return want ? str_is(part, want) : !part.data;
}

const struct own_path *own_find(const struct request_info *info)
{
    if (!str_is(info->group, OWN_GROUP) || !str_is(info->version, OWN_VERSION) || info->ns.data || info->rest.data)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (str_is(info->plural, table[i].plural) && is_part(info->subresource, table[i].subresource) &&
            (info->name.data != NULL) == table[i].named)
            return &table[i];
    return NULL;
}
