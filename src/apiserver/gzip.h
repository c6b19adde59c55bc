/* gzip.h - answers compressed on their way out, piece by piece (zlib, its fastest level, as Kubernetes does). */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define GZIP_THRESHOLD (128u << 10) /* what is no longer than that goes out as it is */

struct gzip;

int gzip_new(struct gzip **ret_gzip, struct err *err);
struct gzip *gzip_free(struct gzip *gzip);
DEFINE_AUTO(gzip, gzip_free)
/* Appends to out what is ready; last: nothing comes after bytes. */
int gzip_add(struct gzip *gzip, struct str bytes, bool last, struct buf *out, struct err *err);
