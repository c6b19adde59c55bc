/* openapi_v2.c - OpenAPI v3 documents brought into the form of version 2.
 *
 * What differs: schemas live in "definitions"; a reference stands alone instead of inside "allOf"; there is no "oneOf"
 * (numbers or strings are called strings); a body is one more parameter; types of parameters and responses stand
 * without a schema or media type around them. Each group-version is written, parsed, changed and let go again before
 * the next, so that the whole is never in memory as a tree. Definitions that several share are taken once. */
#include "apiserver/openapi_v2.h"

#include "apiserver/openapi_proto.h"
#include "base/map.h"
#include "base/vec.h"
#include "schema/openapi.h"

#define V3_SCHEMAS STR("#/components/schemas/")
#define DEPTH_MAX 64

struct writer {
    struct arena names, scratch; /* names: of the definitions written */
    struct map written;
    bool proto;
    struct buf paths, definitions; /* JSON: members, commas between. Protobuf: both go to paths */
};

static struct json *member(const struct json *object, const char *name)
{
    return json_get(object, str_from(name));
}

static void convert_ref(struct arena *arena, struct json *schema)
{
    struct json *all = member(schema, "allOf"), *ref;

    if (json_is(all, JSON_ARRAY) && all->count == 1 && (ref = member(&all->items[0], "$ref"))) {
        struct json copy = *ref;

        json_remove(schema, STR("allOf"));
        json_set(arena, schema, STR("$ref"), &copy);
    }
    ref = member(schema, "$ref");
    if (json_is(ref, JSON_STRING) && str_has_prefix(ref->string, V3_SCHEMAS))
        ref->string = arena_printf(arena, "#/definitions/" STR_FMT, STR_ARG(str_skip(ref->string, V3_SCHEMAS.len)));
}

static void convert_schema(struct arena *arena, struct json *schema, int depth)
{
    struct json *properties, *all;

    if (!json_is(schema, JSON_OBJECT) || depth == DEPTH_MAX)
        return;
    convert_ref(arena, schema);
    if (json_remove(schema, STR("oneOf")) && !member(schema, "type"))
        json_set_str(arena, schema, STR("type"), STR("string"));
    json_remove(schema, STR("anyOf"));
    json_remove(schema, STR("not"));
    json_remove(schema, STR("nullable"));
    convert_schema(arena, member(schema, "items"), depth + 1);
    convert_schema(arena, member(schema, "additionalProperties"), depth + 1);
    properties = member(schema, "properties");
    for (uint32_t i = 0; json_is(properties, JSON_OBJECT) && i < properties->count; i++)
        convert_schema(arena, &properties->members[i].value, depth + 1);
    all = member(schema, "allOf");
    for (uint32_t i = 0; json_is(all, JSON_ARRAY) && i < all->count; i++)
        convert_schema(arena, &all->items[i], depth + 1);
}

static void convert_parameters(struct arena *arena, struct json *parameters)
{
    for (uint32_t i = 0; json_is(parameters, JSON_ARRAY) && i < parameters->count; i++) {
        struct json *parameter = &parameters->items[i], *schema = member(parameter, "schema");
        struct json copy;

        if (!json_is(schema, JSON_OBJECT))
            continue;
        copy = *schema;
        json_remove(parameter, STR("schema"));
        for (uint32_t j = 0; j < copy.count; j++)
            json_set(arena, parameter, copy.members[j].key, &copy.members[j].value);
    }
}

/* The media types of a "content", and the schema of the first. */
static struct json *open_content(struct arena *arena, struct json *content, struct json *types)
{
    struct json *schema = NULL;

    for (uint32_t i = 0; json_is(content, JSON_OBJECT) && i < content->count; i++) {
        struct json type = { .kind = JSON_STRING, .string = content->members[i].key };

        if (types)
            json_append(arena, types, &type);
        if (!schema)
            schema = member(&content->members[i].value, "schema");
    }
    convert_schema(arena, schema, 0);
    return schema;
}

static void convert_body(struct arena *arena, struct json *operation)
{
    struct json *body = member(operation, "requestBody"), *parameters, *schema;
    struct json types = { .kind = JSON_ARRAY }, parameter = { .kind = JSON_OBJECT };
    bool required = json_bool(member(body, "required"), false);

    if (!body)
        return;
    schema = open_content(arena, member(body, "content"), &types);
    json_set_str(arena, &parameter, STR("in"), STR("body"));
    json_set_str(arena, &parameter, STR("name"), STR("body"));
    if (required)
        json_set_bool(arena, &parameter, STR("required"), true);
    if (schema)
        json_set(arena, &parameter, STR("schema"), schema);
    json_remove(operation, STR("requestBody"));
    json_set(arena, operation, STR("consumes"), &types);
    parameters = json_ensure(arena, operation, STR("parameters"), JSON_ARRAY);
    if (parameters)
        json_append(arena, parameters, &parameter);
}

static void convert_operation(struct arena *arena, struct json *operation)
{
    struct json types = { .kind = JSON_ARRAY }, https = { .kind = JSON_STRING, .string = STR_INIT("https") };
    struct json schemes = { .kind = JSON_ARRAY }, *responses;

    convert_parameters(arena, member(operation, "parameters"));
    convert_body(arena, operation);
    responses = member(operation, "responses");
    for (uint32_t i = 0; json_is(responses, JSON_OBJECT) && i < responses->count; i++) {
        struct json *response = &responses->members[i].value;
        struct json *schema = open_content(arena, member(response, "content"), types.count ? NULL : &types);
        struct json copy;

        if (schema)
            copy = *schema;
        json_remove(response, STR("content"));
        if (schema)
            json_set(arena, response, STR("schema"), &copy);
    }
    if (types.count)
        json_set(arena, operation, STR("produces"), &types);
    json_append(arena, &schemes, &https);
    json_set(arena, operation, STR("schemes"), &schemes);
}

