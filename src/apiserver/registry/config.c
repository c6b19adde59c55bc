/* config.c - config maps and secrets: keys, sizes, types, and the immutable ones; service accounts. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"
#include "codec/base64.h"

#define DATA_MAX (1 << 20)

/* Bytes that base64 text stands for. */
static size_t decoded_len(struct str text)
{
    size_t padding = str_has_suffix(text, STR("==")) ? 2 : str_has_suffix(text, STR("="));

    return text.len / 4 * 3 - MIN(padding, text.len / 4 * 3);
}

/* Checks the keys; the size of all values. */
static size_t check_data(struct causes *causes, const struct json *object, const char *member, bool encoded)
{
    const struct json *data = json_get(object, str_from(member));
    struct path up = path_field(NULL, &type_any, str_from(member));
    size_t total = 0;

    for (uint32_t i = 0; json_is(data, JSON_OBJECT) && i < data->count; i++) {
        struct path at = path_key(&up, data->members[i].key);
        struct str value = json_str(&data->members[i].value);

        cause_format(causes, &at, FORMAT_CONFIG_KEY, data->members[i].key);
        total += encoded ? decoded_len(value) : value.len;
    }
    return total;
}

static void check_immutable_data(struct causes *causes, const struct json *object, const struct json *old)
{
    static const char *const members[] = { "data", "binaryData" };
    static const struct json null = { .kind = JSON_NULL };

    if (!json_bool(json_member(old, "immutable"), false))
        return;
    if (!json_bool(json_member(object, "immutable"), false))
        add_forbidden(causes, STR("immutable"), "field is immutable when `immutable` is set");
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const struct json *a = json_get(object, str_from(members[i])), *b = json_get(old, str_from(members[i]));

        if (!json_equal(a ? a : &null, b ? b : &null))
            add_forbidden(causes, str_from(members[i]), "field is immutable when `immutable` is set");
    }
}

static void validate_configmap(struct request *request, const struct json *map, struct causes *causes)
{
    const struct json *data = json_member(map, "data"), *binary = json_member(map, "binaryData");
    size_t total = check_data(causes, map, "data", false) + check_data(causes, map, "binaryData", true);

    (void)request;
    for (uint32_t i = 0; json_is(binary, JSON_OBJECT) && i < binary->count; i++)
        if (json_get(data, binary->members[i].key))
            add_invalid_str(causes, field_path(causes, "data[" STR_FMT "]", STR_ARG(binary->members[i].key)),
                            binary->members[i].key, "duplicate of key present in binaryData");
    if (total > DATA_MAX)
        causes_add(causes, CAUSE_TOO_LONG, STR(""), "Too long: may not be more than %d bytes", DATA_MAX);
}

static void validate_configmap_update(struct request *request, const struct json *map, const struct json *old,
                                      struct causes *causes)
{
    validate_configmap(request, map, causes);
    check_immutable_data(causes, map, old);
}

/* stringData is the way to write plain text; it never is read back. */
static int prepare_secret(struct request *request, struct json *secret, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *plain = json_member(secret, "stringData"), *data;

    if (json_is(plain, JSON_OBJECT)) {
        data = json_ensure(arena, secret, STR("data"), JSON_OBJECT);
        plain = json_member(secret, "stringData");
        for (uint32_t i = 0; data && i < plain->count; i++) {
            AUTO_DEINIT(buf, encoded) = BUF_INIT;
            struct str text;

            base64_encode(&encoded, json_str(&plain->members[i].value));
            text = buf_ok(&encoded) ? arena_str(arena, buf_str(&encoded)) : STR_NULL;
            if (!text.data || !json_set_str(arena, data, plain->members[i].key, text))
                return out_of_memory(err);
        }
        if (!data)
            return out_of_memory(err);
    }
    json_remove(secret, STR("stringData"));
    return 0;
}

