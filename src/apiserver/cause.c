#include "apiserver/cause.h"

#include "apiserver/server.h"

#define RULE_MAX 256
#define PROGRAM_MAX 64

/* One line of text that may be shown to anybody. */
static bool is_clean(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    return text.len > 0 && str_is_utf8(text);
}

/* "kubectl" of "kubectl/v1.33.1 (linux/amd64)" */
static struct str program_of(struct str agent)
{
    size_t len = 0;

    while (len < agent.len && agent.data[len] != '/' && agent.data[len] != ' ')
        len++;
    return str_first(agent, len);
}

static struct str usual_rule(const struct request *request)
{
    struct str program = program_of(request->user_agent), verb = str_from(verb_name(request->info.verb));
    struct str subresource = request->subresource ? request->subresource->name : STR("");

    if (!is_clean(program) || program.len > PROGRAM_MAX)
        program = STR("");
    return arena_concat(request->arena, program, str_empty(program) ? STR("") : STR(" "), verb,
                        str_empty(subresource) ? STR("") : STR(" "), subresource);
}

void cause_read(struct request *request)
{
    struct str rule = http_request_header(request->http, STR("caravel-rule"));
    struct str trigger = http_request_header(request->http, STR("caravel-trigger"));
    revision_t revision;

    if (request->info.verb & (VERB_GET | VERB_LIST | VERB_WATCH))
        return;
    request->rule = is_clean(rule) && rule.len <= RULE_MAX ? rule : usual_rule(request);
    /* What has not happened yet has made nobody act. */
    if (str_to_u64(trigger, &revision) && revision <= store_revision(request->server->options.store))
        request->trigger = revision;
}
