/* rules.h - the rules of each resource, for registry.c; and what these files share. */
#pragma once

#include "apiserver/registry.h"
#include "apiserver/validate.h"
#include "apiserver/write.h"

extern const struct rules pod_rules, podtemplate_rules, controllerrevision_rules, resourcequota_rules, limitrange_rules, service_rules, deployment_rules, replicaset_rules, statefulset_rules,
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

/* Steps of a struct path, for cause_required() and so on: live to the end of the block that writes them. */
#define AT(up, member) (&(struct path){ (up), &type_any, STR(member), 0 })
#define AT_STR(up, member) (&(struct path){ (up), &type_any, (member), 0 })
#define NTH(up, i) (&(struct path){ (up), NULL, STR_NULL, (i) })
#define KEYED(up, key) (&(struct path){ (up), NULL, (key), 0 })
/* Reading without asking first: 0 unless it is an array (object). */
static inline uint32_t items_of(const struct json *array)
{
    return json_is(array, JSON_ARRAY) ? array->count : 0;
}
static inline uint32_t members_of(const struct json *object)
{
    return json_is(object, JSON_OBJECT) ? object->count : 0;
}
static inline struct str text_in(const struct json *object, const char *member)
{
    return json_str(json_get(object, str_from(member)));
}
/* Whether an element before array[at] has the same text in that member; "" equals nothing. */
bool text_seen_before(const struct json *array, uint32_t at, const char *member);
bool strings_have(const struct json *array, struct str text);
/* Equal, or both absent. */
bool json_same(const struct json *a, const struct json *b);
/* A path without ".." parts; a relative one; one that does not start with ".." either. */
void check_no_backsteps(struct causes *causes, const struct path *path, struct str value);
void check_local_path(struct causes *causes, const struct path *path, struct str value);
void check_local_open_path(struct causes *causes, const struct path *path, struct str value);

/* -- registry/pod_default.c, pod_spec.c: pods and the templates of all workloads -- */
int pod_spec_default(struct request *request, struct json *spec, struct err *err);
int template_default(struct request *request, struct json *template, struct err *err);
/* What belongs to the pod itself and not to a template: meta is its metadata, NULL for a template. */
void pod_spec_validate(struct causes *causes, const struct path *at, const struct json *spec, const struct json *meta);
/* registry/pod.c: the whole of a pod, whoever writes it. */
void pod_check_all(struct causes *causes, const struct json *pod);
/* A template: labels, annotations and the spec of its pods. */
void template_check(struct causes *causes, const struct path *at, const struct json *template);
/* Of a workload whose pods run for ever: restart policy and deadline too. kind is named in the message. */
void template_check_always(struct causes *causes, const struct path *at, const struct json *template,
                           const char *kind);
/* registry/pod_affinity.c */
void node_selector_check(struct causes *causes, const struct path *at, const struct json *selector);
/* registry/pod_update.c */
void pod_update_check(struct causes *causes, const struct json *pod, const struct json *old);
void pod_annotations_check(struct causes *causes, const struct path *at, const struct json *annotations);
/* registry/pod_volume.c: what pods' volumes and persistent ones share */
struct volume_source {
    const char *member;
    void (*check)(struct causes *causes, const struct path *at, const struct json *source);
};
/* Exactly one of them; others are forbidden, the first is checked. */
void volume_source_check(struct causes *causes, const struct path *at, const struct json *holder,
                         const struct volume_source *sources, size_t count);
void hostpath_check(struct causes *causes, const struct path *at, const struct json *source);
void nfs_check(struct causes *causes, const struct path *at, const struct json *source);
void fc_check(struct causes *causes, const struct path *at, const struct json *source);
void flocker_check(struct causes *causes, const struct path *at, const struct json *source);
void flex_check(struct causes *causes, const struct path *at, const struct json *source);
void iscsi_check(struct causes *causes, const struct path *at, const struct json *source);
void azure_disk_check(struct causes *causes, const struct path *at, const struct json *source);
void csi_driver_check(struct causes *causes, const struct path *at, struct str driver);
/* registry/endpoints.c: an address of an endpoint, or an external one of a service: valid, and a place of its own. */
void check_endpoint_ip(struct causes *causes, const struct path *at, struct str ip);
/* registry/job_check.c */
void job_spec_check(struct causes *causes, const struct path *at, const struct json *spec);
void job_check(struct causes *causes, const struct json *job);
void job_update_check(struct causes *causes, const struct json *job, const struct json *old);
/* registry/persistentvolume.c */
void claim_spec_check(struct causes *causes, const struct path *at, const struct json *spec);

/* registry/pod_resources.c */
int pod_resources_default(struct arena *arena, struct json *container, struct err *err);
void pod_resources_validate(struct causes *causes, const struct path *at, const struct json *resources,
                            const struct json *claims);
/* "Guaranteed", "Burstable", "BestEffort" */
struct str pod_qos_class(const struct json *spec);
/* registry/resource_names.c: names of resources, and what amounts they can have. */
bool resource_is_native(struct str name);   /* no domain, or one of Kubernetes' own */
bool resource_is_hugepages(struct str name);
bool resource_is_extended(struct str name);
bool resource_may_overcommit(struct str name);
bool resource_is_quota(struct str name);    /* without a domain: one that quotas can limit */
void resource_name_check(struct causes *causes, const struct path *at, struct str name);
void container_resource_name_check(struct causes *causes, const struct path *at, struct str name);
/* Not negative, whole where it must be. */
void resource_amount_check(struct causes *causes, const struct path *at, struct str name, const struct json *amount);

/* registry/pod_parts.c */
#define POD_PARTS 2
extern const struct rule_part pod_parts[POD_PARTS];
int pod_resize_policy_default(struct arena *arena, struct json *container, struct err *err);
