/* validate.c - names and metadata. The scanners below are the regular expressions that the messages quote. */
#include "apiserver/validate.h"

#include "apiserver/request.h"

#define LABEL_MAX 63
#define SUBDOMAIN_MAX 253
#define ANNOTATIONS_MAX (256 << 10)

#define SUBDOMAIN_TEXT                                                                                               \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start " \
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "                      \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_TEXT                                                                                                  \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end " \
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "                  \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define DNS1035_TEXT                                                                                                   \
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, " \
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "             \
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
#define QUALIFIED_TEXT                                                                                                 \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " \
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "                                      \
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define LABEL_VALUE_TEXT                                                                                              \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "   \
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation " \
    "is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])?, length aside. */
static bool label_chars(struct str s)
{
    if (str_empty(s) || s.data[0] == '-' || s.data[s.len - 1] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_lower(s.data[i]) && !is_digit(s.data[i]) && s.data[i] != '-')
            return false;
    return true;
}

static bool subdomain_chars(struct str s)
{
    struct str part;

    if (str_empty(s))
        return false;
    while (str_split(&s, '.', &part))
        if (!label_chars(part))
            return false;
    return true;
}

/* ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9] */
static bool qualified_chars(struct str s)
{
    if (str_empty(s) || !is_alnum(s.data[0]) || !is_alnum(s.data[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.data[i]) && s.data[i] != '-' && s.data[i] != '_' && s.data[i] != '.')
            return false;
    return true;
}

bool name_is_label(struct str name)
{
    return name.len <= LABEL_MAX && label_chars(name);
}

bool name_is_subdomain(struct str name)
{
    return name.len <= SUBDOMAIN_MAX && subdomain_chars(name);
}

bool name_is_dns1035(struct str name)
{
    return name_is_label(name) && is_lower(name.data[0]);
}

bool name_is_port(struct str name)
{
    bool letter = false;

    if (!label_chars(name) || name.len > 15 || str_find(name, STR("--")) >= 0)
        return false;
    for (size_t i = 0; i < name.len; i++)
        letter = letter || is_lower(name.data[i]);
    return letter;
}

const char *qualified_name_problem(struct str name)
{
    ssize_t slash = str_chr(name, '/');
    struct str part = name;

    if (slash >= 0) {
        struct str prefix = str_first(name, (size_t)slash);

        part = str_skip(name, (size_t)slash + 1);
        if (str_chr(part, '/') >= 0)
            return "a qualified name " QUALIFIED_TEXT " with an optional DNS subdomain prefix and '/' (e.g. "
                   "'example.com/MyName')";
        if (str_empty(prefix))
            return "prefix part must be non-empty";
        if (prefix.len > SUBDOMAIN_MAX)
            return "prefix part must be no more than 253 characters";
        if (!subdomain_chars(prefix))
            return "prefix part " SUBDOMAIN_TEXT;
    }
    if (str_empty(part))
        return "name part must be non-empty";
    if (part.len > LABEL_MAX)
        return "name part must be no more than 63 characters";
    return qualified_chars(part) ? NULL : "name part " QUALIFIED_TEXT;
}

const char *label_value_problem(struct str value)
{
    if (value.len > LABEL_MAX)
        return "must be no more than 63 characters";
    return str_empty(value) || qualified_chars(value) ? NULL : LABEL_VALUE_TEXT;
}

static size_t path_segment_problems(struct str name, bool generated, const char **out)
{
    size_t n = 0;

    if (!generated && (str_is(name, ".") || str_is(name, "..")))
        out[n++] = str_is(name, ".") ? "may not be '.'" : "may not be '..'";
    if (n < NAME_PROBLEMS_MAX && str_chr(name, '/') >= 0)
        out[n++] = "may not contain '/'";
    if (n < NAME_PROBLEMS_MAX && str_chr(name, '%') >= 0)
        out[n++] = "may not contain '%'";
    return n;
}

size_t name_problems(enum name_form form, struct str name, bool generated, const char *out[NAME_PROBLEMS_MAX])
{
    size_t max = form == NAME_SUBDOMAIN ? SUBDOMAIN_MAX : LABEL_MAX, n = 0;
    char masked[SUBDOMAIN_MAX + 1];

    if (form == NAME_PATH_SEGMENT || form == NAME_NOT_EMPTY)
        return path_segment_problems(name, generated, out);
    if (name.len > max)
        out[n++] = max == LABEL_MAX ? "must be no more than 63 characters" : "must be no more than 253 characters";
    /* A generateName may end in '-': the suffix follows. */
    if (generated && name.len > 1 && name.data[name.len - 1] == '-' && name.len <= SUBDOMAIN_MAX) {
        memcpy(masked, name.data, name.len);
        masked[name.len - 1] = 'a';
        name.data = masked;
    }
    if (form == NAME_SUBDOMAIN && !subdomain_chars(name))
        out[n++] = SUBDOMAIN_TEXT;
    else if (form == NAME_LABEL && !label_chars(name))
        out[n++] = LABEL_TEXT;
    else if (form == NAME_DNS1035 && !(label_chars(name) && is_lower(name.data[0])))
        out[n++] = DNS1035_TEXT;
    return n;
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

void check_labels(struct causes *causes, struct str field, const struct json *labels)
{
    for (uint32_t i = 0; json_is(labels, JSON_OBJECT) && i < labels->count; i++) {
        const struct json_member *label = &labels->members[i];
        const char *problem = qualified_name_problem(label->key);

        if (problem)
            add_invalid_str(causes, field, label->key, problem);
        if ((problem = label_value_problem(json_str(&label->value))))
            add_invalid_str(causes, field, json_str(&label->value), problem);
    }
}

static void check_requirement(struct causes *causes, struct str field, const struct json *requirement)
{
    static const char *const operators[] = { "DoesNotExist", "Exists", "In", "NotIn", NULL };
    struct str op = json_str(json_member(requirement, "operator")), key = json_str(json_member(requirement, "key"));
    const struct json *values = json_member(requirement, "values");
    uint32_t count = json_is(values, JSON_ARRAY) ? values->count : 0;
    const char *problem = qualified_name_problem(key);

    if (str_is(op, "In") || str_is(op, "NotIn")) {
        if (!count)
            add_required(causes, field_path(causes, STR_FMT ".values", STR_ARG(field)),
                         "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (str_is(op, "Exists") || str_is(op, "DoesNotExist")) {
        if (count)
            add_forbidden(causes, field_path(causes, STR_FMT ".values", STR_ARG(field)),
                          "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
        add_not_supported(causes, field_path(causes, STR_FMT ".operator", STR_ARG(field)), op, operators);
    }
    if (problem)
        add_invalid_str(causes, field_path(causes, STR_FMT ".key", STR_ARG(field)), key, problem);
    for (uint32_t i = 0; i < count; i++)
        if ((problem = label_value_problem(json_str(&values->items[i]))))
            add_invalid_str(causes, field_path(causes, STR_FMT ".values[%u]", STR_ARG(field), i),
                            json_str(&values->items[i]), problem);
}

void check_label_selector(struct causes *causes, struct str field, const struct json *selector)
{
    const struct json *expressions = json_member(selector, "matchExpressions");

    check_labels(causes, field_path(causes, STR_FMT ".matchLabels", STR_ARG(field)),
                 json_member(selector, "matchLabels"));
    for (uint32_t i = 0; json_is(expressions, JSON_ARRAY) && i < expressions->count; i++)
        check_requirement(causes, field_path(causes, STR_FMT ".matchExpressions[%u]", STR_ARG(field), i),
                          &expressions->items[i]);
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
    bool letter = false;

    if (name.len > 15)
        add_invalid_str(causes, field, name, "must be no more than 15 characters");
    for (size_t i = 0; i < name.len; i++) {
        letter = letter || is_lower(name.data[i]);
        if (is_lower(name.data[i]) || is_digit(name.data[i]) || name.data[i] == '-')
            continue;
        add_invalid_str(causes, field, name, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
        return;
    }
    if (!letter)
        add_invalid_str(causes, field, name, "must contain at least one letter (a-z)");
    if (str_find(name, STR("--")) >= 0)
        add_invalid_str(causes, field, name, "must not contain consecutive hyphens");
    if (name.len && (name.data[0] == '-' || name.data[name.len - 1] == '-'))
        add_invalid_str(causes, field, name, "must not begin or end with a hyphen");
}

void check_immutable(struct causes *causes, struct str field, const struct json *value, const struct json *old)
{
    static const struct json null = { .kind = JSON_NULL };

    if (!json_equal(value ? value : &null, old ? old : &null))
        add_invalid(causes, field, value ? value : &null, "field is immutable");
}

static void check_annotations(struct causes *causes, const struct json *annotations)
{
    struct str field = STR("metadata.annotations");
    size_t total = 0;

    for (uint32_t i = 0; json_is(annotations, JSON_OBJECT) && i < annotations->count; i++) {
        const struct json_member *annotation = &annotations->members[i];
        AUTO_FREE char *lower = str_dup(annotation->key);
        const char *problem;

        for (size_t j = 0; lower && j < annotation->key.len; j++)
            if (lower[j] >= 'A' && lower[j] <= 'Z')
                lower[j] = (char)(lower[j] - 'A' + 'a');
        problem = qualified_name_problem(lower ? str_of(lower, annotation->key.len) : annotation->key);
        if (problem)
            add_invalid_str(causes, field, annotation->key, problem);
        total += annotation->key.len + json_str(&annotation->value).len;
    }
    if (total > ANNOTATIONS_MAX)
        causes_add(causes, CAUSE_TOO_LONG, field, "Too long: may not be more than %d bytes", ANNOTATIONS_MAX);
}

static void check_owners(struct causes *causes, const struct json *owners)
{
    static const char *const required[] = { "apiVersion", "kind", "name", "uid" };
    unsigned controllers = 0;

    for (uint32_t i = 0; json_is(owners, JSON_ARRAY) && i < owners->count; i++) {
        for (size_t j = 0; j < ARRAY_LEN(required); j++)
            if (str_empty(json_str(json_get(&owners->items[i], str_from(required[j])))))
                add_invalid_str(causes, field_path(causes, "metadata.ownerReferences[%u].%s", i, required[j]), STR(""),
                                "must not be empty");
        controllers += json_bool(json_member(&owners->items[i], "controller"), false);
    }
    if (controllers > 1)
        add_invalid(causes, STR("metadata.ownerReferences"), owners,
                    "Only one reference can have Controller set to true");
}

static void check_finalizers(struct causes *causes, const struct json *finalizers)
{
    bool orphan = false, foreground = false;

    for (uint32_t i = 0; json_is(finalizers, JSON_ARRAY) && i < finalizers->count; i++) {
        struct str name = json_str(&finalizers->items[i]);
        const char *problem = qualified_name_problem(name);

        if (problem)
            add_invalid_str(causes, STR("metadata.finalizers"), name, problem);
        orphan = orphan || str_is(name, "orphan");
        foreground = foreground || str_is(name, "foregroundDeletion");
    }
    if (orphan && foreground)
        add_invalid(causes, STR("metadata.finalizers"), finalizers,
                    "finalizer orphan and foregroundDeletion cannot be both set");
}

static void check_meta_parts(struct causes *causes, const struct json *meta)
{
    check_labels(causes, STR("metadata.labels"), json_member(meta, "labels"));
    check_annotations(causes, json_member(meta, "annotations"));
    check_owners(causes, json_member(meta, "ownerReferences"));
    check_finalizers(causes, json_member(meta, "finalizers"));
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
    check_meta_parts(causes, meta);
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

    (void)request;
    check_meta_parts(causes, meta);
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
