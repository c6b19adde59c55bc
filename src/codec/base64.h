/* base64.h - RFC 4648 standard alphabet with padding, strict; and the URL alphabet without padding (for tokens). */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

void base64_encode(struct buf *buf, struct str bytes);
bool base64_decode(struct arena *arena, struct str text, struct str *ret_bytes); /* CR and LF are skipped, as Go does */
void base64url_encode(struct buf *buf, struct str bytes);
bool base64url_decode(struct arena *arena, struct str text, struct str *ret_bytes);
