/* storage.c - storage classes, drivers, what they have on nodes and in places, and attachments. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"

#define PARAMETERS_MAX 512
#define PARAMETERS_SIZE (256u << 10)
#define DRIVER_NAME_MAX 63
#define NODE_ID_MAX 192
#define VOLUME_ERROR_MAX 1024

static struct str lower(struct arena *arena, struct str s)
{
    char *copy = arena_cstr(arena, s);

    for (char *p = copy; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    return copy ? str_of(copy, s.len) : s;
}

/* Empty ones are missed by the table. */
static void check_driver_name(const struct place *at)
{
    struct str name = place_str(at);
    const char *problem;

    if (str_empty(name))
        return;
    if (name.len > DRIVER_NAME_MAX)
        say_too_long(at, DRIVER_NAME_MAX);
    if ((problem = form_problem(NAME_SUBDOMAIN, lower(at->causes->arena, name))))
        say_invalid(at, "%s", problem);
}

/* Keys are not empty, and all of it is of some size only. */
static void check_pairs(const struct place *map)
{
    size_t size = 0;

    place_each_entry (entry, map) {
        if (str_empty(entry.key))
            say_invalid_as(map, entry.key, "field can not be empty.");
        size += entry.key.len + place_str(&entry).len;
    }
    if (size > PARAMETERS_SIZE)
        say_too_long(map, PARAMETERS_SIZE);
}

/* -- storage classes -- */

static void check_topology_term(const struct place *list, const struct place *term)
{
    struct place requirements = place_member(term, "matchLabelExpressions");
    /* Its path is that of the list: so the messages have always been. */
    struct place shown = place_named(list->causes, "allowedTopologies.matchLabelExpressions", requirements.json);

    place_each (requirement, &shown) {
        struct place key = place_member(&requirement, "key"), values = place_member(&requirement, "values");

        for (uint32_t i = place_lookback(&requirement); i < requirement.index; i++)
            if (str_eq(place_str(&key), json_str(json_member(&shown.json->items[i], "key")))) {
                say_duplicate(&key);
                break;
            }
        if (!place_count(&values))
            say_required(&values, "");
        check_unique(&values);
        check_qualified(&key);
    }
}

static void check_topologies(const struct place *list)
{
    place_each (term, list) {
        struct place expressions = place_member(&term, "matchLabelExpressions");

        check_topology_term(list, &term);
        for (uint32_t i = place_lookback(&term); i < term.index; i++)
            if (json_equal(term.json, &list->json->items[i])) {
                struct json none = { .kind = JSON_STRING, .string = STR("") };

                expressions.json = &none;
                say_duplicate(&expressions);
                break;
            }
    }
}

static void validate_class(struct request *request, const struct json *object, struct causes *causes)
{
    static const char *const policies[] = { "Delete", "Retain", NULL };
    struct place class = place_object(causes, object), provisioner = place_member(&class, "provisioner");
    struct place parameters = place_member(&class, "parameters"), policy = place_member(&class, "reclaimPolicy");
    struct place topologies = place_member(&class, "allowedTopologies");
    const char *problem = qualified_name_problem(lower(causes->arena, place_str(&provisioner)));

    (void)request;
    if (!place_empty(&provisioner) && problem)
        say_invalid(&provisioner, "%s", problem);
    if (place_count(&parameters) > PARAMETERS_MAX)
        say_too_long(&parameters, PARAMETERS_MAX);
    else
        check_pairs(&parameters);
    check_one_of(&policy, policies);
    check_topologies(&topologies);
}

static void validate_class_update(struct request *request, const struct json *object, const struct json *old,
                                  struct causes *causes)
{
    static const char *const frozen[] = { "parameters", "provisioner" };
    struct place class = place_object(causes, object);
    static const struct json null = { .kind = JSON_NULL };

    (void)request;
    for (size_t i = 0; i < ARRAY_LEN(frozen); i++) {
        struct place at = place_member(&class, frozen[i]);
        const struct json *before = json_get(old, str_from(frozen[i]));

        if (!json_equal(at.json ? at.json : &null, before ? before : &null))
            say_forbidden(&at, "updates to %s are forbidden.", frozen[i]);
    }
}

/* -- drivers -- */

