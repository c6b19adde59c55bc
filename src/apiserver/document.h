/* document.h - a text that many ask for and that seldom changes: counted bytes with their entity tag. */
#pragma once

#include "apiserver/request.h"
#include "schema/openapi.h"

struct document {
    struct blob *text;
    char tag[OPENAPI_HASH_LEN + 1]; /* hash of the text */
};

/* Copies what buf holds. */
int document_init(struct document *document, const struct buf *buf, struct err *err);
void document_deinit(struct document *document);
/* Only GET and HEAD. Answers 304 when the client has this text already. cache_control NULL: the usual. The content type
 * must be static or in the request's arena. */
int document_reply(struct request *request, const struct document *document, const char *content_type,
                   const char *cache_control, struct err *err);
/* ERR_METHOD_NOT_ALLOWED for anything but GET and HEAD. */
int request_only_read(struct request *request, struct err *err);
