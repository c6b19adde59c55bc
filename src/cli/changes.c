#include "cli/changes.h"

#include "cli/duration.h"
#include "schema/time.h"

#define CHANGES "/apis/caravel.io/v1/changes"

int changes_page(struct session *session, struct str query, bool objects, struct str next, struct arena *arena,
                 struct json **ret_list, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    char separator = '&';

    buf_printf(&path, CHANGES "?" STR_FMT, STR_ARG(query));
    if (!objects)
        rest_param(&path, &separator, "objects", STR("false"));
    rest_param(&path, &separator, "continue", next);
    const struct session_request request = { .path = buf_str(&path) };

    return buf_ok(&path) ? session_json(session, &request, arena, NULL, ret_list, err)
                         : err_set(err, ERR_NO_MEMORY, "request");
}

static bool is_digits(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.len > 0;
}

int changes_when(struct arena *arena, const char *option, const char *text, nsec_t now, struct str *ret_when,
                 struct err *err)
{
    struct str when = str_from(text);
    char time[API_TIME_LEN];
    nsec_t ago;

    if (!is_digits(when) && duration_parse(when, &ago))
        when = arena_str(arena, api_micro_time_text(now - ago, time));
    else if (!is_digits(when) && !api_time_parse(when, &ago))
        return err_set(err, ERR_BAD_REQUEST,
                       "%s %s: expected a revision (120), a time (2026-01-02T15:04:05Z) or how long ago (10m)", option,
                       text);
    if (!when.data)
        return err_set(err, ERR_NO_MEMORY, "request");
    *ret_when = when;
    return 0;
}

const struct resource *change_resource(struct resources *resources, struct arena *arena, const struct json *change)
{
    struct str plural = json_str_at(change, "resource"), group = json_str_at(change, "group");
    struct str word = group.len ? arena_concat(arena, plural, STR("."), group) : plural;
    const struct resource *resource;

    return word.len && resources_find(resources, word, &resource, NULL) == 0 && str_eq(resource->group, group) ? resource
                                                                                                              : NULL;
}

struct str change_object(struct resources *resources, struct arena *arena, const struct json *change)
{
    const struct resource *resource = change_resource(resources, arena, change);
    struct str plural = json_str_at(change, "resource"), group = json_str_at(change, "group");
    struct str ns = json_str_at(change, "namespace"), name = json_str_at(change, "name");
    struct str kind = resource ? resource->kind
                      : group.len ? arena_concat(arena, plural, STR("."), group) : plural;

    if (!ns.len)
        return arena_concat(arena, kind, STR(" "), name);
    return arena_concat(arena, kind, STR(" "), ns, STR("/"), name);
}
