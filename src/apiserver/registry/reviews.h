/* reviews.h - what is checked of reviews: questions that are answered and not kept. */
#pragma once

#include "apiserver/request.h"

/* review: decoded. ERR_INVALID with causes, or ERR_BAD_REQUEST. */
int review_check(struct request *request, const struct json *review, struct err *err);
