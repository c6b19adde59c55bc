/* h1_parser.c - http-parser (Debian 12) or llhttp (Debian 13) behind one face.
 *
 * Both call back in the middle of a run. Acting from inside a callback is how parsers get re-entered by accident, so
 * the callbacks only hand out spans; at the end of a head and of a message the parser is paused, the run returns,
 * and the caller acts from outside. */
#include "net/h1_parser.h"

#ifdef HAVE_LLHTTP
#include <llhttp.h>
typedef llhttp_t parser_t;
typedef llhttp_settings_t settings_t;
#define PAUSE_RESULT HPE_PAUSED
#else
#include <http_parser.h>
typedef http_parser parser_t;
typedef http_parser_settings settings_t;
#endif

struct h1_parser {
    parser_t parser;
    settings_t settings;
    const struct h1_callbacks *callbacks;
    void *ctx;
    bool answers;
    bool no_body;        /* of answers, whatever their heads say */
    bool in_body;        /* names and values now are trailers: dropped */
    bool head_done;      /* set by the callbacks, taken by h1_parser_run() */
    bool message_done;
    bool refused;
};

static int hand_out(struct h1_parser *self, bool (*callback)(void *, struct str), const char *at, size_t len)
{
    if (callback(self->ctx, str_of(at, len)))
        return 0;
    self->refused = true;
    return -1;
}

static int on_target(parser_t *parser, const char *at, size_t len)
{
    struct h1_parser *self = parser->data;
    return hand_out(self, self->callbacks->target, at, len);
}

static int on_name(parser_t *parser, const char *at, size_t len)
{
    struct h1_parser *self = parser->data;
    return self->in_body ? 0 : hand_out(self, self->callbacks->name, at, len);
}

static int on_value(parser_t *parser, const char *at, size_t len)
{
    struct h1_parser *self = parser->data;
    return self->in_body ? 0 : hand_out(self, self->callbacks->value, at, len);
}

static int on_body(parser_t *parser, const char *at, size_t len)
{
    struct h1_parser *self = parser->data;
    return hand_out(self, self->callbacks->body, at, len);
}

#ifdef HAVE_LLHTTP
/* So that an empty value is seen as one. */
static int on_name_complete(parser_t *parser)
{
    return on_value(parser, "", 0);
}
#endif

static int pause_parser(parser_t *parser, bool skip_body)
{
#ifndef HAVE_LLHTTP
    http_parser_pause(parser, 1);
    return skip_body;
#else
    if (skip_body)
        parser->flags |= F_SKIPBODY;
    return PAUSE_RESULT;
#endif
}

static bool status_has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static int on_head(parser_t *parser)
{
    struct h1_parser *self = parser->data;

    self->in_body = true;
    self->head_done = true;
    return pause_parser(parser, self->answers && (self->no_body || status_has_no_body((int)parser->status_code)));
}

static int on_message(parser_t *parser)
{
    struct h1_parser *self = parser->data;

    self->message_done = true;
    return pause_parser(parser, false);
}

static struct h1_parser *make(const struct h1_callbacks *callbacks, void *ctx, bool answers)
{
    struct h1_parser *self = calloc(1, sizeof *self);

    if (!self)
        return NULL;
    self->callbacks = callbacks;
    self->answers = answers;
    self->ctx = ctx;
    if (!answers)
        self->settings.on_url = on_target;
    self->settings.on_header_field = on_name;
    self->settings.on_header_value = on_value;
    self->settings.on_headers_complete = on_head;
    self->settings.on_body = on_body;
    self->settings.on_message_complete = on_message;
#ifdef HAVE_LLHTTP
    self->settings.on_header_field_complete = on_name_complete;
    llhttp_init(&self->parser, answers ? HTTP_RESPONSE : HTTP_REQUEST, &self->settings);
#else
    http_parser_init(&self->parser, answers ? HTTP_RESPONSE : HTTP_REQUEST);
#endif
    self->parser.data = self;
    return self;
}

