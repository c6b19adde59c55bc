/* ingress.c - ingresses and their classes. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"

/* -- backends -- */

/* A reference to an object: group, kind and name, each fit to stand in a path. */
static void check_reference(const struct place *ref)
{
    struct place group = place_member(ref, "apiGroup"), kind = place_member(ref, "kind");
    struct place name = place_member(ref, "name");

    if (place_there(&group))
        check_form(&group, NAME_SUBDOMAIN);
    check_segment(&kind);
    check_segment(&name);
}

static void check_service(const struct place *backend, const struct place *service)
{
    struct place port = place_member(service, "port");
    struct place port_name = place_member(&port, "name"), number = place_member(&port, "number");

    if (!place_empty(&port_name) && place_int(&number))
        say_invalid_as(backend, STR(""), "cannot set both port name & port number");
    else if (!place_empty(&port_name))
        check_port_name(backend->causes, place_path(&port_name), place_str(&port_name));
    else if (place_int(&number))
        check_range(&number, 1, 65535, "must be between 1 and 65535, inclusive");
    else
        say_required(backend, "port name or number is required");
}

static void check_backend(const struct place *backend)
{
    struct place resource = place_member(backend, "resource"), service = place_member(backend, "service");

    if (place_there(&resource) && place_there(&service))
        say_invalid_as(backend, STR(""), "cannot set both resource and service backends");
    else if (place_there(&resource))
        check_reference(&resource);
    else if (place_there(&service))
        check_service(backend, &service);
    else
        say_invalid_as(backend, STR(""), "resource or service backend is required");
}

/* -- rules -- */

static void check_absolute(const struct place *path)
{
    static const char *const within[] = { "//", "/./", "/../", "%2f", "%2F" }, *const last[] = { "/..", "/." };
    struct str text = place_str(path);

    if (!str_has_prefix(text, STR("/")))
        say_invalid_as(path, text, "must be an absolute path");
    for (size_t i = 0; i < ARRAY_LEN(within); i++)
        if (str_find(text, str_from(within[i])) >= 0)
            say_invalid(path, "must not contain '%s'", within[i]);
    for (size_t i = 0; i < ARRAY_LEN(last); i++)
        if (str_has_suffix(text, str_from(last[i])))
            say_invalid(path, "cannot end with '%s'", last[i]);
}

static void check_path(const struct place *at)
{
    static const char *const types[] = { "Exact", "ImplementationSpecific", "Prefix", NULL };
    struct place type = place_member(at, "pathType"), path = place_member(at, "path");
    struct place backend = place_member(at, "backend");

    if (!place_there(&type)) {
        say_required(&type, "pathType must be specified");
        return;
    }
    if (check_one_of(&type, types)) {
        if (!place_is(&type, "ImplementationSpecific"))
            check_absolute(&path);
        else if (!place_empty(&path) && !str_has_prefix(place_str(&path), STR("/")))
            say_invalid(&path, "must be an absolute path");
    }
    check_backend(&backend);
}

static void check_rule(const struct place *rule)
{
    struct place host = place_member(rule, "host"), http = place_member(rule, "http");
    struct place paths = place_member(&http, "paths");
    struct ip ip;

    if (!place_empty(&host)) {
        if (ip_parse(place_str(&host), &ip))
            say_invalid(&host, "must be a DNS name, not an IP address");
        check_host(&host);
    }
    place_each (path, &paths)
        check_path(&path);
}

static void check_tls(const struct place *tls)
{
    struct place hosts = place_member(tls, "hosts");

    place_each (host, &hosts)
        check_host(&host);
}

static void check_spec(const struct json *object, struct causes *causes)
{
    struct place ingress = place_object(causes, object), spec = place_member(&ingress, "spec");
    struct place backend = place_member(&spec, "defaultBackend"), rules = place_member(&spec, "rules");
    struct place tls = place_member(&spec, "tls");

    if (!place_count(&rules) && !place_there(&backend))
        causes_add(causes, CAUSE_INVALID, STR("spec"),
                   "Invalid value: null: either `defaultBackend` or `rules` must be specified");
    if (place_there(&backend))
        check_backend(&backend);
    place_each (rule, &rules)
        check_rule(&rule);
    place_each (each, &tls)
        check_tls(&each);
}

