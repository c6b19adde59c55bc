/* selection.c - from selectors to a place in the store, and matching what is found there.
 *
 * A name, a namespace and the indexed fields (indexed.c) lead the store straight to what is wanted. What they leave
 * open is matched. In a list most texts that do not match are told by a plain search: a selector that asks for
 * key=value can only match a text in which the string "value" stands, quotes included; one memmem() over a pod costs a
 * hundredth of parsing it. A watch asks the facts of the event, which are found once for all watches. */
#include "apiserver/selection.h"

#include "apiserver/indexed.h"

struct key_check {
    struct request *request;
    struct err *err;
    struct selection *selection;
    const struct selector *selector;
};

/* A custom resource's definition says which of its fields may be selected by. */
static bool is_selectable(const struct resource *resource, struct str key)
{
    for (uint8_t i = 0; resource && i < resource->selectable_count; i++)
        if (str_eq(resource->selectable[i], key))
            return true;
    return false;
}

static struct str custom_value(struct arena *arena, const struct json *object, struct str key)
{
    const char *path = arena_cstr(arena, key);
    const struct json *value = path ? json_at(object, path) : NULL;

    if (json_is(value, JSON_STRING))
        return value->string;
    return value && value->kind != JSON_NULL ? json_text(arena, value) : STR("");
}

/* A value that JSON writes as it is. */
static bool is_plain(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];

        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '/' || c == '<' || c == '>' || c == '&')
            return false;
    }
    return !str_empty(value);
}

static void note_needle(struct key_check *check, struct str key, bool field)
{
    struct str value = selector_required_value(check->selector, key);

    if (!value.data || !is_plain(value) || value.len + 2 <= check->selection->needle.len)
        return;
    /* Booleans and numbers stand in the text without quotes. */
    if (field && !str_is(key, "metadata.name") && !str_is(key, "spec.nodeName") && !str_is(key, "metadata.namespace"))
        return;
    struct str needle = arena_printf(check->request->arena, "\"" STR_FMT "\"", STR_ARG(value));
    if (needle.data)
        check->selection->needle = needle;
}

static int refuse_field(struct key_check *check, struct str key)
{
    const struct resource *resource = check->selection->resource;
    const char *name = arena_cstr(check->request->arena, key), *words = check->selection->set->refusal;
    ssize_t at = str_find(str_from(words), STR("%s"));

    if (resource_is_custom(resource))
        return fail_bad_request(check->request, check->err, "field label not supported: %s", name ? name : "");
    return fail_bad_request(check->request, check->err, "%.*s%s%s", (int)at, words, name ? name : "", words + at + 2);
}

/* Our own extension, for callers inside the process. */
static int check_owner(struct key_check *check, struct str key)
{
    struct str uid = selector_required_value(check->selector, key);

    if (check->request->local)
        check->selection->owner = indexed_term_of(check->request->arena, FIELD_OWNER, uid);
    return check->selection->owner.data ? 0 : refuse_field(check, key);
}

static bool is_known(const struct selection *selection, struct str key)
{
    if (resource_is_custom(selection->resource) && !selection->resource->namespaced &&
        str_is(key, "metadata.namespace"))
        return false;
    return selectable_row(selection->set, key) || is_selectable(selection->resource, key);
}

static int check_field(void *arg, struct str key)
{
    struct key_check *check = arg;
    struct selection *selection = check->selection;
    struct str value = selector_required_value(check->selector, key);

    if (str_is(key, FIELD_OWNER))
        return check_owner(check, key);
    if (!is_known(selection, key))
        return refuse_field(check, key);
    note_needle(check, key, true);
    selection->custom |= !selectable_row(selection->set, key);
    if (str_is(key, "metadata.name") && !str_empty(value))
        selection->name = value;
    if (str_is(key, "metadata.namespace") && !str_empty(value))
        selection->ns = value;
    return 0;
}

static int check_label(void *arg, struct str key)
{
    note_needle(arg, key, false);
    return 0;
}

int selection_parse(struct request *request, struct str labels, struct str fields, struct selection *ret_selection,
                    struct err *err)
{
    struct selection selection = { .resource = request->resource, .set = selectable_of(request->resource) };
    struct key_check check = { request, err, &selection, NULL };
    int code;

    if (!str_empty(labels) && (code = selector_parse(request->arena, labels, &selection.labels, err)) < 0)
        return code;
    if (!str_empty(fields) && (code = field_selector_parse(request->arena, fields, &selection.fields, err)) < 0)
        return code;
    check.selector = selection.fields;
    if (selection.fields && (code = selector_each_key(selection.fields, check_field, &check)) < 0)
        return code;
    check.selector = selection.labels;
    if (selection.labels && (code = selector_each_key(selection.labels, check_label, &check)) < 0)
        return code;
    if (selection.fields)
        selection.term = indexed_term(request->arena, request_storage(request)->store_prefix, selection.fields);
    *ret_selection = selection;
    return 0;
}

