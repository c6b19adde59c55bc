/* crd_check.h - what is checked of CustomResourceDefinitions. */
#pragma once

#include "apiserver/registry.h"

void crd_validate_create(struct request *request, const struct json *object, struct causes *causes);
void crd_validate_update(struct request *request, const struct json *object, const struct json *old,
                         struct causes *causes);
void crd_validate_status(struct request *request, const struct json *object, const struct json *old,
                         struct causes *causes);
