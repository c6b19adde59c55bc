/* certificates.c - requests for certificates: what is asked is fixed, who asks is said by the server, and approval and
 * certificate come over subresources of their own. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"
#include "apiserver/server.h"
#include "codec/base64.h"
#include "schema/time.h"

#define SECONDS_MIN 600
#define SIGNER_MAX 571 /* a domain, a slash, and the names of a signer */
#define DOMAIN_MAX 253
#define LEGACY_SIGNER "kubernetes.io/legacy-unknown"

/* -- what the server sets -- */

static int set_asker(struct request *request, struct json *spec, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *groups;

    json_remove(spec, STR("uid"));
    json_remove(spec, STR("groups"));
    json_remove(spec, STR("extra"));
    if (!json_set_str(arena, spec, STR("username"), request->user.name))
        return out_of_memory(err);
    if (!request->user.group_count)
        return 0;
    groups = json_ensure(arena, spec, STR("groups"), JSON_ARRAY);
    for (size_t i = 0; groups && i < request->user.group_count; i++)
        if (!json_append(arena, groups, json_new_str(arena, request->user.groups[i])))
            return out_of_memory(err);
    return groups ? 0 : out_of_memory(err);
}

static int prepare_create(struct request *request, struct json *object, struct err *err)
{
    struct json *spec = json_ensure(request->arena, object, STR("spec"), JSON_OBJECT);

    return spec ? set_asker(request, spec, err) : out_of_memory(err);
}

/* Only metadata changes once it is there. */
static int prepare_update(struct request *request, struct json *object, const struct json *old, struct err *err)
{
    const struct json *spec = json_member(old, "spec");
    struct json *copy = spec ? json_copy(request->arena, spec) : NULL;

    return copy && json_set(request->arena, object, STR("spec"), copy) ? 0 : out_of_memory(err);
}

static bool is_unset(const struct json *object, const char *name)
{
    return str_empty(json_str(json_get(object, str_from(name))));
}

/* New conditions are dated. */
static int prepare_status(struct request *request, struct json *object, const struct json *old, struct err *err)
{
    struct json *list = json_at(object, "status.conditions");
    char text[API_TIME_LEN];
    struct str now = arena_str(request->arena, api_time_text(clock_wall(request->server->options.clock), text));
    static const char *const times[] = { "lastUpdateTime", "lastTransitionTime" };

    (void)old;
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        for (size_t j = 0; j < ARRAY_LEN(times); j++)
            if (is_unset(&list->items[i], times[j]) &&
                !json_set_str(request->arena, &list->items[i], str_from(times[j]), now))
                return out_of_memory(err);
    return 0;
}

/* -- PEM -- */

/* The decoded base64 of a field as a file in memory; NULL: it is none. */
static BIO *open_pem(const struct place *at)
{
    struct str bytes;

    if (!base64_decode(at->causes->arena, place_str(at), &bytes) || bytes.len > INT32_MAX)
        return NULL;
    return BIO_new_mem_buf(bytes.data ? bytes.data : "", (int)bytes.len);
}

