/* mounts.h - what is still mounted below a folder. */
#pragma once

#include "base/err.h"

/* Unmounts everything below the folder, the deepest first. */
int purge_mounts(const char *folder, struct err *err);
