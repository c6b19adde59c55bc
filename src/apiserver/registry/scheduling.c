/* scheduling.c - priority classes. */
#include "api/resources.h"
#include "apiserver/overlay.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"
#include "apiserver/server.h"

#define USER_MAX 1000000000
#define SCAN_ARENA (4u << 20)

/* The names that begin with "system-". */
static const struct {
    const char *name;
    int64_t value;
} system_classes[] = {
    { "system-node-critical", 2000001000 },
    { "system-cluster-critical", 2000000000 },
};

#define RESERVED "priority class names with 'system-' prefix are reserved for system use only. error: "

static void check_system_class(const struct place *class, const struct place *name)
{
    struct place value = place_member(class, "value"), global = place_member(class, "globalDefault");
    struct str text = place_str(name);

    for (size_t i = 0; i < ARRAY_LEN(system_classes); i++) {
        if (!place_is(name, system_classes[i].name))
            continue;
        if (place_int(&value) != system_classes[i].value)
            say_forbidden(name, RESERVED "value of " STR_FMT " PriorityClass must be %lld", STR_ARG(text),
                          (long long)system_classes[i].value);
        else if (json_bool(global.json, false))
            say_forbidden(name, RESERVED "globalDefault of " STR_FMT " PriorityClass must be false", STR_ARG(text));
        return;
    }
    say_forbidden(name, RESERVED STR_FMT " is not a known system priority class", STR_ARG(text));
}

static void validate(struct request *request, const struct json *object, struct causes *causes)
{
    struct place class = place_object(causes, object), meta = place_member(&class, "metadata");
    struct place name = place_member(&meta, "name"), value = place_member(&class, "value");

    (void)request;
    if (str_has_prefix(place_str(&name), STR("system-")))
        check_system_class(&class, &name);
    else if (place_int(&value) > USER_MAX)
        say_forbidden(&value, "maximum allowed value of a user defined priority is %d", USER_MAX);
}

static void validate_update(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    struct place class = place_object(causes, object), value = place_member(&class, "value");

    (void)request;
    if (place_int(&value) != json_int(json_member(old, "value"), 0))
        say_forbidden(&value, "may not be changed in an update.");
}

static int is_default(struct arena *arena, struct str text, struct str other_than, struct str *ret_name, struct err *err)
{
    struct json *class;
    int code = json_parse(arena, text, NULL, &class, err);

    if (code < 0)
        return code;
    *ret_name = json_str_at(class, "metadata.name");
    return json_bool(json_member(class, "globalDefault"), false) && !str_eq(*ret_name, other_than);
}

/* Among those that the same transaction writes. */
static int find_beside(struct request *request, struct str name, struct str *ret_name, struct err *err)
{
    struct str prefix = request_storage(request)->store_prefix, other;
    struct map_entry *entry = NULL;

    while (request->overlay && (entry = map_next(&request->overlay->written, entry))) {
        const struct store_op *op = entry->value;

        if (op->kind != STORE_PUT || !str_has_prefix(op->key, prefix))
            continue;
        int code = is_default(request->arena, op->value, name, &other, err);

        if (code < 0)
            return code;
        if (code)
            *ret_name = other;
    }
    return 0;
}

/* The class that is the default already, other than name; unset: none. */
static int find_default(struct request *request, struct str name, struct str *ret_name, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    AUTO(store_cursor) cursor = NULL;
    AUTO(arena) arena = arena_new(SCAN_ARENA);
    struct store_item item;
    int code;

    if (!arena)
        return out_of_memory(err);
    if ((code = store_snapshot_open(request->server->options.store, 0, &snapshot, err)) < 0 ||
        (code = store_cursor_open(snapshot, request_storage(request)->store_prefix, STR_NULL, &cursor, err)) < 0)
        return code;
    while ((code = store_cursor_next(cursor, &item, err)) > 0) {
        struct str other;

        arena_reset(arena);
        if (overlay_find(request->overlay, item.key))
            continue;
        if ((code = is_default(arena, item.value, name, &other, err)) < 0)
            return code;
        if (code) {
            *ret_name = arena_str(request->arena, other);
            return 0;
        }
    }
    return code < 0 ? code : find_beside(request, name, ret_name, err);
}

/* One default there is at most. */
static int transact(struct write *write, struct json *object, const struct json *old, struct err *err)
{
    struct str other = STR_NULL;
    int code;

    (void)old;
    if (!object || !json_bool(json_member(object, "globalDefault"), false))
        return 0;
    if ((code = find_default(write->request, write->name, &other, err)) < 0 || !other.data)
        return code;
    return fail_forbidden(write->request, write->name, err,
                          "PriorityClass " STR_FMT " is already marked as default. Only one default can exist",
                          STR_ARG(other));
}

const struct rules priorityclass_rules = {
    .resource = &RESOURCE_SCHEDULING_K8S_IO_PRIORITYCLASSES,
    .validate_create = validate,
    .validate_update = validate_update,
    .transact = transact,
};
