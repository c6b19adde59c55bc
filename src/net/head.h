/* head.h - collects the head of a request piece by piece and makes slices of it. Private to net/.
 *
 * Bytes are gathered in one buffer; since that moves while it grows, places are kept as offsets until
 * head_resolve(). */
#pragma once

#include "base/buf.h"
#include "base/vec.h"
#include "net/http.h"

#define HEAD_MAX_FIELDS 256

struct http_request;

struct head_field {
    uint32_t name, name_len, value, value_len;
};

struct head {
    struct buf bytes;
    VEC(struct head_field) fields;
    VEC(struct http_header) headers; /* valid after head_resolve() */
    uint32_t target, target_len, method, method_len;
    bool in_value; /* the next name begins a new field */
    bool overflow; /* too many fields */
};

void head_init(struct head *head);
void head_deinit(struct head *head);
void head_clear(struct head *head);

/* Each appends a span. False: a byte that may not be there, too many fields, or no memory. */
bool head_method(struct head *head, struct str span);
bool head_target(struct head *head, struct str span);
bool head_name(struct head *head, struct str span); /* lower-cased, must be a token */
bool head_value(struct head *head, struct str span);

/* Makes head->headers. False without memory. */
bool head_resolve_fields(struct head *head);
/* Fills target, path, query, method and headers of the request; false when the target is none or without memory. */
bool head_resolve(struct head *head, struct http_request *request);
