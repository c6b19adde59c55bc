/* proxy.h - pods/proxy, services/proxy and nodes/proxy: a request sent on to what is behind the object, and its answer
 * sent back. Bodies stream both ways; a request to upgrade becomes a connection of bytes. */
#pragma once

#include "apiserver/request.h"

struct proxy;

/* What the body of a request with this head is: streamed where it goes on to somebody else. */
enum http_body_mode proxy_body_mode(const struct http_request *head);
/* Finds where the request goes; sets the reply instead where it goes nowhere. Nothing is sent yet. */
int proxy_open(struct request *request, struct proxy **ret_proxy, struct err *err);
/* Sends it on and relays. Negative: nothing was begun. */
int proxy_start(struct request *request, struct http_exchange *exchange, struct err *err);
