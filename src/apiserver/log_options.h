/* log_options.h - what a request for a container's log asks for, checked, and as the agent is asked for it. */
#pragma once

#include "apiserver/request.h"

/* 422 with all findings, or 400 for what is no number. */
int log_options_check(struct request *request, struct err *err);
/* "?follow=true&tailLines=5", or nothing. */
void log_options_write(const struct request *request, struct buf *url);
