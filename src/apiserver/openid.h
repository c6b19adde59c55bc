/* openid.h - /.well-known/openid-configuration and /openid/v1/jwks: how others can verify tokens of service accounts. */
#pragma once

#include "apiserver/request.h"

int openid_provider_handle(struct request *request, struct err *err);
int openid_keys_handle(struct request *request, struct err *err);
