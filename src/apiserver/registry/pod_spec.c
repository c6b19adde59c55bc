/* pod_spec.c - the pod spec, in pods and in every workload's template: what is refused. Ranges, forms and enums are in
 * the table; the parts are in pod_*.c. */
#include "apiserver/registry/pod_check.h"

#define NAMESERVERS_MAX 3
#define SEARCHES_MAX 32
#define SEARCH_TEXT_MAX 2048

/* -- DNS -- */

static void check_searches(struct causes *causes, const struct path *at, const struct json *searches)
{
    size_t len = 0;

    if (items_of(searches) > SEARCHES_MAX)
        cause_invalid(causes, at, searches, "must not have more than 32 search paths");
    for (uint32_t i = 0; i < items_of(searches); i++)
        len += json_str(&searches->items[i]).len + (i > 0);
    if (len > SEARCH_TEXT_MAX)
        cause_invalid(causes, at, searches,
                      "must not have more than 2048 characters (including spaces) in the search list");
    for (uint32_t i = 0; i < items_of(searches); i++) {
        struct str search = json_str(&searches->items[i]);

        cause_format(causes, NTH(at, i), FORMAT_SUBDOMAIN,
                     str_has_suffix(search, STR(".")) ? str_chop(search, 1) : search);
    }
}

static void check_dns(const struct pod_check *check)
{
    const struct json *config = json_member(check->spec, "dnsConfig"), *servers = json_member(config, "nameservers");
    const struct json *options = json_member(config, "options");
    bool none = str_is(text_in(check->spec, "dnsPolicy"), "None");
    struct path *at = AT(check->at, "dnsConfig");
    struct causes *causes = check->causes;

    if (none && !config)
        cause_required(causes, at, "must provide `dnsConfig` when `dnsPolicy` is None");
    else if (none && !items_of(servers))
        cause_required(causes, AT(at, "nameservers"),
                       "must provide at least one DNS nameserver when `dnsPolicy` is None");
    if (items_of(servers) > NAMESERVERS_MAX)
        cause_invalid(causes, AT(at, "nameservers"), servers, "must not have more than 3 nameservers");
    for (uint32_t i = 0; i < items_of(servers); i++)
        cause_format(causes, NTH(AT(at, "nameservers"), i), FORMAT_IP, json_str(&servers->items[i]));
    check_searches(causes, AT(at, "searches"), json_member(config, "searches"));
    for (uint32_t i = 0; i < items_of(options); i++)
        if (str_empty(text_in(&options->items[i], "name")))
            cause_required(causes, NTH(AT(at, "options"), i), "must not be empty");
}

/* -- lists -- */

static void check_gates(const struct pod_check *check)
{
    const struct json *ready = json_member(check->spec, "readinessGates");
    const struct json *gates = json_member(check->spec, "schedulingGates");

    for (uint32_t i = 0; i < items_of(ready); i++)
        cause_format(check->causes, AT(NTH(AT(check->at, "readinessGates"), i), "conditionType"), FORMAT_KEY,
                     text_in(&ready->items[i], "conditionType"));
    for (uint32_t i = 0; i < items_of(gates); i++) {
        struct path *here = NTH(AT(check->at, "schedulingGates"), i);

        cause_format(check->causes, here, FORMAT_KEY, text_in(&gates->items[i], "name"));
        if (text_seen_before(gates, i, "name"))
            cause_duplicate_str(check->causes, here, text_in(&gates->items[i], "name"));
    }
}

static void check_claims(const struct pod_check *check)
{
    const struct json *claims = json_member(check->spec, "resourceClaims");

    for (uint32_t i = 0; i < items_of(claims); i++) {
        const struct json *claim = json_member(&claims->items[i], "resourceClaimName");
        const struct json *template = json_member(&claims->items[i], "resourceClaimTemplateName");
        struct path *here = NTH(AT(check->at, "resourceClaims"), i);

        if (text_seen_before(claims, i, "name"))
            cause_duplicate_str(check->causes, AT(here, "name"), text_in(&claims->items[i], "name"));
        if (claim && template)
            cause_invalid(check->causes, here, &claims->items[i],
                          "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
        if (!claim && !template)
            cause_invalid(check->causes, here, &claims->items[i],
                          "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
    }
}

static void check_host_aliases(const struct pod_check *check)
{
    const struct json *aliases = json_member(check->spec, "hostAliases");

    for (uint32_t i = 0; i < items_of(aliases); i++)
        cause_format(check->causes, AT(NTH(AT(check->at, "hostAliases"), i), "ip"), FORMAT_IP,
                     text_in(&aliases->items[i], "ip"));
}

/* -- as a whole -- */

void pod_spec_validate(struct causes *causes, const struct path *at, const struct json *spec, const struct json *meta)
{
    const struct pod_check check = { causes, at, spec, meta };
    const struct json *overhead = json_member(spec, "overhead");

    pod_volumes_check(&check);
    check_claims(&check);
    pod_containers_check(&check);
    pod_security_check(&check);
    pod_affinity_check(&check);
    check_dns(&check);
    check_gates(&check);
    check_host_aliases(&check);
    if (overhead) {
        struct json_member limits = { STR("limits"), *overhead };
        const struct json resources = { .kind = JSON_OBJECT, .count = 1, .cap = 1, .members = &limits };

        pod_resources_validate(causes, AT(at, "overhead"), &resources, NULL);
    }
    pod_os_check(&check);
}

void template_check(struct causes *causes, const struct path *at, const struct json *template)
{
    const struct json *meta = json_member(template, "metadata"), *spec = json_member(template, "spec");

    cause_labels(causes, AT(at, "labels"), json_member(meta, "labels"));
    annotations_check(causes, AT(at, "annotations"), json_member(meta, "annotations"));
    pod_annotations_check(causes, AT(at, "annotations"), json_member(meta, "annotations"));
    pod_spec_validate(causes, AT(at, "spec"), spec, NULL);
    if (items_of(json_member(spec, "ephemeralContainers")))
        cause_forbidden(causes, AT(AT(at, "spec"), "ephemeralContainers"),
                        "ephemeral containers not allowed in pod template");
}

void template_check_always(struct causes *causes, const struct path *at, const struct json *template, const char *kind)
{
    static const char *const policies[] = { "Always", NULL };
    const struct json *spec = json_member(template, "spec");
    struct path *here = AT(at, "spec");

    template_check(causes, at, template);
    if (spec && !str_is(text_in(spec, "restartPolicy"), "Always"))
        cause_not_supported(causes, AT(here, "restartPolicy"), text_in(spec, "restartPolicy"), policies);
    if (json_member(spec, "activeDeadlineSeconds"))
        cause_at(causes, CAUSE_FORBIDDEN, AT(here, "activeDeadlineSeconds"),
                 "Forbidden: activeDeadlineSeconds in %s is not Supported", kind);
}
