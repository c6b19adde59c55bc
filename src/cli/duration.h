/* duration.h - lengths of time as users write them: "30s", "1m30s", "1.5h", "500ms". */
#pragma once

#include "base/clock.h"
#include "base/str.h"

/* "0" needs no unit. False when it is none, is negative or too long. */
bool duration_parse(struct str text, nsec_t *ret_duration);
