/* str.h - string slices: a pointer and a length, not owned, not NUL-terminated. data == NULL means "unset".
 *
 * Slices live as long as what they point into. No function here allocates but str_dup(). */
#pragma once

#include <sys/types.h>

#include "base/macros.h"

struct str {
    const char *data;
    size_t len;
};

#define STR(lit) ((struct str){ "" lit, sizeof(lit) - 1 })
#define STR_INIT(lit) { "" lit, sizeof(lit) - 1 } /* for static tables */
#define STR_NULL ((struct str){ NULL, 0 })
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).data ? (s).data : ""

static inline struct str str_from(const char *cstr)
{
    return (struct str){ cstr, cstr ? strlen(cstr) : 0 };
}

static inline struct str str_of(const void *data, size_t len)
{
    return (struct str){ data, len };
}

static inline bool str_empty(struct str s)
{
    return s.len == 0;
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool str_is(struct str a, const char *cstr)
{
    return str_eq(a, str_from(cstr));
}

/* Byte order, as memcmp; a prefix sorts first. */
int str_cmp(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);
bool str_has_prefix(struct str s, struct str prefix);
bool str_has_suffix(struct str s, struct str suffix);
/* Offset of the first (last) match, or -1. */
ssize_t str_chr(struct str s, char c);
ssize_t str_rchr(struct str s, char c);
ssize_t str_find(struct str s, struct str needle);
/* s without its first n bytes; without its last n bytes; both saturate. */
struct str str_skip(struct str s, size_t n);
struct str str_chop(struct str s, size_t n);
struct str str_first(struct str s, size_t n);
/* Without blanks (space, tab, CR, LF) at both ends. */
struct str str_trim(struct str s);
/* Cuts the part before the next sep off *rest. False when *rest is unset (data == NULL), i.e. after the last part:
 * "a,,b" gives "a", "", "b"; "" gives "" once. */
bool str_split(struct str *rest, char sep, struct str *ret_part);
/* The whole slice as a number, decimal, no blanks, no leading '+'. False when it is not one or does not fit. */
bool str_to_i64(struct str s, int64_t *ret_value);
bool str_to_u64(struct str s, uint64_t *ret_value);
bool str_to_double(struct str s, double *ret_value);
/* malloc'd and NUL-terminated, NULL without memory. */
char *str_dup(struct str s);
uint64_t str_hash(struct str s); /* the same in every process; for keys that strangers choose: hash.h */
bool str_is_utf8(struct str s);
