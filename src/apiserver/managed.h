/* managed.h - metadata.managedFields: which manager owns which fields (KEP-555).
 *
 * Every write owns what it changes; an apply owns what it says, and no more: what it said before and does not say now is
 * removed, unless somebody else owns it too. */
#pragma once

#include "apiserver/write.h"

/* After everything else has settled the object: writes its managedFields from old's and from what changed. old NULL: a
 * creation. For an apply, what managed_apply() has noted. */
int managed_update(struct write *write, struct json *object, const struct json *old, struct err *err);

/* Lays config over live (NULL: there is no object) as this request's manager. ERR_CONFLICT with every field and its owner, unless
 * force. Both are in the storage version. */
int managed_apply(struct write *write, const struct json *live, struct json *config, bool force,
                  struct json **ret_object, struct err *err);