static void check_token_requests(const struct place *requests)
{
    place_each (each, requests) {
        struct place audience = place_member(&each, "audience"), seconds = place_member(&each, "expirationSeconds");
        bool again = false;

        for (uint32_t i = place_lookback(&each); i < each.index && !again; i++)
            again = str_eq(place_str(&audience), json_str(json_member(&requests->json->items[i], "audience")));
        if (again) {
            say_duplicate(&audience);
            continue;
        }
        check_range(&seconds, 600, INT64_MAX, "may not specify a duration less than 10 minutes");
        check_range(&seconds, INT64_MIN, 1LL << 32, "may not specify a duration larger than 2^32 seconds");
    }
}

static void validate_driver(struct request *request, const struct json *object, struct causes *causes)
{
    static const char *const policies[] = { "File", "None", "ReadWriteOnceWithFSType", NULL };
    static const char *const known_modes[] = { "Ephemeral", "Persistent", NULL };
    struct place driver = place_object(causes, object), spec = place_member(&driver, "spec");
    struct place name = place_named(causes, "name", json_at(object, "metadata.name"));
    struct place policy = place_member(&spec, "fsGroupPolicy"), modes = place_member(&spec, "volumeLifecycleModes");
    struct place requests = place_member(&spec, "tokenRequests");

    (void)request;
    check_driver_name(&name);
    if (place_there(&policy))
        check_one_of(&policy, policies);
    place_each (mode, &modes) {
        struct place shown = modes;

        shown.json = mode.json;
        check_one_of(&shown, known_modes);
    }
    check_token_requests(&requests);
}

static void validate_driver_update(struct request *request, const struct json *object, const struct json *old,
                                   struct causes *causes)
{
    struct place attach = place_named(causes, "spec.attachedRequired", json_at(object, "spec.attachRequired"));
    struct place modes = place_named(causes, "spec.volumeLifecycleModes", json_at(object, "spec.volumeLifecycleModes"));
    struct place requests = place_named(causes, "spec.tokenRequests", json_at(object, "spec.tokenRequests"));

    (void)request;
    check_same(&attach, json_at(old, "spec.attachRequired"));
    check_same(&modes, json_at(old, "spec.volumeLifecycleModes"));
    check_token_requests(&requests);
}

static bool same_tokens(const struct json *spec, const struct json *before)
{
    static const struct json null = { .kind = JSON_NULL };
    const struct json *now = json_member(spec, "tokenRequests"), *then = json_member(before, "tokenRequests");

    return json_equal(now ? now : &null, then ? then : &null) &&
           json_bool(json_member(spec, "requiresRepublish"), false) ==
               json_bool(json_member(before, "requiresRepublish"), false) &&
           json_bool(json_member(spec, "seLinuxMount"), false) == json_bool(json_member(before, "seLinuxMount"), false);
}

/* The generation of a driver begins with its first change, and counts some of them only. */
static int prepare_driver_update(struct request *request, struct json *object, const struct json *old, struct err *err)
{
    int64_t generation = json_int(json_at(old, "metadata.generation"), 0);

    if (same_tokens(json_member(object, "spec"), json_member(old, "spec")))
        return 0;
    return json_set_int(request->arena, json_member(object, "metadata"), STR("generation"), generation + 1)
               ? 0
               : out_of_memory(err);
}

/* -- drivers on nodes -- */

static void check_topology_keys(const struct place *keys)
{
    place_each (key, keys) {
        struct place shown = *keys;
        const char *problem = qualified_name_problem(place_str(&key));

        shown.json = key.json;
        if (place_empty(&key))
            say_required(keys, "");
        for (uint32_t i = place_lookback(&key); i < key.index; i++)
            if (str_eq(place_str(&key), json_str(&keys->json->items[i]))) {
                say_duplicate(&shown);
                break;
            }
        if (problem)
            say_invalid(keys, "%s", problem);
    }
}

static void validate_node(struct request *request, const struct json *object, struct causes *causes)
{
    struct place drivers = place_named(causes, "spec.drivers", json_at(object, "spec.drivers"));

    (void)request;
    place_each (driver, &drivers) {
        struct place name = place_member(&driver, "name"), id = place_member(&driver, "nodeID");
        struct place keys = place_member(&driver, "topologyKeys"), count = place_member(&driver, "count");

        check_driver_name(&name);
        if (place_str(&id).len > NODE_ID_MAX)
            say_invalid(&id, "must be %d characters or less", NODE_ID_MAX);
        for (uint32_t i = place_lookback(&driver); i < driver.index; i++)
            if (str_eq(place_str(&name), json_str(json_member(&drivers.json->items[i], "name")))) {
                say_duplicate(&name);
                break;
            }
        check_topology_keys(&keys);
        count.json = json_at(driver.json, "allocatable.count");
        check_range(&count, 0, INT64_MAX, "must be greater than or equal to 0");
    }
}

