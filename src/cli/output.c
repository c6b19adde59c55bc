#include "cli/output.h"

#include "codec/yaml.h"

int output_parse(struct arena *arena, const char *text, struct output *ret_output, struct err *err)
{
    static const struct {
        struct str name;
        enum output_kind kind;
    } kinds[] = {
        { STR_INIT("wide"), OUTPUT_WIDE }, { STR_INIT("name"), OUTPUT_NAME },
        { STR_INIT("yaml"), OUTPUT_YAML }, { STR_INIT("json"), OUTPUT_JSON },
    };
    static const struct str jsonpath = STR_INIT("jsonpath=");
    struct output output = { .managed_fields = ret_output->managed_fields };

    if (!text) {
        *ret_output = output;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!str_is(kinds[i].name, text))
            continue;
        output.kind = kinds[i].kind;
        *ret_output = output;
        return 0;
    }
    if (!str_has_prefix(str_from(text), jsonpath))
        return err_set(err, ERR_BAD_REQUEST, "-o %s: expected one of %s", text, OUTPUT_FORMATS);
    output.kind = OUTPUT_JSONPATH;
    int code = jsonpath_template_parse(arena, str_skip(str_from(text), jsonpath.len), &output.template, err);

    if (code == 0)
        *ret_output = output;
    return code;
}

/* Puts the member where byte order wants it; the others are in it already. */
static bool add_in_order(struct arena *arena, struct json *to, const struct json *from, struct str key, struct str value)
{
    bool placed = false, done = true;

    for (uint32_t i = 0; i < from->count; i++) {
        if (!placed && str_cmp(from->members[i].key, key) > 0) {
            done = done && json_set_str(arena, to, key, value);
            placed = true;
        }
        done = done && json_set(arena, to, from->members[i].key, &from->members[i].value);
    }
    return done && (placed || json_set_str(arena, to, key, value));
}

static struct json *with_member(struct arena *arena, struct json *object, struct str key, struct str value)
{
    struct json *copy;

    if (!object || json_get(object, key))
        return object;
    copy = json_new(arena, JSON_OBJECT);
    return copy && add_in_order(arena, copy, object, key, value) ? copy : NULL;
}

struct json *output_tidy(struct arena *arena, const struct output *output, const struct resource *resource,
                         const struct json *object)
{
    struct json *tidy = json_copy(arena, object);

    if (!json_is(tidy, JSON_OBJECT))
        return tidy;
    if (!output->managed_fields && json_is(json_member(tidy, "metadata"), JSON_OBJECT))
        json_remove(json_member(tidy, "metadata"), STR("managedFields"));
    tidy = with_member(arena, tidy, STR("kind"), resource->kind);
    return with_member(arena, tidy, STR("apiVersion"), resource_group_version(arena, resource));
}

int output_print(const struct output *output, const struct json *json, FILE *out, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    int code = 0;

    switch (output->kind) {
    case OUTPUT_JSONPATH: code = jsonpath_template_write(&text, output->template, json, err); break;
    case OUTPUT_JSON:
        json_write_pretty(&text, json, 4);
        buf_add_char(&text, '\n');
        break;
    default: code = yaml_write(&text, json, err); break;
    }
    if (code == 0 && !buf_ok(&text))
        code = err_set(err, ERR_NO_MEMORY, "output");
    if (code == 0)
        fwrite(text.data ? text.data : "", 1, text.len, out);
    return code;
}

void output_name(struct arena *arena, const struct resource *resource, struct str name, const char *what, const char *note,
                 FILE *out)
{
    fprintf(out, STR_FMT "/" STR_FMT "%s%s%s%s\n", STR_ARG(resource_type_name(arena, resource)), STR_ARG(name),
            what ? " " : "", what ? what : "", note ? " " : "", note ? note : "");
}