int selection_scope(struct request *request, const struct selection *selection, struct store_scope *ret_scope,
                    struct err *err)
{
    const struct request_info *info = &request->info;
    bool namespaced = request_storage(request)->namespaced;
    struct str ns = !str_empty(info->ns) ? info->ns : namespaced ? selection->ns : STR_NULL;
    struct str name = info->verb == VERB_WATCH && !str_empty(info->name) ? info->name : selection->name;
    struct store_scope scope = { .term = selection->term };

    scope.exact = !str_empty(name) && (!namespaced || !str_empty(ns));
    scope.prefix = scope.exact ? request_key(request, ns, name) : request_prefix(request, ns);
    if (!scope.prefix.data)
        return err_set(err, ERR_NO_MEMORY, "store key");
    if (scope.prefix.len > STORE_KEY_MAX)
        return err_set(err, ERR_BAD_REQUEST, "the name or the namespace is too long");
    if (scope.exact)
        scope.term = STR_NULL; /* one look is less than an index */
    *ret_scope = scope;
    return 0;
}

/* -- matching -- */

struct matching {
    const struct selection *selection;
    const struct facts *facts;
    struct arena *arena;
    const struct json *object; /* for custom fields */
};

static bool has_term(const struct facts *facts, struct str term)
{
    for (size_t i = 0; i < facts->term_count; i++)
        if (str_eq(facts->terms[i], term))
            return true;
    return false;
}

static struct str get_field(const void *arg, struct str key)
{
    const struct matching *matching = arg;
    const struct selection *selection = matching->selection;
    const struct selectable_row *row = selectable_row(selection->set, key);

    if (row)
        return matching->facts->values[row - selection->set->rows];
    if (str_is(key, FIELD_OWNER))
        return has_term(matching->facts, selection->owner) ? str_skip(selection->owner, sizeof FIELD_OWNER) : STR("");
    return custom_value(matching->arena, matching->object, key);
}

static bool matches(const struct matching *matching)
{
    const struct selection *selection = matching->selection;

    return selector_matches(selection->labels, matching->facts->labels) &&
           (!selection->fields || field_selector_matches(selection->fields, get_field, matching));
}

int selection_matches(const struct selection *selection, struct arena *scratch, struct str key, struct str text,
                      struct err *err)
{
    struct facts facts;
    struct json *object;
    int code;

    if (selection_is_all(selection))
        return 1;
    if (selection->needle.data && !memmem(text.data, text.len, selection->needle.data, selection->needle.len))
        return 0;
    arena_reset(scratch);
    if ((code = json_parse(scratch, text, NULL, &object, err)) < 0)
        return err_set(err, ERR_INTERNAL, "a stored object is damaged");
    if ((code = facts_of(scratch, selection->set, key, object, &facts, err)) < 0)
        return code;
    return matches(&(struct matching){ selection, &facts, scratch, object });
}

/* By itself: fields that are not among the shared facts. */
static int match_texts(const struct selection *selection, struct arena *scratch, const struct store_event *event,
                       bool *ret_before, bool *ret_now, struct err *err)
{
    int now = selection_matches(selection, scratch, event->key, blob_str(event->value), err), before = 0;

    if (now < 0)
        return now;
    if (event->previous)
        before = selection_matches(selection, scratch, event->key, blob_str(event->previous), err);
    if (before < 0)
        return before;
    *ret_now = now;
    *ret_before = before;
    return 0;
}

int selection_matches_event(const struct selection *selection, struct arena *scratch, struct store_event *event,
                            atomic_ulong *made, bool *ret_before, bool *ret_now, struct err *err)
{
    const struct event_facts *facts = NULL;
    bool before = event->previous != NULL, now = true;
    int code = 0;

    if (selection_is_all(selection))
        ;
    else if (!selection->custom && (code = event_facts_get(event, selection->set, scratch, made, &facts, err)) == 0 &&
             facts) {
        now = matches(&(struct matching){ .selection = selection, .facts = &facts->now });
        before = before && matches(&(struct matching){ .selection = selection, .facts = &facts->before });
    } else if (code == 0) {
        code = match_texts(selection, scratch, event, &before, &now, err);
    }
    if (code < 0)
        return code;
    *ret_before = before;
    *ret_now = now && event->kind != STORE_DELETED;
    return 0;
}
