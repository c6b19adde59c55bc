/* pod_list.h - the agent's answer to /pods. */
#pragma once

#include "kubelet/internal.h"
#include "net/http_server.h"

void pod_list_handle(struct kubelet *kubelet, struct http_exchange *exchange);