static const char *request_problem(BIO *bio)
{
    const char *problem = NULL;
    unsigned char *data = NULL;
    char *name = NULL, *header = NULL;
    long len = 0;

    if (!bio || PEM_read_bio(bio, &name, &header, &data, &len) != 1 || strcmp(name, "CERTIFICATE REQUEST") != 0) {
        problem = "PEM block type must be CERTIFICATE REQUEST";
    } else {
        const unsigned char *p = data;
        X509_REQ *csr = d2i_X509_REQ(NULL, &p, len);
        EVP_PKEY *key = csr ? X509_REQ_get0_pubkey(csr) : NULL;

        if (!csr)
            problem = "x509: malformed certificate request";
        else if (p != data + len)
            problem = "asn1: syntax error: trailing data";
        else if (!key)
            problem = "x509: cannot verify signature: algorithm unimplemented";
        else if (X509_REQ_verify(csr, key) != 1)
            problem = "x509: signature of the certificate request does not match";
        X509_REQ_free(csr);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    ERR_clear_error();
    return problem;
}

static void check_request(const struct place *at)
{
    BIO *bio = open_pem(at);
    const char *problem = request_problem(bio);

    BIO_free(bio);
    if (problem)
        say_invalid_as(at, place_str(at), "%s", problem);
}

/* One block of a certificate; false: there was none left. */
static bool next_block(BIO *bio, const char **ret_problem)
{
    unsigned char *data = NULL;
    char *name = NULL, *header = NULL;
    long len = 0;
    bool found = bio && PEM_read_bio(bio, &name, &header, &data, &len) == 1;

    if (found) {
        const unsigned char *p = data;
        X509 *cert = NULL;

        if (strcmp(name, "CERTIFICATE") != 0)
            *ret_problem = "only CERTIFICATE PEM blocks are allowed";
        else if (header && *header)
            *ret_problem = "no PEM block headers are permitted";
        else if (!(cert = d2i_X509(NULL, &p, len)))
            *ret_problem = "x509: malformed certificate";
        X509_free(cert);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    ERR_clear_error();
    return found;
}

static void check_certificate(const struct place *at)
{
    const char *problem = NULL;
    size_t blocks = 0;

    if (place_empty(at))
        return;
    BIO *bio = open_pem(at);
    while (!problem && next_block(bio, &problem))
        blocks++;
    BIO_free(bio);
    if (!problem && !blocks)
        problem = "must contain at least one CERTIFICATE PEM block";
    if (problem)
        say_invalid_as(at, STR("<certificate data>"), "%s", problem);
}

/* -- the spec -- */

/* Each part between dots is a name; the first one that is not is told. */
static void check_parts(const struct place *at, struct str whole, enum name_form form)
{
    struct str rest = whole, part;
    const char *problem;

    while (str_split(&rest, '.', &part))
        if ((problem = form_problem(form, part))) {
            say_invalid_as(at, whole, "validating label \"" STR_FMT "\": %s", STR_ARG(part), problem);
            return;
        }
}

/* "example.com/namespace.name": a domain, and what tells its signers apart. */
static void check_signer(const struct place *at)
{
    struct str name = place_str(at), domain, path;
    ssize_t slash = str_chr(name, '/');

    if (str_empty(name))
        return;
    if (str_is(name, LEGACY_SIGNER)) {
        say_invalid(at, "the legacy signerName is not allowed via this API version");
        return;
    }
    if (slash < 0 || str_chr(str_skip(name, (size_t)slash + 1), '/') >= 0) {
        say_invalid(at, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
        return;
    }
    domain = str_first(name, (size_t)slash);
    path = str_skip(name, (size_t)slash + 1);
    if (domain.len > DOMAIN_MAX)
        say_too_long(at, DOMAIN_MAX);
    check_parts(at, domain, NAME_LABEL);
    if (str_chr(domain, '.') < 0)
        say_invalid_as(at, domain, "should be a domain with at least two segments separated by dots");
    check_parts(at, path, NAME_SUBDOMAIN);
    if (name.len > SIGNER_MAX)
        say_too_long(at, SIGNER_MAX);
}

static void check_spec(const struct json *object, struct causes *causes)
{
    struct place csr = place_object(causes, object), spec = place_member(&csr, "spec");
    struct place pem = place_member(&spec, "request"), usages = place_member(&spec, "usages");
    struct place signer = place_member(&spec, "signerName"), seconds = place_member(&spec, "expirationSeconds");

    check_request(&pem);
    if (!place_count(&usages))
        say_required(&usages, "");
    check_unique(&usages);
    check_signer(&signer);
    check_range(&seconds, SECONDS_MIN, INT64_MAX, "may not specify a duration less than 600 seconds (10 minutes)");
}

/* -- the status -- */

static bool is_decided(const struct place *type)
{
    return place_is(type, "Approved") || place_is(type, "Denied") || place_is(type, "Failed");
}

static const struct json *find_condition(const struct json *object, const char *type)
{
    const struct json *list = json_at(object, "status.conditions");

    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        if (str_is(json_str(json_member(&list->items[i], "type")), type))
            return &list->items[i];
    return NULL;
}

static void check_conditions(const struct json *object, struct causes *causes)
{
    static const char *const any[] = { "False", "True", "Unknown", NULL }, *const yes[] = { "True", NULL };
    struct place list = place_named(causes, "status.conditions", json_at(object, "status.conditions"));
    bool approved = false, denied = false;

    place_each (condition, &list) {
        struct place type = place_member(&condition, "type"), status = place_member(&condition, "status");

        check_required(&type, "");
        check_required(&status, "");
        if (!place_empty(&status))
            check_one_of(&status, is_decided(&type) ? yes : any);
        if ((place_is(&type, "Approved") && denied) || (place_is(&type, "Denied") && approved))
            say_invalid(&type, "Approved and Denied conditions are mutually exclusive");
        approved |= place_is(&type, "Approved");
        denied |= place_is(&type, "Denied");
        for (uint32_t i = place_lookback(&condition); i < condition.index; i++)
            if (str_eq(place_str(&type), json_str(json_member(&list.json->items[i], "type")))) {
                say_duplicate(&type);
                break;
            }
    }
}

/* What was decided stays decided; and only /approval decides. */
static void check_decisions(const struct json *object, const struct json *old, bool approval, struct causes *causes)
{
    static const char *const types[] = { "Approved", "Denied", "Failed" };
    struct str field = STR("status.conditions");

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const struct json *before = find_condition(old, types[i]), *now = find_condition(object, types[i]);
        bool free = approval || i == 2;

        if (before && !now)
            causes_add(causes, CAUSE_FORBIDDEN, field, "Forbidden: updates may not remove a condition of type \"%s\"",
                       types[i]);
        else if (!free && now && !before)
            causes_add(causes, CAUSE_FORBIDDEN, field, "Forbidden: updates may not add a condition of type \"%s\"",
                       types[i]);
        else if (!free && now && !json_equal(now, before))
            causes_add(causes, CAUSE_FORBIDDEN, field, "Forbidden: updates may not modify a condition of type \"%s\"",
                       types[i]);
    }
}

static void validate_create(struct request *request, const struct json *object, struct causes *causes)
{
    (void)request;
    check_spec(object, causes);
}

static void validate_update(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    (void)request;
    (void)old;
    check_spec(object, causes);
}

static void validate_status(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    struct place certificate = place_named(causes, "status.certificate", json_at(object, "status.certificate"));
    struct str before = json_str_at(old, "status.certificate");
    bool approval = str_is(request->subresource->name, "approval");

    check_conditions(object, causes);
    check_decisions(object, old, approval, causes);
    if (str_eq(place_str(&certificate), before))
        return;
    check_certificate(&certificate);
    if (approval)
        say_forbidden(&certificate, "updates may not set certificate content");
    else if (!str_empty(before))
        say_forbidden(&certificate, "updates may not modify existing certificate content");
}

const struct rules certificatesigningrequest_rules = {
    .resource = &RESOURCE_CERTIFICATES_K8S_IO_CERTIFICATESIGNINGREQUESTS,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION,
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .prepare_status = prepare_status,
    .validate_create = validate_create,
    .validate_update = validate_update,
    .validate_status = validate_status,
};
