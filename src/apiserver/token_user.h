/* token_user.h - whom a service account's token stands for, as long as what it names is there. */
#pragma once

#include "apiserver/request.h"

/* The token is for one of these audiences (an array of strings; NULL: this server), and its account and the object that it
 * is bound to exist, with those uids. *ret_audiences (may be NULL): those asked for that it is for. Slices live in
 * the request's arena. ERR_UNAUTHORIZED says why not. Reads the store. */
int token_user(struct request *request, struct str token, const struct json *audiences, struct user *ret_user,
               struct json **ret_audiences, struct err *err);
