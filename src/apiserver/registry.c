/* registry.c - which rules belong to which resource. */
#include "apiserver/registry.h"

#include "apiserver/registry/rules.h"

static const struct rules default_rules;

static const struct rules *const all_rules[] = {
    &pod_rules,
    &podtemplate_rules,
    &controllerrevision_rules,
    &resourcequota_rules,
    &limitrange_rules,
    &service_rules,
    &deployment_rules,
    &replicaset_rules,
    &statefulset_rules,
    &daemonset_rules,
    &replicationcontroller_rules,
    &namespace_rules,
    &node_rules,
    &configmap_rules,
    &secret_rules,
    &serviceaccount_rules,
    &job_rules,
    &cronjob_rules,
    &event_rules,
    &endpoints_rules,
    &endpointslice_rules,
    &lease_rules,
    &persistentvolume_rules,
    &persistentvolumeclaim_rules,
    &storageclass_rules,
    &priorityclass_rules,
    &clusterrole_rules,
    &clusterrolebinding_rules,
    &role_rules,
    &rolebinding_rules,
    &crd_rules,
    &ingress_rules,
    &ingressclass_rules,
    &networkpolicy_rules,
    &servicecidr_rules,
    &ipaddress_rules,
    &autoscaler_rules,
    &poddisruptionbudget_rules,
    &csidriver_rules,
    &csinode_rules,
    &csistoragecapacity_rules,
    &volumeattachment_rules,
    &runtimeclass_rules,
    &flowschema_rules,
    &prioritylevel_rules,
    &certificatesigningrequest_rules,
    &mutatingwebhook_rules,
    &validatingwebhook_rules,
    &admissionpolicy_rules,
    &admissionpolicybinding_rules,
    &apiservice_rules,
};

const struct rules *registry_rules(const struct resource *resource)
{
    if (resource_is_custom(resource))
        return &custom_rules;
    for (size_t i = 0; i < ARRAY_LEN(all_rules); i++)
        if (all_rules[i]->resource == resource->storage)
            return all_rules[i];
    return &default_rules;
}

const struct rule_part *registry_part(const struct request *request)
{
    const struct rules *rules = request->rules;

    for (size_t i = 0; request->subresource && rules && i < rules->part_count; i++)
        if (str_is(request->subresource->name, rules->parts[i].subresource))
            return &rules->parts[i];
    return NULL;
}
