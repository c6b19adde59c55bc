/* list_options.h - metav1.ListOptions as the query of a list, watch or deletion of a collection has them, checked in
 * Kubernetes' words. Selectors are in selection.h. */
#pragma once

#include "apiserver/request.h"

enum version_match { MATCH_UNSET, MATCH_EXACT, MATCH_NOT_OLDER };

struct list_options {
    revision_t revision; /* 0: absent, or "0" */
    bool has_revision;   /* resourceVersion was given */
    enum version_match match;
    uint64_t limit;   /* 0: none */
    struct str token; /* continue; empty: none */
    int64_t timeout;  /* seconds; 0 or less: none */
    bool has_initial; /* sendInitialEvents was given */
    bool initial;     /* with this value */
    bool bookmarks;
};

/* Of request->info.verb. ERR_BAD_REQUEST: no number; ERR_INVALID (422, with causes): what does not go together. */
int list_options_read(struct request *request, struct list_options *ret_options, struct err *err);
