/* proxy_head.h - the texts of a proxied request: its head as it is sent on, and what comes back. */
#pragma once

#include "base/buf.h"
#include "net/http_server.h"

enum proxy_body { PROXY_BODY_NONE, PROXY_BODY_LENGTH, PROXY_BODY_CHUNKED };

/* Cuts ".../proxy/rest" into ".../proxy" and "/rest" (perhaps empty), raw as they are. False: no such path. */
bool proxy_path_split(struct str path, struct str *ret_prefix, struct str *ret_rest);
/* How the body of the request is told to the other side. */
enum proxy_body proxy_body_of(const struct http_request *request);
/* Head and empty line. upgrade: ask for the protocol that the client asks for. */
void proxy_head_write(struct buf *head, const struct http_request *request, struct str prefix, struct str rest,
                      bool upgrade);
/* A Location of the answer, as the client must see it, appended to out. */
void proxy_location_write(struct buf *out, const struct http_request *request, struct str prefix, struct str authority,
                          struct str location);
/* May this header of an answer go on to the client? */
bool proxy_header_passes(struct str lower_case_name, const struct http_header *headers, size_t count);
