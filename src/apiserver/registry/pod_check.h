/* pod_check.h - parts of the check of a pod spec: what one part has to know of the whole. */
#pragma once

#include "apiserver/registry/rules.h"

struct pod_check {
    struct causes *causes;
    const struct path *at;     /* of the spec */
    const struct json *spec;
    const struct json *meta;   /* of the pod; NULL: a template's spec */
};

/* pod_volume.c */
void pod_volumes_check(const struct pod_check *check);
/* A volume of that name that is fit for use; NULL: none. */
const struct json *pod_volume(const struct pod_check *check, struct str name);
/* pod_env.c */
void env_check(struct causes *causes, const struct path *at, const struct json *env);
void env_from_check(struct causes *causes, const struct path *at, const struct json *sources);
/* A field of the pod in the environment, or in a volume of facts about it. */
void field_ref_check(struct causes *causes, const struct path *at, const struct json *ref, bool volume);
void resource_ref_check(struct causes *causes, const struct path *at, const struct json *ref, bool volume);
/* pod_mount.c */
void mounts_check(const struct pod_check *check, const struct path *at, const struct json *container);
void devices_check(const struct pod_check *check, const struct path *at, const struct json *container);
/* pod_probe.c: probes and lifecycle of the container at that path. */
void probes_check(const struct pod_check *check, const struct path *at, const struct json *container);
/* pod_container.c */
void pod_containers_check(const struct pod_check *check);
/* pod_security.c */
void container_security_check(const struct pod_check *check, const struct path *at, const struct json *context);
void pod_security_check(const struct pod_check *check);
void pod_os_check(const struct pod_check *check);
/* pod_affinity.c */
void pod_affinity_check(const struct pod_check *check);
void tolerations_check(struct causes *causes, const struct path *at, const struct json *tolerations);
