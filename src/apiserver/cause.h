/* cause.h - what an HTTP request says about why it writes. */
#pragma once

#include "apiserver/request.h"

/* Sets request->rule and ->trigger. Caravel-Rule and Caravel-Trigger are what components of a cluster send: a few words,
 * and the revision that made them act. Others have the program's name and the verb ("kubectl patch scale") and no
 * trigger. None of it is trusted: the actor is who the server has found it to be. */
void cause_read(struct request *request);
