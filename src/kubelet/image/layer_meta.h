/* layer_meta.h - owner, mode, extended attributes and times of one unpacked entry. */
#pragma once

#include "base/err.h"

struct archive;
struct archive_entry;

/* keep_owner: this process may not give files away; owners and capabilities are left out. */
int layer_meta_file(int fd, struct archive_entry *entry, bool keep_owner, struct err *err); /* file or folder */
int layer_meta_link(int dir, const char *name, struct archive_entry *entry, bool keep_owner, struct err *err);
int layer_meta_device(int dir, const char *name, struct archive_entry *entry, bool keep_owner, struct err *err);
/* libarchive's words for its last error, never NULL. */
const char *layer_archive_error(struct archive *archive);
