/* http_answer.c - the parser hands out spans, the head collects them; an interim answer begins both anew. */
#include "net/http_answer.h"

#include "net/h1_parser.h"
#include "net/head.h"

#define HEAD_BYTES_MAX (64u << 10)

struct http_answer {
    struct http_answer_events events;
    struct h1_parser *parser;
    struct head head;
    enum http_answer_state state;
    bool interim, told, raw; /* the present head is of an interim answer; the head was told; no HTTP any more */
};

static bool on_name(void *ctx, struct str span)
{
    struct http_answer *answer = ctx;

    return answer->head.bytes.len + span.len <= HEAD_BYTES_MAX && head_name(&answer->head, span);
}

static bool on_value(void *ctx, struct str span)
{
    struct http_answer *answer = ctx;

    return answer->head.bytes.len + span.len <= HEAD_BYTES_MAX && head_value(&answer->head, span);
}

static bool on_body(void *ctx, struct str span)
{
    struct http_answer *answer = ctx;

    if (!answer->interim)
        answer->events.data(answer->events.ctx, span);
    return true;
}

struct http_answer *http_answer_new(enum http_method method, const struct http_answer_events *events)
{
    static const struct h1_callbacks callbacks = { NULL, on_name, on_value, on_body };
    struct http_answer *answer = calloc(1, sizeof *answer);

    if (!answer)
        return NULL;
    answer->events = *events;
    head_init(&answer->head);
    answer->parser = h1_parser_new_answers(&callbacks, answer, method == HTTP_HEAD_);
    return answer->parser ? answer : http_answer_free(answer);
}

struct http_answer *http_answer_free(struct http_answer *answer)
{
    if (!answer)
        return NULL;
    h1_parser_free(answer->parser);
    head_deinit(&answer->head);
    free(answer);
    return NULL;
}

static bool take_head(struct http_answer *answer)
{
    int status = h1_parser_status(answer->parser);

    answer->interim = status < 200 && status != 101;
    if (status < 100 || status > 999 || !head_resolve_fields(&answer->head))
        return false;
    if (!answer->interim) {
        answer->told = true;
        answer->raw = status == 101;
        answer->events.head(answer->events.ctx, status, answer->head.headers.items, answer->head.headers.count);
    }
    head_clear(&answer->head);
    return true;
}

enum http_answer_state http_answer_input(struct http_answer *answer, struct str bytes)
{
    enum h1_event event = H1_MORE;
    size_t taken;

    while (answer->state == HTTP_ANSWER_MORE && !answer->raw && (bytes.len > 0 || event == H1_HEAD)) {
        event = h1_parser_run(answer->parser, bytes, &taken);
        bytes = str_skip(bytes, taken);
        if (event == H1_INVALID || (event == H1_HEAD && !take_head(answer)))
            answer->state = HTTP_ANSWER_BROKEN;
        else if (event == H1_DONE && !answer->interim)
            answer->state = HTTP_ANSWER_DONE;
    }
    if (answer->raw && bytes.len > 0)
        answer->events.data(answer->events.ctx, bytes);
    return answer->state;
}

enum http_answer_state http_answer_eof(struct http_answer *answer)
{
    if (answer->state == HTTP_ANSWER_MORE)
        answer->state = answer->raw || (answer->told && h1_parser_finish(answer->parser)) ? HTTP_ANSWER_DONE
                                                                                          : HTTP_ANSWER_BROKEN;
    return answer->state;
}
