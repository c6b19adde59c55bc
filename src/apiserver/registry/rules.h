/* rules.h - the rules of each resource, for registry.c; and what these files share. */
#pragma once

#include "apiserver/registry.h"
#include "apiserver/validate.h"
#include "apiserver/write.h"

extern const struct rules pod_rules, service_rules, deployment_rules, replicaset_rules, statefulset_rules,
    daemonset_rules, replicationcontroller_rules, namespace_rules, node_rules, configmap_rules, secret_rules,
    serviceaccount_rules, job_rules, cronjob_rules, event_rules, endpoints_rules, endpointslice_rules, lease_rules,
    persistentvolume_rules, persistentvolumeclaim_rules, storageclass_rules, priorityclass_rules, clusterrole_rules,
    clusterrolebinding_rules, role_rules, rolebinding_rules, crd_rules, custom_rules, ingress_rules, ingressclass_rules,
    networkpolicy_rules, servicecidr_rules, ipaddress_rules, autoscaler_rules, poddisruptionbudget_rules,
    csidriver_rules, csinode_rules, csistoragecapacity_rules, volumeattachment_rules, runtimeclass_rules,
    flowschema_rules, prioritylevel_rules, certificatesigningrequest_rules, mutatingwebhook_rules,
    validatingwebhook_rules, admissionpolicy_rules, admissionpolicybinding_rules, apiservice_rules;

/* Defaults: the member is set when absent (or, for strings, empty). False: no memory. object NULL: nothing to do. */
bool default_str(struct arena *arena, struct json *object, const char *key, const char *value);
bool default_int(struct arena *arena, struct json *object, const char *key, int64_t value);
bool default_bool(struct arena *arena, struct json *object, const char *key, bool value);
/* As an object member, made when absent; NULL: no memory or of another kind. */
struct json *default_object_member(struct arena *arena, struct json *object, const char *key);
int out_of_memory(struct err *err);

/* -- registry/pod_spec.c: pods and the templates of all workloads -- */
int pod_spec_default(struct request *request, struct json *spec, struct err *err);
void pod_spec_validate(struct causes *causes, struct str field, const struct json *spec);
/* One container of any list; field: where it stands. */
void pod_container_validate(struct causes *causes, struct str field, const struct json *container,
                            const struct json *spec);
/* spec.template of a workload: its pods' labels, spec and restart policy. policies: allowed restart policies,
 * NULL-terminated. */
int template_default(struct request *request, struct json *template, struct err *err);
void template_validate(struct causes *causes, struct str field, const struct json *template,
                       const char *const *policies);
/* spec.selector: present, valid, not empty, matching spec.template.metadata.labels. */
void workload_selector_validate(struct causes *causes, const struct json *object);

/* registry/pod_resources.c */
int pod_resources_default(struct arena *arena, struct json *container, struct err *err);
void pod_resources_validate(struct causes *causes, struct str field, const struct json *resources);
/* "Guaranteed", "Burstable", "BestEffort" */
struct str pod_qos_class(const struct json *spec);

/* registry/pod_parts.c */
#define POD_PARTS 2
extern const struct rule_part pod_parts[POD_PARTS];
int pod_resize_policy_default(struct arena *arena, struct json *container, struct err *err);
