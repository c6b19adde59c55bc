/* conditions.h - lists of metav1.Condition in a status. */
#pragma once

#include "apiserver/registry/place.h"

void check_conditions(const struct place *list);
