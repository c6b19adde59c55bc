/* h1_parser.h - HTTP/1.1 syntax, whichever library the system packages for it. Private to net/.
 *
 * Nothing here includes http.h: the library's header claims some of its names. */
#pragma once

#include "base/str.h"

enum h1_event {
    H1_MORE,    /* all was taken, more is needed */
    H1_HEAD,    /* the head is complete; the body follows */
    H1_DONE,    /* the message is complete */
    H1_INVALID, /* broken syntax; the parser is of no use any more */
};

/* Spans in order of arrival; one name or value may come in several. A false answer makes the event H1_INVALID. */
struct h1_callbacks {
    bool (*target)(void *ctx, struct str span);
    bool (*name)(void *ctx, struct str span);
    bool (*value)(void *ctx, struct str span);
    bool (*body)(void *ctx, struct str span);
};

struct h1_parser;

struct h1_parser *h1_parser_new(const struct h1_callbacks *callbacks, void *ctx);
/* Answers instead of requests; target is not called. no_body: of a request whose answers have none (HEAD). After H1_HEAD
 * of status 101 all that is left is no HTTP any more. */
struct h1_parser *h1_parser_new_answers(const struct h1_callbacks *callbacks, void *ctx, bool no_body);
struct h1_parser *h1_parser_free(struct h1_parser *parser);

/* Parses up to the next event. Goes on behind it with the next call; after H1_HEAD that is due even without bytes, as a
 * message without a body is complete then. */
enum h1_event h1_parser_run(struct h1_parser *parser, struct str bytes, size_t *ret_taken);

/* After H1_HEAD, until H1_DONE. */
const char *h1_parser_method(const struct h1_parser *parser);
int h1_parser_status(const struct h1_parser *parser); /* of an answer */
/* The stream has ended: was that the end of the message? */
bool h1_parser_finish(struct h1_parser *parser);
int h1_parser_minor(const struct h1_parser *parser); /* of version 1.x; -1 for any other major */
bool h1_parser_keep_alive(const struct h1_parser *parser);
