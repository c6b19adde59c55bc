/* list_stream.h - a list as a PodList, Table or PartialObjectMetadataList in any format, over HTTP or as one text. */
#pragma once

#include "apiserver/list.h"
#include "net/http_server.h"

/* Answers request->list on the exchange; the request must be in the exchange's arena. An error before the first byte
 * sets the reply instead and returns negative. */
int list_stream(struct request *request, struct http_exchange *exchange, struct err *err);
/* The whole list as the request's reply. ERR_TOO_LARGE beyond LIST_WHOLE_MAX. */
#define LIST_WHOLE_MAX (256u << 20)
int list_whole(struct request *request, struct err *err);
