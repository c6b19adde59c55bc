/* log_options.c - PodLogOptions out of a query. */
#include "apiserver/log_options.h"

#include "apiserver/validate.h"

static const struct option {
    const char *name;
    bool boolean;
    int64_t least; /* of a number; INT64_MIN: it is none */
    const char *why;
} options[] = {
    { "follow", true, INT64_MIN, NULL },
    { "previous", true, INT64_MIN, NULL },
    { "timestamps", true, INT64_MIN, NULL },
    { "tailLines", false, 0, "must be greater than or equal to 0" },
    { "limitBytes", false, 1, "must be greater than 0" },
    { "sinceSeconds", false, 1, "must be greater than 0" },
    { "sinceTime", false, INT64_MIN, NULL },
};

static int check_number(struct request *request, const struct option *option, struct err *err)
{
    struct str value = request_param(request, option->name);
    int64_t number;

    if (option->least == INT64_MIN || !value.data)
        return 0;
    if (!str_to_i64(value, &number))
        return fail_bad_request(request, err, "strconv.ParseInt: parsing \"" STR_FMT "\": invalid syntax", STR_ARG(value));
    if (number < option->least)
        add_invalid_int(&request->failure.causes, str_from(option->name), number, option->why);
    return 0;
}

int log_options_check(struct request *request, struct err *err)
{
    struct causes *causes = &request->failure.causes;
    int code = 0;

    for (size_t i = 0; i < ARRAY_LEN(options) && code == 0; i++)
        code = check_number(request, &options[i], err);
    if (code < 0)
        return code;
    if (request_param(request, "sinceSeconds").data && request_param(request, "sinceTime").data)
        add_forbidden(causes, STR(""), "at most one of `sinceTime` or `sinceSeconds` may be specified");
    if (request_param(request, "stream").data) /* behind a gate that is off in 1.33 */
        add_forbidden(causes, STR("stream"), "may not be specified");
    if (!causes->count)
        return 0;
    request->failure.name = request->info.name;
    request->failure.kind = STR("PodLogOptions");
    return err_set(err, ERR_INVALID, "PodLogOptions \"" STR_FMT "\" is invalid: " STR_FMT, STR_ARG(request->info.name),
                   STR_ARG(causes_text(causes)));
}

void log_options_write(const struct request *request, struct buf *url)
{
    char sep = '?';

    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        struct str value = request_param(request, options[i].name);

        if (!value.data || (options[i].boolean && !param_bool(&request->params, str_from(options[i].name))))
            continue;
        buf_printf(url, "%c%s=", sep, options[i].name);
        http_escape(url, options[i].boolean ? STR("true") : value);
        sep = '&';
    }
}
