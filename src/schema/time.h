/* time.h - RFC 3339 time stamps of the API, UTC. */
#pragma once

#include "base/arena.h"
#include "base/clock.h"

#define API_TIME_LEN 32
/* Any zone and fraction (what is finer than a nanosecond is cut). False when it is not a time. Times before 1678 or
 * after 2262, which nsec_t cannot hold, saturate. */
bool api_time_parse(struct str text, nsec_t *ret_unix_nsec);
/* "2026-01-02T15:04:05Z"; micro: "2026-01-02T15:04:05.000000Z". Into out, NUL-terminated; returns the slice. */
struct str api_time_text(nsec_t unix_nsec, char out[API_TIME_LEN]);
struct str api_micro_time_text(nsec_t unix_nsec, char out[API_TIME_LEN]);
/* As kubectl prints ages: "5s", "3m20s", "4h", "2d3h", "1y2d". */
struct str duration_text(nsec_t duration, char out[API_TIME_LEN]);
