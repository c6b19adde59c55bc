/* pod_probe.c - probes, and what is done at turns of a container's life: one handler each. Ranges are in the table. */
#include "apiserver/registry/pod_check.h"

static bool is_header_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return !str_empty(name);
}

static void check_http(struct causes *causes, const struct path *at, const struct json *http)
{
    const struct json *headers = json_member(http, "httpHeaders");

    for (uint32_t i = 0; i < items_of(headers); i++) {
        struct str name = text_in(&headers->items[i], "name");

        if (!is_header_name(name))
            cause_invalid_str(causes, AT(at, "httpHeaders"), name,
                              "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
                              "'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')");
    }
}

static void check_sleep(const struct pod_check *check, const struct path *at, const struct json *sleep)
{
    int64_t grace = json_int(json_member(check->spec, "terminationGracePeriodSeconds"), 30);
    int64_t seconds = json_int(json_member(sleep, "seconds"), 0);

    if (seconds < 0 || seconds > grace)
        cause_at(check->causes, CAUSE_INVALID, at,
                 "Invalid value: %lld: must be non-negative and less than terminationGracePeriodSeconds (%lld)",
                 (long long)seconds, (long long)grace);
}

/* exec, httpGet, tcpSocket, grpc, sleep: the first is checked, any other is one too many. */
static void check_handler(const struct pod_check *check, const struct path *at, const struct json *handler)
{
    static const char *const kinds[] = { "exec", "httpGet", "tcpSocket", "grpc", "sleep" };
    struct causes *causes = check->causes;
    bool found = false;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct json *action = json_get(handler, str_from(kinds[i]));
        struct path here = path_member(at, str_from(kinds[i]));

        if (!action)
            continue;
        if (found)
            cause_forbidden(causes, &here, "may not specify more than 1 handler type");
        else if (i == 0 && !items_of(json_member(action, "command")))
            cause_required(causes, AT(&here, "command"), "");
        else if (i == 1)
            check_http(causes, &here, action);
        else if (i == 4)
            check_sleep(check, &here, action);
        found = true;
    }
    if (!found)
        cause_required(causes, at, "must specify a handler type");
}

static void check_probe(const struct pod_check *check, const struct path *at, const struct json *probe, bool readiness)
{
    int64_t threshold = json_int(json_member(probe, "successThreshold"), 1);
    const struct json *grace = json_member(probe, "terminationGracePeriodSeconds");

    if (!probe)
        return;
    check_handler(check, at, probe);
    if (!readiness && threshold != 1)
        cause_invalid_int(check->causes, AT(at, "successThreshold"), threshold, "must be 1");
    if (readiness && grace)
        cause_invalid(check->causes, AT(at, "terminationGracePeriodSeconds"), grace,
                      "must not be set for readinessProbes");
}

void probes_check(const struct pod_check *check, const struct path *at, const struct json *container)
{
    const struct json *start = json_at(container, "lifecycle.postStart"), *stop = json_at(container, "lifecycle.preStop");

    if (start)
        check_handler(check, AT(AT(at, "lifecycle"), "postStart"), start);
    if (stop)
        check_handler(check, AT(AT(at, "lifecycle"), "preStop"), stop);
    check_probe(check, AT(at, "livenessProbe"), json_member(container, "livenessProbe"), false);
    check_probe(check, AT(at, "readinessProbe"), json_member(container, "readinessProbe"), true);
    check_probe(check, AT(at, "startupProbe"), json_member(container, "startupProbe"), false);
}
