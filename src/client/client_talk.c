/* client_talk.c - a conversation over HTTPS: one POST whose body and answer are both written bit by bit.
 *
 * Lines are counted, those said and those that come back; who waits for an answer waits for a number. */
#include "base/sync.h"
#include "client/http_api.h"
#include "client/rest.h"
#include "codec/json.h"

#define ANSWER_MAX (64u << 10)

struct http_talk {
    struct client_talk talk;
    struct http_call *call;
    struct mutex lock; /* of all below */
    struct cond heard;
    uint64_t said, answered; /* lines */
    struct buf line; /* of the answer, as far as it has come; in the end the last word, a Status */
    bool done;
    int status, code;
    struct err err;
};

static void talk_head(void *ctx, const struct http_client_response *head)
{
    struct http_talk *talk = ctx;

    LOCKED(&talk->lock);
    talk->status = head->status;
    cond_broadcast(&talk->heard);
}

/* Locked. An answer is "{}"; a Status is the last word. */
static void take_line(struct http_talk *talk)
{
    if (str_is(buf_str(&talk->line), "{}"))
        talk->answered++;
    else
        talk->done = true;
}

static bool talk_data(void *ctx, struct str bytes)
{
    struct http_talk *talk = ctx;

    LOCKED(&talk->lock);
    for (size_t i = 0; i < bytes.len && !talk->done; i++) {
        if (bytes.data[i] != '\n' || talk->status != 200) {
            buf_add_char(&talk->line, bytes.data[i]);
            continue;
        }
        take_line(talk);
        if (!talk->done)
            buf_clear(&talk->line);
    }
    cond_broadcast(&talk->heard);
    return true;
}

static void talk_done(void *ctx, int code, const struct err *err)
{
    struct http_talk *talk = ctx;

    LOCKED(&talk->lock);
    talk->done = true;
    talk->code = code;
    if (code < 0 && err)
        talk->err = *err;
    cond_broadcast(&talk->heard);
}

/* Locked. Why nobody answers any more: the request was refused, the server has said why, the transfer failed, or none of
 * these. */
static int end_of_talk(struct http_talk *talk, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct json *json = NULL;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "talk");
    if (json_parse(arena, buf_str(&talk->line), NULL, &json, NULL) == 0 || (talk->status && talk->status != 200))
        return rest_error(arena, (int)json_int(json_member(json, "code"), talk->status), buf_str(&talk->line), err);
    if (talk->code < 0 && err)
        *err = talk->err;
    return talk->code < 0 ? talk->code : err_set(err, ERR_UNAVAILABLE, "the server ended the talk");
}

/* Locked. Nothing is said before the server has let us in. */
static bool is_let_in(struct http_talk *talk, nsec_t timeout)
{
    while (!talk->done && talk->status != 200)
        if (!cond_wait_for(&talk->heard, &talk->lock, timeout))
            break;
    return !talk->done && talk->status == 200;
}

/* Locked. */
static bool is_answered(struct http_talk *talk, uint64_t number, nsec_t timeout)
{
    while (!talk->done && talk->answered < number)
        if (!cond_wait_for(&talk->heard, &talk->lock, timeout))
            break;
    return talk->answered >= number;
}

static int talk_say(struct client_talk *client_talk, struct str line, nsec_t timeout, struct err *err)
{
    struct http_talk *talk = container_of(client_talk, struct http_talk, talk);
    AUTO_DEINIT(buf, text) = BUF_INIT;
    int code;

    buf_add_str(&text, line);
    buf_add_char(&text, '\n');
    if (!buf_ok(&text))
        return err_set(err, ERR_NO_MEMORY, "talk");
    LOCKED(&talk->lock);
    if (is_let_in(talk, timeout)) {
        if ((code = http_call_write(talk->call, buf_str(&text), err)) < 0)
            return code;
        if (is_answered(talk, ++talk->said, timeout))
            return 0;
    }
    return talk->done || talk->status > 200 ? end_of_talk(talk, err) : err_set(err, ERR_TIMEOUT, "no answer");
}

static struct client_talk *talk_free(struct client_talk *client_talk)
{
    struct http_talk *talk = container_of(client_talk, struct http_talk, talk);

    http_call_free(talk->call);
    buf_deinit(&talk->line);
    cond_deinit(&talk->heard);
    mutex_deinit(&talk->lock);
    free(talk);
    return NULL;
}

int http_api_talk(struct client *client, const struct client_call *call, struct client_talk **ret_talk, struct err *err)
{
    struct http_api *api = container_of(client, struct http_api, client);
    struct http_talk *talk = calloc(1, sizeof *talk);
    struct http_header headers[HEADERS_MAX];
    AUTO_DEINIT(buf, url) = BUF_INIT;

    if (!talk)
        return err_set(err, ERR_NO_MEMORY, "talk");
    talk->talk = (struct client_talk){ talk_say, talk_free };
    mutex_init(&talk->lock);
    cond_init(&talk->heard);
    buf_init(&talk->line, ANSWER_MAX);
    http_api_url(&url, api, call, false, 0);
    const struct http_client_request request = {
        .method = "POST", .url = buf_str(&url), .headers = headers, .body_goes_on = true,
        .header_count = http_api_headers(api, "application/json", headers),
    };
    const struct http_call_events events = { talk, talk_head, talk_data, talk_done };
    int code = buf_ok(&url) ? http_call_start(api->http, &request, &events, &talk->call, err)
                            : err_set(err, ERR_NO_MEMORY, "talk");

    if (code < 0) {
        talk_free(&talk->talk);
        return code;
    }
    *ret_talk = &talk->talk;
    return 0;
}
