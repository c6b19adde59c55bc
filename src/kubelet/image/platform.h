/* platform.h - which of an image's variants runs on this machine. */
#pragma once

#include "base/str.h"

/* In the words of images: "amd64"; "arm" with variant "v7". Static strings. */
void platform_of_machine(struct str *ret_architecture, struct str *ret_variant);
/* How well an image for (os, architecture, variant) fits a machine: 0 not at all, more is better. */
int platform_fit(struct str architecture, struct str variant, struct str image_os, struct str image_architecture,
                 struct str image_variant);
