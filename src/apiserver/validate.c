/* validate.c - names and metadata, and how findings are put into words. */
#include "apiserver/validate.h"

#include "apiserver/request.h"

#define ANNOTATIONS_MAX (256 << 10)
#define MASKED_MAX 253

size_t name_problems(enum name_form form, struct str name, bool generated, const char *out[NAME_PROBLEMS_MAX])
{
    static const enum value_format formats[] = { [NAME_SUBDOMAIN] = FORMAT_SUBDOMAIN,
                                                 [NAME_LABEL] = FORMAT_LABEL,
                                                 [NAME_DNS1035] = FORMAT_DNS1035,
                                                 [NAME_PATH_SEGMENT] = FORMAT_PATH_SEGMENT,
                                                 [NAME_NOT_EMPTY] = FORMAT_PATH_SEGMENT };
    char masked[MASKED_MAX];

    /* A generateName may end in '-' or be a dot: the suffix follows. */
    if (generated && name.len > 1 && name.len <= sizeof masked && form <= NAME_DNS1035 &&
        name.data[name.len - 1] == '-') {
        memcpy(masked, name.data, name.len);
        masked[name.len - 1] = 'a';
        name.data = masked;
    }
    if (generated && form > NAME_DNS1035 && (str_is(name, ".") || str_is(name, "..")))
        return 0;
    return format_problems(formats[form], name, out);
}

struct str field_path(struct causes *causes, const char *fmt, ...)
{
    va_list args;
    struct str path;

    va_start(args, fmt);
    path = arena_vprintf(causes->arena, fmt, args);
    va_end(args);
    return path;
}

void add_required(struct causes *causes, struct str field, const char *why)
{
    causes_add(causes, CAUSE_REQUIRED, field, "Required value%s%s", *why ? ": " : "", why);
}

void add_invalid(struct causes *causes, struct str field, const struct json *value, const char *why)
{
    causes_add(causes, CAUSE_INVALID, field, "Invalid value: " STR_FMT ": %s",
               STR_ARG(cause_value(causes->arena, value)), why);
}

void add_invalid_str(struct causes *causes, struct str field, struct str value, const char *why)
{
    struct json json = { .kind = JSON_STRING, .string = value.data ? value : STR("") };

    add_invalid(causes, field, &json, why);
}

void add_invalid_int(struct causes *causes, struct str field, int64_t value, const char *why)
{
    causes_add(causes, CAUSE_INVALID, field, "Invalid value: %lld: %s", (long long)value, why);
}

void add_forbidden(struct causes *causes, struct str field, const char *why)
{
    causes_add(causes, CAUSE_FORBIDDEN, field, "Forbidden: %s", why);
}

void add_duplicate_str(struct causes *causes, struct str field, struct str value)
{
    causes_add(causes, CAUSE_DUPLICATE, field, "Duplicate value: \"" STR_FMT "\"", STR_ARG(value));
}

void add_not_found(struct causes *causes, struct str field, struct str value)
{
    causes_add(causes, CAUSE_NOT_FOUND, field, "Not found: \"" STR_FMT "\"", STR_ARG(value));
}

void add_not_supported(struct causes *causes, struct str field, struct str value, const char *const *supported)
{
    AUTO_DEINIT(buf, list) = BUF_INIT;

    buf_init(&list, 4096);
    for (size_t i = 0; supported[i]; i++)
        buf_printf(&list, "%s\"%s\"", i ? ", " : "", supported[i]);
    causes_add(causes, CAUSE_NOT_SUPPORTED, field, "Unsupported value: \"" STR_FMT "\": supported values: " STR_FMT,
               STR_ARG(value), STR_ARG(buf_str(&list)));
}

void check_name(struct causes *causes, struct str field, enum name_form form, struct str name)
{
    const char *problems[NAME_PROBLEMS_MAX];
    size_t count = name_problems(form, name, false, problems);

    for (size_t i = 0; i < count; i++)
        add_invalid_str(causes, field, name, problems[i]);
}

static void check_format(struct causes *causes, struct str field, enum value_format format, struct str value)
{
    const char *problems[FORMAT_PROBLEMS_MAX];
    size_t count = format_problems(format, value, problems);

    for (size_t i = 0; i < count; i++)
        add_invalid_str(causes, field, value, problems[i]);
}

