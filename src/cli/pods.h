/* pods.h - the pods and containers that logs and exec work on: POD, or TYPE/NAME of something that has pods. */
#pragma once

#include "cli/resources.h"

/* The pods of a workload or service, in the session's arena: items of a list, as the server orders them. */
struct pod_list {
    const struct json *items;
    size_t count;
};
int pods_select(struct session *session, struct str label_selector, struct pod_list *ret_pods, struct err *err);

/* One pod: itself, or of a workload the best: ready before running before others. Several: one line on standard error says
 * which it is. word: "web", "pod/web", "deployment/web". */
int pods_find(struct resources *resources, const char *word, const struct json **ret_pod, struct err *err);

/* The container of that name, or when unset the one of the pod's annotation, else the first (told on standard error when
 * there are several). ERR_NOT_FOUND names those that are there. */
int pod_container(const struct json *pod, struct str name, struct str *ret_name, struct err *err);
/* All containers in the order of their start: init, ordinary, ephemeral; calls fn for each name. */
int pod_each_container(const struct json *pod, int (*fn)(void *arg, struct str name), void *arg);
