/* newest.h - which requests must see everything that was written before they came, by whatever server. Where several
 * servers share a store these wait (store_sync) until this one has heard of all that; elsewhere nothing waits. */
#pragma once

#include "apiserver/request.h"

/* Gets, lists and watches of the newest state or of one that this server has not reached yet, and all that writes.
 * Does not block. */
bool newest_is_wanted(const struct request *request);
/* Waits; for those who may block. ERR_UNAVAILABLE. */
int newest_wait(struct apiserver *server, struct err *err);