static void validate_ingress(struct request *request, const struct json *object, struct causes *causes)
{
    const struct json *class = json_at(object, "spec.ingressClassName");
    const struct json *annotation =
        json_get(json_at(object, "metadata.annotations"), STR("kubernetes.io/ingress.class"));

    (void)request;
    check_spec(object, causes);
    if (annotation && class && !str_eq(json_str(annotation), json_str(class)))
        add_invalid(causes, STR("annotations.kubernetes.io/ingress.class"), annotation,
                    "must match `ingressClassName` when both are specified");
}

static void validate_ingress_update(struct request *request, const struct json *object, const struct json *old,
                                    struct causes *causes)
{
    (void)request;
    (void)old;
    check_spec(object, causes);
}

static void validate_ingress_status(struct request *request, const struct json *object, const struct json *old,
                                    struct causes *causes)
{
    struct place points =
        place_named(causes, "status.loadBalancer.ingress", json_at(object, "status.loadBalancer.ingress"));

    (void)request;
    (void)old;
    place_each (point, &points) {
        struct place address = place_member(&point, "ip"), host = place_member(&point, "hostname");
        struct ip ip;

        if (!place_empty(&address))
            check_ip(&address, &ip);
        if (!place_empty(&host)) {
            check_form(&host, NAME_SUBDOMAIN);
            if (ip_parse(place_str(&host), &ip))
                say_invalid(&host, "must be a DNS name, not an IP address");
        }
    }
}

/* -- classes -- */

/* "example.com/what/ever" */
static void check_controller(const struct place *at)
{
    struct str text = place_str(at);
    ssize_t slash = str_chr(text, '/');

    if (slash <= 0 || (size_t)slash + 1 == text.len) {
        say_invalid(at, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        return;
    }
    struct str host = str_first(text, (size_t)slash), path = str_skip(text, (size_t)slash + 1);
    const char *problem = form_problem(NAME_SUBDOMAIN, host);

    if (problem)
        say_invalid_as(at, host, "%s", problem);
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            (c && strchr("/-._~%!$&'()*+,;=:", c)))
            continue;
        say_invalid_as(at, path, "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%%!$&'()*+,;=:]+')");
        return;
    }
}

static void check_parameters(const struct place *at)
{
    static const char *const scopes[] = { "Cluster", "Namespace", NULL };
    struct place scope = place_member(at, "scope"), ns = place_member(at, "namespace");

    if (!place_there(at))
        return;
    if (!place_there(&scope)) {
        say_required(&scope, "");
        return;
    }
    if (!check_one_of(&scope, scopes))
        return;
    if (place_is(&scope, "Cluster") && place_there(&ns))
        say_forbidden(&ns, "`parameters.scope` is set to 'Cluster'");
    else if (place_is(&scope, "Namespace") && !place_there(&ns))
        say_required(&ns, "`parameters.scope` is set to 'Namespace'");
    else if (place_is(&scope, "Namespace"))
        check_form(&ns, NAME_LABEL);
}

static void validate_class(struct request *request, const struct json *object, struct causes *causes)
{
    struct place class = place_object(causes, object), spec = place_member(&class, "spec");
    struct place controller = place_member(&spec, "controller"), parameters = place_member(&spec, "parameters");

    (void)request;
    if (place_empty(&controller))
        say_required(&controller, "");
    else
        check_controller(&controller);
    check_parameters(&parameters);
}

static void validate_class_update(struct request *request, const struct json *object, const struct json *old,
                                  struct causes *causes)
{
    validate_class(request, object, causes);
}

const struct rules ingress_rules = {
    .resource = &RESOURCE_NETWORKING_K8S_IO_INGRESSES,
    .validate_create = validate_ingress,
    .validate_update = validate_ingress_update,
    .validate_status = validate_ingress_status,
};
const struct rules ingressclass_rules = {
    .resource = &RESOURCE_NETWORKING_K8S_IO_INGRESSCLASSES,
    .validate_create = validate_class,
    .validate_update = validate_class_update,
};
