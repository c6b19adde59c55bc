/* http.h - what server and client share. */
#pragma once

#include "base/str.h"

struct http_header {
    struct str name, value; /* names of requests received are lower case */
};

enum http_method { HTTP_GET_, HTTP_HEAD_, HTTP_POST_, HTTP_PUT_, HTTP_PATCH_, HTTP_DELETE_, HTTP_OPTIONS_, HTTP_CONNECT_, HTTP_OTHER_ };

struct arena;
const char *http_status_text(int status);
const char *http_method_name(enum http_method method);
enum http_method http_method_from(struct str name);
/* Percent-decodes into the arena ('+' is a space in queries); false when malformed. */
bool http_unescape(struct arena *arena, struct str s, bool query, struct str *ret);
struct buf;
void http_escape(struct buf *buf, struct str s); /* all but unreserved characters */

/* Query strings: decoded pairs, in order. */
struct http_param {
    struct str name, value;
};
struct http_params {
    struct http_param *items;
    size_t count;
};
bool http_params_parse(struct arena *arena, struct str query, struct http_params *ret_params);
struct str http_param(const struct http_params *params, struct str name); /* first; STR_NULL when absent */