void check_labels(struct causes *causes, struct str field, const struct json *labels)
{
    for (uint32_t i = 0; json_is(labels, JSON_OBJECT) && i < labels->count; i++) {
        check_format(causes, field, FORMAT_KEY, labels->members[i].key);
        check_format(causes, field, FORMAT_LABEL_VALUE, json_str(&labels->members[i].value));
    }
}

void check_not_negative(struct causes *causes, struct str field, const struct json *value)
{
    if (value && json_int(value, 0) < 0)
        add_invalid(causes, field, value, "must be greater than or equal to 0");
}

void check_port_number(struct causes *causes, struct str field, int64_t port)
{
    if (port < 1 || port > 65535)
        add_invalid_int(causes, field, port, "must be between 1 and 65535, inclusive");
}

void check_port_name(struct causes *causes, struct str field, struct str name)
{
    check_format(causes, field, FORMAT_PORT_NAME, name);
}

void check_immutable(struct causes *causes, struct str field, const struct json *value, const struct json *old)
{
    static const struct json null = { .kind = JSON_NULL };

    if (!json_equal(value ? value : &null, old ? old : &null))
        add_invalid(causes, field, value ? value : &null, "field is immutable");
}

static bool name_has_upper(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            return true;
    return false;
}

void annotations_check(struct causes *causes, const struct path *path, const struct json *annotations)
{
    size_t total = 0;

    for (uint32_t i = 0; json_is(annotations, JSON_OBJECT) && i < annotations->count; i++) {
        const struct json_member *annotation = &annotations->members[i];
        const char *problems[FORMAT_PROBLEMS_MAX];
        struct str key = annotation->key;
        AUTO_FREE char *lower = NULL;
        size_t count;

        if (name_has_upper(key) && (lower = str_dup(key))) {
            for (size_t j = 0; j < key.len; j++)
                if (lower[j] >= 'A' && lower[j] <= 'Z')
                    lower[j] = (char)(lower[j] - 'A' + 'a');
            key.data = lower;
        }
        count = format_problems(FORMAT_KEY, key, problems);
        for (size_t j = 0; j < count; j++)
            cause_invalid_str(causes, path, annotation->key, problems[j]);
        total += annotation->key.len + json_str(&annotation->value).len;
    }
    if (total > ANNOTATIONS_MAX)
        cause_too_long(causes, path, ANNOTATIONS_MAX);
}

static void check_owner(struct causes *causes, const struct json *owner)
{
    static const struct {
        const char *member, *why;
    } wanted[] = { { "apiVersion", "version must not be empty" },
                   { "kind", "must not be empty" },
                   { "name", "must not be empty" },
                   { "uid", "must not be empty" } };

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (str_empty(json_str(json_get(owner, str_from(wanted[i].member)))))
            add_invalid_str(causes, field_path(causes, "metadata.ownerReferences.%s", wanted[i].member), STR(""),
                            wanted[i].why);
    if (str_is(json_str(json_member(owner, "apiVersion")), "v1") &&
        str_is(json_str(json_member(owner, "kind")), "Event"))
        add_invalid(causes, STR("metadata.ownerReferences"), owner,
                    "/v1, Kind=Event is disallowed from being an owner");
}

static void check_owners(struct causes *causes, const struct json *owners)
{
    const struct json *first = NULL;

    for (uint32_t i = 0; json_is(owners, JSON_ARRAY) && i < owners->count; i++) {
        const struct json *owner = &owners->items[i];

        check_owner(causes, owner);
        if (!json_bool(json_member(owner, "controller"), false))
            continue;
        if (first)
            causes_add(causes, CAUSE_INVALID, STR("metadata.ownerReferences"),
                       "Invalid value: " STR_FMT ": Only one reference can have Controller set to true. Found \"true\" "
                       "in references for " STR_FMT "/" STR_FMT " and " STR_FMT "/" STR_FMT,
                       STR_ARG(cause_value(causes->arena, owners)), STR_ARG(json_str(json_member(first, "kind"))),
                       STR_ARG(json_str(json_member(first, "name"))), STR_ARG(json_str(json_member(owner, "kind"))),
                       STR_ARG(json_str(json_member(owner, "name"))));
        else
            first = owner;
    }
}

