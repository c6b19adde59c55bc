/* fan_out.h - a number of blocking calls side by side, and the wait for all of them. */
#pragma once

#include "base/executor.h"

/* Calls fn(arg, 0) ... fn(arg, count - 1), each once, in no particular order, on the caller's thread and on at most
 * `helpers` others; returns when all have returned. Works under a virtual executor too: the caller does all of it. */
void fan_out(struct executor *executor, int helpers, size_t count, void (*fn)(void *arg, size_t at), void *arg);