static void convert_paths(struct arena *arena, struct json *paths)
{
    for (uint32_t i = 0; json_is(paths, JSON_OBJECT) && i < paths->count; i++) {
        struct json *item = &paths->members[i].value;

        for (uint32_t j = 0; json_is(item, JSON_OBJECT) && j < item->count; j++) {
            if (str_is(item->members[j].key, "parameters"))
                convert_parameters(arena, &item->members[j].value);
            else if (json_is(&item->members[j].value, JSON_OBJECT))
                convert_operation(arena, &item->members[j].value);
        }
    }
}

/* Those that no earlier group-version has brought; the tree keeps only them. */
static int convert_definitions(struct writer *writer, struct json *schemas, struct err *err)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; json_is(schemas, JSON_OBJECT) && i < schemas->count; i++) {
        struct json_member *schema = &schemas->members[i];
        struct str name;

        if (map_get(&writer->written, schema->key))
            continue;
        name = arena_str(&writer->names, schema->key);
        if (!name.data || map_put(&writer->written, name, (void *)name.data, NULL) < 0)
            return err_set(err, ERR_NO_MEMORY, "OpenAPI v2");
        convert_schema(&writer->scratch, &schema->value, 0);
        schemas->members[kept++] = *schema;
    }
    if (json_is(schemas, JSON_OBJECT))
        schemas->count = kept;
    return 0;
}

static void write_members(struct buf *buf, const struct json *object)
{
    for (uint32_t i = 0; json_is(object, JSON_OBJECT) && i < object->count; i++) {
        if (buf->len)
            buf_add_char(buf, ',');
        json_write_str(buf, object->members[i].key);
        buf_add_char(buf, ':');
        json_write(buf, &object->members[i].value);
    }
}

static int write_version(struct writer *writer, const struct resource *of, const struct resource *const *resources,
                         size_t count, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct json *tree, *paths, *schemas, part = { .kind = JSON_OBJECT };
    int code;

    arena_reset(&writer->scratch);
    if ((code = openapi_v3_write(&text, of->group, of->version, resources, count, err)) < 0 ||
        (code = json_parse(&writer->scratch, buf_str(&text), NULL, &tree, err)) < 0)
        return code;
    paths = member(tree, "paths");
    schemas = json_at(tree, "components.schemas");
    convert_paths(&writer->scratch, paths);
    if ((code = convert_definitions(writer, schemas, err)) < 0)
        return code;
    if (!writer->proto) {
        write_members(&writer->paths, paths);
        write_members(&writer->definitions, schemas);
    } else if (paths && schemas) {
        json_set(&writer->scratch, &part, STR("paths"), paths);
        json_set(&writer->scratch, &part, STR("definitions"), schemas);
        openapi_proto_write(&writer->paths, &part);
    }
    return arena_failed(&writer->scratch) ? err_set(err, ERR_NO_MEMORY, "OpenAPI v2") : 0;
}

static bool is_first(const struct resource *const *resources, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (str_eq(resources[i]->group, resources[at]->group) && str_eq(resources[i]->version, resources[at]->version))
            return false;
    return true;
}

static void write_whole(struct writer *writer, struct buf *buf)
{
    static const char head[] = "{\"swagger\":\"2.0\",\"info\":{\"title\":\"Kubernetes\",\"version\":\"v1.33.0\"}";
    struct json *tree;

    if (writer->proto) {
        arena_reset(&writer->scratch);
        if (json_parse(&writer->scratch, arena_printf(&writer->scratch, "%s}", head), NULL, &tree, NULL) == 0)
            openapi_proto_write(buf, tree);
        else
            buf->failed = true;
        buf_add_str(buf, buf_str(&writer->paths));
        return;
    }
    buf_add_cstr(buf, head);
    buf_add_cstr(buf, ",\"paths\":{");
    buf_add_str(buf, buf_str(&writer->paths));
    buf_add_cstr(buf, "},\"definitions\":{");
    buf_add_str(buf, buf_str(&writer->definitions));
    buf_add_cstr(buf, "}}");
}

static void writer_deinit(struct writer *writer)
{
    arena_deinit(&writer->names);
    arena_deinit(&writer->scratch);
    map_deinit(&writer->written);
    buf_deinit(&writer->paths);
    buf_deinit(&writer->definitions);
}

int openapi_v2_write(struct buf *buf, const struct resource *const *resources, size_t count, bool proto,
                     struct err *err)
{
    AUTO_DEINIT(writer, writer) = { .proto = proto };
    int code = 0;

    arena_init(&writer.names, 0);
    arena_init(&writer.scratch, 0);
    map_init(&writer.written);
    for (size_t i = 0; code == 0 && i < count; i++)
        if (is_first(resources, i))
            code = write_version(&writer, resources[i], resources, count, err);
    if (code < 0)
        return code;
    write_whole(&writer, buf);
    return buf_ok(buf) && buf_ok(&writer.paths) && buf_ok(&writer.definitions)
               ? 0
               : err_set(err, ERR_NO_MEMORY, "OpenAPI v2");
}
