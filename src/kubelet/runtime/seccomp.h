/* seccomp.h - the profile "RuntimeDefault". Pure; any thread. */
#pragma once

#include "codec/json.h"

/* Writes the "seccomp" object for a process with these capabilities. */
void seccomp_write_default(struct json_writer *writer, uint64_t capabilities);
