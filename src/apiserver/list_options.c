#include "apiserver/list_options.h"

#include "apiserver/validate.h"
#include "schema/object.h"

#define MATCH STR("resourceVersionMatch")

/* Go's words: what is no number, and what is too large for one. */
static int bad_number(struct request *request, const char *before, const char *function, struct str text,
                      struct err *err)
{
    struct str digits = text;

    if (!str_empty(digits) && (digits.data[0] == '-' || digits.data[0] == '+'))
        digits = str_skip(digits, 1);
    bool number = !str_empty(digits);
    for (size_t i = 0; i < digits.len; i++)
        number = number && digits.data[i] >= '0' && digits.data[i] <= '9';
    return fail_bad_request(request, err, "%sstrconv.%s: parsing \"" STR_FMT "\": %s", before, function, STR_ARG(text),
                            number ? "value out of range" : "invalid syntax");
}

static int read_int(struct request *request, const char *name, int64_t *ret_value, struct err *err)
{
    struct str text = request_param(request, name);

    *ret_value = 0;
    if (str_empty(text) || str_to_i64(text, ret_value))
        return 0;
    return bad_number(request, "", "ParseInt", text, err);
}

static int read_revision(struct request *request, struct list_options *options, struct err *err)
{
    struct str text = request_param(request, "resourceVersion");

    options->has_revision = !str_empty(text);
    if (!options->has_revision || str_to_u64(text, &options->revision))
        return 0;
    struct str before = arena_printf(
        request->arena, "invalid resource version: resourceVersion: Invalid value: \"" STR_FMT "\": ", STR_ARG(text));
    return bad_number(request, before.data ? arena_cstr(request->arena, before) : "", "ParseUint", text, err);
}

static void check_list(const struct list_options *options, struct str match, struct causes *causes)
{
    static const char *const of_list[] = { "Exact", "NotOlderThan", "", NULL };

    if (!str_empty(match)) {
        if (!options->has_revision)
            add_forbidden(causes, MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided");
        if (!str_empty(options->token))
            add_forbidden(causes, MATCH, "resourceVersionMatch is forbidden when continue is provided");
        if (options->match == MATCH_UNSET)
            add_not_supported(causes, MATCH, match, of_list);
        if (options->match == MATCH_EXACT && options->has_revision && options->revision == 0)
            add_forbidden(causes, MATCH, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
    if (options->has_initial)
        add_forbidden(causes, STR("sendInitialEvents"), "sendInitialEvents is forbidden for list");
}

static void check_watch(const struct list_options *options, struct str match, struct causes *causes)
{
    static const char *const of_watch[] = { "NotOlderThan", NULL };

    if (options->has_initial && options->match != MATCH_NOT_OLDER)
        add_forbidden(causes, MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    if (str_empty(match))
        return;
    if (!options->has_initial)
        add_forbidden(causes, MATCH,
                      "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (options->match != MATCH_NOT_OLDER)
        add_not_supported(causes, MATCH, match, of_watch);
    if (!str_empty(options->token))
        add_forbidden(causes, MATCH, "resourceVersionMatch is forbidden when continue is provided");
}

static int check(struct request *request, const struct list_options *options, struct err *err)
{
    struct failure *failure = &request->failure;
    struct str match = request_param(request, "resourceVersionMatch");

    if (request->info.verb == VERB_WATCH)
        check_watch(options, match, &failure->causes);
    else
        check_list(options, match, &failure->causes);
    if (!failure->causes.count)
        return 0;
    failure->group = STR("meta.k8s.io");
    failure->kind = STR("ListOptions");
    return err_set(err, ERR_INVALID, "ListOptions.meta.k8s.io \"\" is invalid: " STR_FMT,
                   STR_ARG(causes_text(&failure->causes)));
}

int list_options_read(struct request *request, struct list_options *ret_options, struct err *err)
{
    struct str match = request_param(request, "resourceVersionMatch");
    struct list_options options = {
        .match = str_is(match, "Exact")          ? MATCH_EXACT
                 : str_is(match, "NotOlderThan") ? MATCH_NOT_OLDER
                                                 : MATCH_UNSET,
        .token = request_param(request, "continue"),
        .has_initial = request_param(request, "sendInitialEvents").data != NULL,
        .initial = param_bool(&request->params, STR("sendInitialEvents")),
        .bookmarks = param_bool(&request->params, STR("allowWatchBookmarks")),
    };
    int64_t limit;
    int code;

    if ((code = read_int(request, "limit", &limit, err)) < 0 ||
        (code = read_int(request, "timeoutSeconds", &options.timeout, err)) < 0 ||
        (code = read_revision(request, &options, err)) < 0 || (code = check(request, &options, err)) < 0)
        return code;
    options.limit = limit > 0 ? (uint64_t)limit : 0;
    *ret_options = options;
    return 0;
}