static int prepare_secret_update(struct request *request, struct json *secret, const struct json *old, struct err *err)
{
    struct str type = json_str(json_member(old, "type"));

    if (str_empty(json_str(json_member(secret, "type"))) && !str_empty(type) &&
        !json_set_str(request->arena, secret, STR("type"), type))
        return out_of_memory(err);
    return prepare_secret(request, secret, err);
}

static int default_secret(struct request *request, struct json *secret, struct err *err)
{
    return default_str(request->arena, secret, "type", "Opaque") ? 0 : out_of_memory(err);
}

static void require_key(struct causes *causes, const struct json *secret, const char *key)
{
    if (!json_get(json_member(secret, "data"), str_from(key)))
        add_required(causes, field_path(causes, "data[%s]", key), "");
}

/* Logins are JSON. */
static void check_docker_config(struct causes *causes, const struct json *secret, const char *key)
{
    struct str text = json_str(json_get(json_member(secret, "data"), str_from(key)));
    struct err err = { 0 };
    struct json *parsed;
    struct str plain;

    require_key(causes, secret, key);
    if (!text.data || !base64_decode(causes->arena, text, &plain))
        return;
    if (json_parse(causes->arena, plain, NULL, &parsed, &err) < 0 || parsed->kind != JSON_OBJECT)
        add_invalid_str(causes, field_path(causes, "data[%s]", key), STR("<secret contents redacted>"),
                        "must be valid JSON, an object");
}

static void validate_secret(struct request *request, const struct json *secret, struct causes *causes)
{
    struct str type = json_str(json_member(secret, "type"));

    (void)request;
    if (check_data(causes, secret, "data", true) > DATA_MAX)
        causes_add(causes, CAUSE_TOO_LONG, STR("data"), "Too long: may not be more than %d bytes", DATA_MAX);
    if (str_is(type, "kubernetes.io/service-account-token") &&
        str_empty(
            json_str(json_get(json_at(secret, "metadata.annotations"), STR("kubernetes.io/service-account.name")))))
        add_required(causes, STR("metadata.annotations[kubernetes.io/service-account.name]"), "");
    else if (str_is(type, "kubernetes.io/dockerconfigjson"))
        check_docker_config(causes, secret, ".dockerconfigjson");
    else if (str_is(type, "kubernetes.io/dockercfg"))
        check_docker_config(causes, secret, ".dockercfg");
    else if (str_is(type, "kubernetes.io/ssh-auth") &&
             str_empty(json_str(json_get(json_member(secret, "data"), STR("ssh-privatekey")))))
        add_required(causes, STR("data[ssh-privatekey]"), "");
    else if (str_is(type, "kubernetes.io/basic-auth") &&
             !json_get(json_member(secret, "data"), STR("username")) &&
             !json_get(json_member(secret, "data"), STR("password"))) {
        require_key(causes, secret, "username");
        require_key(causes, secret, "password");
    } else if (str_is(type, "kubernetes.io/tls")) {
        require_key(causes, secret, "tls.crt");
        require_key(causes, secret, "tls.key");
    }
}

static void validate_secret_update(struct request *request, const struct json *secret, const struct json *old,
                                   struct causes *causes)
{
    validate_secret(request, secret, causes);
    check_immutable(causes, STR("type"), json_member(secret, "type"), json_member(old, "type"));
    check_immutable_data(causes, secret, old);
}

const struct rules configmap_rules = {
    .resource = &RESOURCE_CONFIGMAPS,
    .flags = RULE_NO_GENERATION,
    .validate_create = validate_configmap,
    .validate_update = validate_configmap_update,
};
const struct rules secret_rules = {
    .resource = &RESOURCE_SECRETS,
    .flags = RULE_NO_GENERATION,
    .prepare_create = prepare_secret,
    .prepare_update = prepare_secret_update,
    .default_ = default_secret,
    .validate_create = validate_secret,
    .validate_update = validate_secret_update,
};
const struct rules serviceaccount_rules = {
    .resource = &RESOURCE_SERVICEACCOUNTS,
    .flags = RULE_NO_GENERATION,
};
