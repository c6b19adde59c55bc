/* headers.h - the headers of an answer, short or long. */
#pragma once

#include "apiserver/request.h"

/* Warnings, what the reply brings itself, and those that every answer has. Once, before the answer begins. */
void headers_send(const struct request *request, struct http_exchange *exchange);
/* The answer goes out compressed. */
void headers_send_gzip(struct http_exchange *exchange);
/* Whether the client takes gzip, and the answer is one to a reading request. */
bool headers_take_gzip(const struct request *request);