/* few: those without a domain are of a few kinds. */
static void check_finalizers(struct causes *causes, const struct json *finalizers, bool few)
{
    static const char *const known[] = { "kubernetes", "orphan", "foregroundDeletion" };
    bool orphan = false, foreground = false;

    for (uint32_t i = 0; json_is(finalizers, JSON_ARRAY) && i < finalizers->count; i++) {
        struct str name = json_str(&finalizers->items[i]);
        bool is_known = str_chr(name, '/') >= 0;

        check_format(causes, STR("metadata.finalizers"), FORMAT_KEY, name);
        for (size_t j = 0; j < ARRAY_LEN(known); j++)
            is_known = is_known || str_is(name, known[j]);
        if (few && !is_known)
            add_invalid_str(causes, field_path(causes, "metadata.finalizers[%u]", i), name,
                            "name is neither a standard finalizer name nor is it fully qualified");
        orphan = orphan || str_is(name, "orphan");
        foreground = foreground || str_is(name, "foregroundDeletion");
    }
    if (orphan && foreground)
        add_invalid(causes, STR("metadata.finalizers"), finalizers,
                    "finalizer orphan and foregroundDeletion cannot be both set");
}

static bool finalizers_are_known(const struct resource *resource)
{
    return !resource_is_custom(resource) && !str_is(resource->group, "apiextensions.k8s.io") &&
           !str_is(resource->group, "apiregistration.k8s.io");
}

static void check_meta_parts(struct request *request, struct causes *causes, const struct json *meta)
{
    check_labels(causes, STR("metadata.labels"), json_member(meta, "labels"));
    struct path up = path_member(NULL, STR("metadata")), at = path_member(&up, STR("annotations"));

    annotations_check(causes, &at, json_member(meta, "annotations"));
    check_owners(causes, json_member(meta, "ownerReferences"));
    check_finalizers(causes, json_member(meta, "finalizers"), finalizers_are_known(request->resource));
}

void validate_meta(struct request *request, const struct json *object, struct causes *causes)
{
    const struct json *meta = json_member(object, "metadata");
    struct str name = json_str(json_member(meta, "name")), prefix = json_str(json_member(meta, "generateName"));
    const char *problems[NAME_PROBLEMS_MAX];
    size_t count = str_empty(prefix) ? 0 : name_problems(request->rules->name_form, prefix, true, problems);

    for (size_t i = 0; i < count; i++)
        add_invalid_str(causes, STR("metadata.generateName"), prefix, problems[i]);
    if (str_empty(name))
        add_required(causes, STR("metadata.name"), "name or generateName is required");
    else
        check_name(causes, STR("metadata.name"), request->rules->name_form, name);
    if (request->resource->namespaced)
        check_name(causes, STR("metadata.namespace"), NAME_LABEL, json_str(json_member(meta, "namespace")));
    check_meta_parts(request, causes, meta);
}

static bool has_string(const struct json *array, struct str s)
{
    for (uint32_t i = 0; json_is(array, JSON_ARRAY) && i < array->count; i++)
        if (str_eq(json_str(&array->items[i]), s))
            return true;
    return false;
}

void validate_meta_update(struct request *request, const struct json *object, const struct json *old,
                          struct causes *causes)
{
    const struct json *meta = json_member(object, "metadata"), *old_meta = json_member(old, "metadata");
    const struct json *finalizers = json_member(meta, "finalizers");

    check_meta_parts(request, causes, meta);
    check_immutable(causes, STR("metadata.name"), json_member(meta, "name"), json_member(old_meta, "name"));
    if (!json_member(old_meta, "deletionTimestamp"))
        return;
    for (uint32_t i = 0; json_is(finalizers, JSON_ARRAY) && i < finalizers->count; i++) {
        struct str name = json_str(&finalizers->items[i]);

        if (!has_string(json_member(old_meta, "finalizers"), name))
            causes_add(causes, CAUSE_FORBIDDEN, STR("metadata.finalizers"),
                       "Forbidden: no new finalizers can be added if the object is being deleted, found new "
                       "finalizers []string{\"" STR_FMT "\"}",
                       STR_ARG(name));
    }
}
