/* place.h - a place in an object that is being checked: its value, and its path for when something is wrong with it.
 *
 * Places are values on the stack, each pointing at the one above, so that a path is written only when it is needed. A
 * place whose value is absent is as good as any other: its json is NULL, it has no elements, its text is "". */
#pragma once

#include "apiserver/validate.h"
#include "base/ip.h"
#include "codec/json.h"

struct place {
    const struct place *up; /* NULL: the object itself */
    struct causes *causes;
    const struct json *json; /* NULL: absent */
    const char *name;        /* of a member; NULL: an element or an entry of a map */
    struct str key;          /* of an entry of a map; unset: an element */
    uint32_t index;
};

struct place place_object(struct causes *causes, const struct json *object);
/* A path that does not begin at the object: field is what it begins with. */
struct place place_named(struct causes *causes, const char *field, const struct json *json);
struct place place_member(const struct place *at, const char *name);
struct place place_item(const struct place *at, uint32_t index);
struct place place_entry(const struct place *at, uint32_t index); /* of a map, by number; key is set */
uint32_t place_count(const struct place *at);                     /* elements or members */
struct str place_path(const struct place *at);

#define place_each(item, list)                                                      \
    for (struct place item = place_item((list), 0); item.index < place_count(list); \
         item = place_item((list), item.index + 1))
#define place_each_entry(item, map)                                                \
    for (struct place item = place_entry((map), 0); item.index < place_count(map); \
         item = place_entry((map), item.index + 1))

/* Where to begin to look for what an element repeats: lists of a hostile length are not compared each with each. */
#define PLACE_LOOKBACK 1024u
static inline uint32_t place_lookback(const struct place *item)
{
    return item->index > PLACE_LOOKBACK ? item->index - PLACE_LOOKBACK : 0;
}

static inline bool place_there(const struct place *at)
{
    return at->json != NULL;
}

static inline struct str place_str(const struct place *at)
{
    struct str s = json_str(at->json);

    return s.data ? s : STR("");
}

static inline bool place_is(const struct place *at, const char *text)
{
    return str_is(place_str(at), text);
}

static inline bool place_empty(const struct place *at)
{
    return str_empty(place_str(at));
}

static inline int64_t place_int(const struct place *at)
{
    return json_int(at->json, 0);
}
/* Among the elements of a list of strings. */
bool place_has(const struct place *list, const char *text);

/* Findings. */
void say_required(const struct place *at, const char *why);
void say_invalid(const struct place *at, const char *fmt, ...) PRINTF(2, 3);
/* With another value than the one that is there. */
void say_invalid_as(const struct place *at, struct str value, const char *fmt, ...) PRINTF(3, 4);
void say_forbidden(const struct place *at, const char *fmt, ...) PRINTF(2, 3);
void say_duplicate(const struct place *at);
void say_not_supported(const struct place *at, const char *const *supported);
void say_too_long(const struct place *at, unsigned max);
void say_too_many(const struct place *at, unsigned max);

/* Checks of one value. Those of strings say nothing about an empty one unless they say so: that it is there is the
 * table's business, or check_required(). */
bool check_one_of(const struct place *at, const char *const *supported); /* "" too; false: it was not */
void check_required(const struct place *at, const char *why);            /* not "" */
void check_form(const struct place *at, enum name_form form);            /* "" too */
void check_segment(const struct place *at);                              /* fit to be one segment of a path */
void check_kind(const struct place *at);                                 /* DNS-1035, but for capitals */
void check_qualified(const struct place *at);                            /* "" too */
void check_range(const struct place *at, int64_t min, int64_t max, const char *why); /* when there */
void check_same(const struct place *at, const struct json *old);                     /* "field is immutable" */
void check_quantity_not_negative(const struct place *at);
/* A number, or a percentage up to 100%. */
void check_int_or_percent(const struct place *at);
/* Each element once. */
void check_unique(const struct place *list);
/* The first problem of a name of this form, or NULL. */
const char *form_problem(enum name_form form, struct str name);

/* registry/addresses.c. Legacy fields take leading zeros and bits beyond the prefix; newer ones the canonical form
 * only. */
bool check_ip(const struct place *at, struct ip *ret_ip);
bool check_cidr(const struct place *at, struct ip_net *ret_net);
void check_canonical_ip(const struct place *at);
void check_canonical_cidr(const struct place *at);
/* A host's name, or such with *. in front of it. */
void check_host(const struct place *at);

/* registry/webhook.c: clientConfig of a webhook. */
void check_webhook_client(const struct place *client);