struct h1_parser *h1_parser_new(const struct h1_callbacks *callbacks, void *ctx)
{
    return make(callbacks, ctx, false);
}

struct h1_parser *h1_parser_new_answers(const struct h1_callbacks *callbacks, void *ctx, bool no_body)
{
    struct h1_parser *self = make(callbacks, ctx, true);

    if (self)
        self->no_body = no_body;
    return self;
}

struct h1_parser *h1_parser_free(struct h1_parser *parser)
{
    free(parser);
    return NULL;
}

/* Runs until the library pauses, fails or has taken all; false when it failed. */
static bool run(struct h1_parser *self, struct str bytes, size_t *ret_taken)
{
#ifdef HAVE_LLHTTP
    llhttp_resume(&self->parser);
    llhttp_errno_t code = llhttp_execute(&self->parser, bytes.data, bytes.len);
    if (code == HPE_PAUSED_UPGRADE) {
        *ret_taken = (size_t)(llhttp_get_error_pos(&self->parser) - bytes.data);
        llhttp_resume_after_upgrade(&self->parser);
        return true;
    }
    *ret_taken = code == HPE_PAUSED ? (size_t)(llhttp_get_error_pos(&self->parser) - bytes.data) : bytes.len;
    return code == HPE_OK || code == HPE_PAUSED;
#else
    http_parser_pause(&self->parser, 0);
    *ret_taken = http_parser_execute(&self->parser, &self->settings, bytes.data, bytes.len);
    enum http_errno code = HTTP_PARSER_ERRNO(&self->parser);
    return code == HPE_OK || code == HPE_PAUSED;
#endif
}

enum h1_event h1_parser_run(struct h1_parser *parser, struct str bytes, size_t *ret_taken)
{
    *ret_taken = 0;
    if (parser->refused)
        return H1_INVALID;
#ifndef HAVE_LLHTTP
    if (bytes.len == 0) /* to http-parser that is the end of the stream; it leaves the last byte of a head for later */
        return H1_MORE;
#endif
    if (parser->message_done) {
        parser->message_done = false;
        parser->in_body = false;
    }
    if (!run(parser, bytes, ret_taken) || parser->refused) {
        parser->refused = true;
        return H1_INVALID;
    }
    if (parser->head_done) {
        parser->head_done = false;
#ifndef HAVE_LLHTTP
        if (parser->parser.status_code == 101) /* no message follows that the head's last byte could be left for */
            ++*ret_taken;
#endif
        parser->parser.upgrade = 0; /* the body, if any, is a body */
        return H1_HEAD;
    }
    return parser->message_done ? H1_DONE : H1_MORE;
}

const char *h1_parser_method(const struct h1_parser *parser)
{
#ifdef HAVE_LLHTTP
    return llhttp_method_name((llhttp_method_t)parser->parser.method);
#else
    return http_method_str((enum http_method)parser->parser.method);
#endif
}

int h1_parser_minor(const struct h1_parser *parser)
{
    return parser->parser.http_major == 1 ? parser->parser.http_minor : -1;
}

bool h1_parser_keep_alive(const struct h1_parser *parser)
{
#ifdef HAVE_LLHTTP
    return llhttp_should_keep_alive(&parser->parser);
#else
    return http_should_keep_alive(&parser->parser);
#endif
}

int h1_parser_status(const struct h1_parser *parser)
{
    return (int)parser->parser.status_code;
}

bool h1_parser_finish(struct h1_parser *self)
{
    if (self->refused || self->message_done)
        return !self->refused;
#ifdef HAVE_LLHTTP
    llhttp_resume(&self->parser);
    llhttp_errno_t code = llhttp_finish(&self->parser);
    return self->message_done && (code == HPE_OK || code == HPE_PAUSED);
#else
    http_parser_pause(&self->parser, 0);
    http_parser_execute(&self->parser, &self->settings, "", 0);
    return self->message_done;
#endif
}