/* Drivers come and go, but do not change. */
static void validate_node_update(struct request *request, const struct json *object, const struct json *old,
                                 struct causes *causes)
{
    struct place drivers = place_named(causes, "spec.drivers", json_at(object, "spec.drivers"));
    struct place before = place_named(causes, "spec.drivers", json_at(old, "spec.drivers"));

    validate_node(request, object, causes);
    place_each (was, &before)
        place_each (is, &drivers)
            if (str_eq(json_str(json_member(was.json, "name")), json_str(json_member(is.json, "name"))) &&
                !json_equal(was.json, is.json))
                add_invalid(causes, STR("CSINodeDriver"), is.json, "field is immutable");
}

/* -- capacities -- */

static void validate_capacity(struct request *request, const struct json *object, struct causes *causes)
{
    struct place capacity = place_object(causes, object), size = place_member(&capacity, "capacity");
    struct place class = place_member(&capacity, "storageClassName");
    struct place largest = place_member(&capacity, "maximumVolumeSize");

    (void)request;
    check_form(&class, NAME_SUBDOMAIN);
    check_quantity_not_negative(&size);
    check_quantity_not_negative(&largest);
}

static void validate_capacity_update(struct request *request, const struct json *object, const struct json *old,
                                     struct causes *causes)
{
    (void)old;
    validate_capacity(request, object, causes);
}

/* -- attachments -- */

static void check_source(const struct place *source)
{
    struct place name = place_member(source, "persistentVolumeName"), spec = place_member(source, "inlineVolumeSpec");

    if (!place_there(&name) && !place_there(&spec))
        say_required(source, "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
    else if (place_there(&name) && place_there(&spec))
        say_forbidden(source, "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
    else if (place_there(&name) && place_empty(&name))
        say_required(&name, "must specify non empty persistentVolumeName");
    else if (place_there(&name))
        check_form(&name, NAME_SUBDOMAIN);
}

static void check_volume_error(const struct place *error)
{
    struct place message = place_member(error, "message");

    if (place_str(&message).len > VOLUME_ERROR_MAX)
        say_too_long(&message, VOLUME_ERROR_MAX);
}

static void check_attachment(const struct json *object, struct causes *causes)
{
    struct place attachment = place_object(causes, object), spec = place_member(&attachment, "spec");
    struct place attacher = place_member(&spec, "attacher"), source = place_member(&spec, "source");
    struct place node = place_member(&spec, "nodeName"), status = place_member(&attachment, "status");
    struct place data = place_member(&status, "attachmentMetadata"), attach = place_member(&status, "attachError");
    struct place detach = place_member(&status, "detachError");

    check_driver_name(&attacher);
    check_source(&source);
    check_form(&node, NAME_SUBDOMAIN);
    check_pairs(&data);
    check_volume_error(&attach);
    check_volume_error(&detach);
}

static void validate_attachment(struct request *request, const struct json *object, struct causes *causes)
{
    (void)request;
    check_attachment(object, causes);
}

static void validate_attachment_update(struct request *request, const struct json *object, const struct json *old,
                                       struct causes *causes)
{
    (void)request;
    (void)old;
    check_attachment(object, causes);
}

const struct rules storageclass_rules = {
    .resource = &RESOURCE_STORAGE_K8S_IO_STORAGECLASSES,
    .flags = RULE_NO_GENERATION,
    .validate_create = validate_class,
    .validate_update = validate_class_update,
};
const struct rules csidriver_rules = {
    .resource = &RESOURCE_STORAGE_K8S_IO_CSIDRIVERS,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION,
    .prepare_update = prepare_driver_update,
    .validate_create = validate_driver,
    .validate_update = validate_driver_update,
};
const struct rules csinode_rules = {
    .resource = &RESOURCE_STORAGE_K8S_IO_CSINODES,
    .flags = RULE_NO_GENERATION,
    .validate_create = validate_node,
    .validate_update = validate_node_update,
};
const struct rules csistoragecapacity_rules = {
    .resource = &RESOURCE_STORAGE_K8S_IO_CSISTORAGECAPACITIES,
    .flags = RULE_NO_GENERATION,
    .validate_create = validate_capacity,
    .validate_update = validate_capacity_update,
};
const struct rules volumeattachment_rules = {
    .resource = &RESOURCE_STORAGE_K8S_IO_VOLUMEATTACHMENTS,
    .flags = RULE_NO_GENERATION,
    .validate_create = validate_attachment,
    .validate_update = validate_attachment_update,
    .validate_status = validate_attachment_update,
};
