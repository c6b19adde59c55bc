/* get_watch.c - caravel get --watch: rows, or objects, as they change.
 *
 * A watch that the server ends is taken up again where it was, and when the server no longer knows what was then, with
 * all that is there now, of which only what is newer is shown. Memory of an event is given back before the next one, except
 * for the columns, which come with the first. */
#include <stdio.h>

#include "cli/get.h"

static int print_object(struct get *get, struct group *group, struct arena *arena, const struct json *object, struct err *err)
{
    if (get->output.kind == OUTPUT_NAME) {
        output_name(arena, group->resource, json_str_at(object, "metadata.name"), NULL, NULL, stdout);
        return 0;
    }
    const struct json *tidy = output_tidy(arena, &get->output, group->resource, object);

    if (!tidy)
        return err_set(err, ERR_NO_MEMORY, "output");
    if (get->output.kind == OUTPUT_YAML)
        fputs("---\n", stdout);
    return output_print(&get->output, tidy, stdout, err);
}

/* Columns outlive the event that told them. */
static int print_rows(struct get *get, struct group *group, struct arena *arena, const struct json *object, struct err *err)
{
    struct arena *session_arena = group->table.arena;
    int code = table_add(&group->table, object, err);

    if (code < 0)
        return code;
    if (group->table.definitions == json_member(object, "columnDefinitions"))
        group->table.definitions = json_copy(session_arena, group->table.definitions);
    if (!group->table.definitions)
        return err_set(err, ERR_NO_MEMORY, "table");
    group->table.arena = arena;
    code = table_flush(&group->table, stdout, err);
    group->table.arena = session_arena;
    return code;
}

static bool is_shown(const struct group *group, struct str revision)
{
    uint64_t number;

    return group->shown && str_to_u64(revision, &number) && number <= group->shown;
}

/* The newest counts: what exists comes in the order of names. */
static void note_revision(struct get *get, struct group *group, struct str revision)
{
    uint64_t number, present;

    if (!revision.len || str_eq(revision, group->revision) || is_shown(group, revision))
        return;
    if (str_to_u64(revision, &number) && str_to_u64(group->revision, &present) && number < present)
        return;
    group->revision = arena_str(&get->session.arena, revision);
}

static int show(struct get *get, struct group *group, struct str line, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct json *event;
    int code = arena ? json_parse(arena, line, NULL, &event, err) : err_set(err, ERR_NO_MEMORY, "watch");

    if (code < 0)
        return err_wrap(err, code, "an event of the watch");
    const struct json *object = json_member(event, "object");
    const struct json *rows = json_member(object, "rows");
    const struct json *inner = json_is(rows, JSON_ARRAY) && rows->count ? json_member(&rows->items[0], "object") : object;
    struct str type = json_str_at(event, "type"), revision = json_str_at(inner, "metadata.resourceVersion");

    if (str_is(type, "ERROR"))
        return err_set(err, err_from_status((int)json_int(json_member(object, "code"), 500), json_str_at(object, "reason")),
                       "the watch ended: " STR_FMT, STR_ARG(json_str_at(object, "message")));
    if (!revision.len)
        revision = json_str_at(object, "metadata.resourceVersion");
    note_revision(get, group, revision);
    if (str_is(type, "BOOKMARK") || is_shown(group, revision))
        return 0;
    code = get->output.kind <= OUTPUT_WIDE ? print_rows(get, group, arena, object, err)
                                           : print_object(get, group, arena, object, err);
    fflush(stdout);
    return code;
}

static int watch_once(struct get *get, const struct target *target, struct group *group, struct err *err)
{
    struct session_request request = { .accept = get->output.kind <= OUTPUT_WIDE ? ACCEPT_TABLE : NULL };
    struct arena *arena = &get->session.arena;
    AUTO(session_stream) stream = NULL;
    AUTO_DEINIT(buf, more) = BUF_INIT;
    char separator = '&';
    struct str line, fields = STR_NULL;

    buf_add_cstr(&more, "watch=true&allowWatchBookmarks=true");
    rest_param(&more, &separator, "resourceVersion", group->revision);
    if (target->name.len)
        fields = arena_printf(arena, "metadata.name=" STR_FMT, STR_ARG(target->name));
    int code = get_path(get, target, fields, buf_str(&more), arena, &request.path, err);

    if (code == 0)
        code = session_stream_open(&get->session, &request, &stream, err);
    while (code >= 0 && (code = session_stream_line(stream, 0, &line, err)) > 0)
        code = show(get, group, line, err);
    return code;
}

/* Without a revision a watch begins with all that is there; who wants only changes asks first where now is. */
static int find_now(struct get *get, const struct target *target, struct group *group, struct err *err)
{
    struct session_request request = { .accept = ACCEPT_PARTIAL_LIST };
    struct arena *arena = &get->session.arena;
    struct str fields = STR_NULL;
    struct json *list;

    if (target->name.len)
        fields = arena_printf(arena, "metadata.name=" STR_FMT, STR_ARG(target->name));
    int code = get_path(get, target, fields, STR("limit=1"), arena, &request.path, err);

    if (code == 0)
        code = session_json(&get->session, &request, arena, NULL, &list, err);
    if (code == 0)
        group->revision = json_str_at(list, "metadata.resourceVersion");
    return code;
}

/* False: where it was is not known, or is where it has begun anew already. */
static bool begin_anew(struct group *group)
{
    uint64_t number;

    if (!str_to_u64(group->revision, &number) || !number)
        return false;
    group->shown = number;
    group->revision = STR_NULL;
    return true;
}

int get_watch(struct get *get, const struct target *target, struct group *group, struct err *err)
{
    int code = group->revision.len ? 0 : find_now(get, target, group, err);

    fflush(stdout);
    while (code == 0) {
        code = watch_once(get, target, group, err);
        if (code == -ERR_EXPIRED && begin_anew(group)) {
            *err = (struct err){ 0 };
            code = 0;
        }
    }
    return code;
}
