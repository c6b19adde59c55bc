/* list.c - lists by chunks.
 *
 * The first chunk reads the newest revision (or the one asked for) and fixes it; the later ones, and the later pages of
 * a limited list, open a snapshot at that same revision. A page's continue token names the revision, the key to go on
 * from and how many keys are left; it is checked like any input. */
#include "apiserver/list.h"

#include "apiserver/server.h"
#include "codec/base64.h"
#include "codec/json.h"

#define CHUNK_ITEMS 512
#define SCRATCH_LIMIT (64u << 20)

/* From a client that has seen a newer server, or made it up. */
int list_too_new(struct request *request, revision_t wanted, struct err *err)
{
    request->failure.cause_reason = STR("ResourceVersionTooLarge");
    request->failure.cause_message = STR("Too large resource version");
    request->failure.retry_after = 1;
    return err_set(err, ERR_TIMEOUT, "Timeout: Too large resource version: %llu, current: %llu",
                   (unsigned long long)wanted, (unsigned long long)store_revision(request->server->options.store));
}

/* A revision alone is the oldest that will do; with a limit it is the one to be shown, so that pages fit together. */
static int match_revision(struct listing *list, const struct list_options *options, struct err *err)
{
    bool exact = options->match == MATCH_EXACT || (options->match == MATCH_UNSET && options->limit);

    if (list->request->as_of) {
        list->exact = list->request->as_of;
        return 0;
    }
    if (options->revision > store_revision(list->request->server->options.store))
        return list_too_new(list->request, options->revision, err);
    list->exact = exact ? options->revision : 0;
    return 0;
}

/* -- continue tokens -- */

#define TOKEN_VERSION "meta.k8s.io/v1"
#define NOT_VALID "invalid continue token: continue key is not valid: "

/* A key that stays below the path's prefix: names and slashes between them. */
static bool is_clean(struct str start)
{
    struct str part;

    while (str_split(&start, '/', &part))
        if (str_empty(part) || str_is(part, ".") || str_is(part, ".."))
            return false;
    return true;
}

static int use_token(struct listing *list, const struct json *json, struct err *err)
{
    struct request *request = list->request;
    struct str start = json_str(json_member(json, "start")), version = json_str(json_member(json, "v"));
    int64_t revision = json_int(json_member(json, "rv"), 0), left = json_int(json_member(json, "left"), -1),
            past = json_int(json_member(json, "past"), 0);

    if (!str_is(version, TOKEN_VERSION))
        return fail_bad_request(
            request, err, NOT_VALID "server does not recognize this encoded version \"" STR_FMT "\"", STR_ARG(version));
    if (revision == 0 || revision > (int64_t)store_revision(request->server->options.store))
        return fail_bad_request(request, err,
                                NOT_VALID "incorrect encoded start resourceVersion (version " TOKEN_VERSION ")");
    if (str_empty(start))
        return fail_bad_request(request, err, NOT_VALID "encoded start key empty (version " TOKEN_VERSION ")");
    if (!is_clean(start) || list->base.len + start.len > STORE_KEY_MAX)
        return fail_bad_request(request, err, "invalid continue token: invalid key: " STR_FMT,
                                STR_ARG(str_first(start, 256)));
    memcpy(list->start_buf, list->base.data, list->base.len);
    memcpy(list->start_buf + list->base.len, start.data, start.len);
    list->start = str_of(list->start_buf, list->base.len + start.len);
    if (revision < 0) /* goes on at the newest: a token from the 410 of an expired one */
        return 0;
    list->exact = (revision_t)revision;
    if (past > 0 && past <= clock_wall(request->server->options.clock))
        request->as_of_time = past;
    if (left >= 0) {
        list->remaining = (uint64_t)left;
        list->counted = true;
    }
    return 0;
}

static int read_token(struct listing *list, struct str token, struct err *err)
{
    struct request *request = list->request;
    struct json *json;
    struct str text;

    if (token.len > 2 * STORE_KEY_MAX || !base64url_decode(request->arena, token, &text))
        return fail_bad_request(request, err, NOT_VALID "illegal base64 data");
    if (json_parse(request->arena, text, NULL, &json, NULL) < 0 || !json_is(json, JSON_OBJECT))
        return fail_bad_request(request, err, NOT_VALID "it is not what this server gave out");
    return use_token(list, json, err);
}

/* revision 0: the newest of when it is used. */
static void write_token(const struct listing *list, revision_t revision, struct buf *buf)
{
    AUTO_DEINIT(buf, token) = BUF_INIT;
    struct json_writer t = json_writer(&token);

    jw_begin_object(&t);
    jw_field_str(&t, "v", STR(TOKEN_VERSION));
    jw_field_int(&t, "rv", revision ? (int64_t)revision : -1);
    if (revision && list->counted)
        jw_field_int(&t, "left", (int64_t)list->remaining);
    if (revision && list->request->as_of_time)
        jw_field_int(&t, "past", list->request->as_of_time); /* ages stay what they were */
    jw_field_str(&t, "start", str_skip(list->start, list->base.len));
    jw_end_object(&t);
    base64url_encode(buf, buf_str(&token));
    if (!buf_ok(&token))
        buf->failed = true;
}

/* What was asked for is compacted. A list that is under way may go on at the newest revision, when its reader takes
 * that: the Status has the token. */
static int fail_expired(struct listing *list, struct err *err)
{
    AUTO_DEINIT(buf, token) = BUF_INIT;

    if (!list->start.len)
        return err_set(err, ERR_EXPIRED, "The resourceVersion for the provided list is too old.");
    write_token(list, 0, &token);
    if (buf_ok(&token))
        list->request->failure.continue_token = arena_str(list->request->arena, buf_str(&token));
    return err_set(err, ERR_EXPIRED,
                   "The provided continue parameter is too old to display a consistent list result. You can start a "
                   "new list without the continue parameter, or use the continue token in this response to retrieve "
                   "the remainder of the results. Continuing with the provided token results in an inconsistent list "
                   "- objects that were created, modified, or deleted between the time the first chunk was returned "
                   "and now may show up in the list.");
}

/* Where to go on: the key itself. */
static void note_start(struct listing *list, struct str key)
{
    memcpy(list->start_buf, key.data, key.len);
    list->start = str_of(list->start_buf, key.len);
}

/* -- opening -- */

int list_open_with(struct request *request, const struct selection *selection, revision_t exact,
                   struct listing **ret_list, struct err *err)
{
    struct listing *list = arena_new_of(request->arena, struct listing);
    int code;

    if (!list)
        return err_set(err, ERR_NO_MEMORY, "list");
    list->request = request;
    list->selection = *selection;
    list->exact = exact;
    list->base = request_prefix(request, request->info.ns);
    if (!list->base.data)
        return err_set(err, ERR_NO_MEMORY, "list");
    if ((code = selection_scope(request, selection, &list->scope, err)) < 0)
        return code;
    arena_init_within(&list->scratch, SCRATCH_LIMIT, request->arena->budget);
    *ret_list = list;
    return 0;
}

int list_open(struct request *request, struct listing **ret_list, struct err *err)
{
    struct list_options options;
    struct selection selection;
    struct listing *list;
    int code;

    if ((code = list_options_read(request, &options, err)) < 0 ||
        (code = selection_parse(request, request_param(request, "labelSelector"),
                                request_param(request, "fieldSelector"), &selection, err)) < 0 ||
        (code = list_open_with(request, &selection, 0, &list, err)) < 0)
        return code;
    list->limit = options.limit;
    if (str_empty(options.token))
        code = match_revision(list, &options, err);
    else if (options.revision > 0)
        code = fail_bad_request(request, err, "specifying resource version is not allowed when using continue");
    else
        code = read_token(list, options.token, err);
    if (code < 0)
        return code;
    list->began = arena_str(request->arena, list->start);
    *ret_list = list;
    return 0;
}

int list_again(const struct listing *list, struct listing **ret_list, struct err *err)
{
    struct listing *again;
    int code = list_open_with(list->request, &list->selection, list->revision, &again, err);

    if (code < 0)
        return code;
    again->limit = list->limit;
    again->remaining = list->remaining;
    again->counted = list->counted;
    again->began = list->began;
    if (list->start.len)
        note_start(again, list->start);
    *ret_list = again;
    return 0;
}

struct listing *list_close(struct listing *list)
{
    if (list)
        arena_deinit(&list->scratch);
    return NULL;
}

static int open_snapshot(struct listing *list, struct store_snapshot **ret_snapshot, struct err *err)
{
    struct store *store = list->request->server->options.store;
    int code = store_snapshot_open(store, list->revision ? list->revision : list->exact, ret_snapshot, err);

    if (code == -ERR_EXPIRED)
        return fail_expired(list, err);
    if (code == 0)
        list->revision = store_snapshot_revision(*ret_snapshot);
    return code;
}

int list_probe(struct listing *list, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;

    return open_snapshot(list, &snapshot, err);
}

/* remainingItemCount: what this page leaves behind. */
static int count_rest(struct listing *list, struct store_snapshot *snapshot, struct err *err)
{
    uint64_t total;
    int code;

    if (!list->limit || !selection_is_all(&list->selection))
        return 0;
    if (!list->counted) {
        if ((code = store_count_from(snapshot, list->scope.prefix, list->began, &total, err)) < 0)
            return code;
        list->remaining = total;
        list->counted = true;
    }
    list->remaining = list->remaining > list->found ? list->remaining - list->found : 0;
    return 0;
}

/* The one object that can be meant. */
static int take_one(struct listing *list, struct store_snapshot *snapshot, const struct list_sink *sink,
                    struct err *err)
{
    struct store_item item;
    int code = 0;

    if (str_cmp(list->start, list->scope.prefix) <= 0)
        code = store_get(snapshot, list->scope.prefix, &item, err);
    else
        return 0; /* a token that is behind it */
    if (code == -ERR_NOT_FOUND) {
        err_clear(err);
        return 0;
    }
    if (code < 0 || (code = selection_matches(&list->selection, &list->scratch, item.key, item.value, err)) <= 0)
        return code;
    list->found++;
    return sink->item(sink->ctx, item.key, item.value, err);
}

static int take_items(struct listing *list, struct store_snapshot *snapshot, const struct list_sink *sink,
                      size_t max_bytes, struct err *err)
{
    AUTO(store_cursor) cursor = NULL;
    size_t bytes = 0, items = 0;
    struct store_item item;
    int code;

    if (list->scope.exact)
        return take_one(list, snapshot, sink, err);
    if ((code = store_cursor_open_term(snapshot, list->scope.term, list->scope.prefix, list->start, &cursor, err)) < 0)
        return code;
    while ((code = store_cursor_next(cursor, &item, err)) > 0) {
        if (bytes >= max_bytes || items >= CHUNK_ITEMS) {
            note_start(list, item.key);
            return 1;
        }
        if (list->limit && list->found == list->limit) {
            note_start(list, item.key);
            list->more = true;
            return count_rest(list, snapshot, err);
        }
        if ((code = selection_matches(&list->selection, &list->scratch, item.key, item.value, err)) < 0)
            return code;
        /* Looking costs too: a selective list must not keep a snapshot open for long. */
        bytes += code ? item.value.len : item.value.len / 16;
        if (!code)
            continue;
        if ((code = sink->item(sink->ctx, item.key, item.value, err)) < 0)
            return code;
        list->found++;
        items++;
    }
    return code;
}

int list_next(struct listing *list, const struct list_sink *sink, size_t max_bytes, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    int code, flushed;

    if (list->ended)
        return 0;
    if ((code = open_snapshot(list, &snapshot, err)) < 0 ||
        (code = take_items(list, snapshot, sink, max_bytes, err)) < 0)
        return code;
    list->ended = code == 0;
    if (sink->flush && (flushed = sink->flush(sink->ctx, err)) < 0)
        return flushed;
    return code;
}

void list_note_place(const struct listing *list, struct list_place *ret_place)
{
    if (list->start.len)
        memcpy(ret_place->start, list->start.data, list->start.len);
    ret_place->start_len = list->start.len;
    ret_place->found = list->found;
    ret_place->remaining = list->remaining;
    ret_place->counted = list->counted;
}

void list_go_back(struct listing *list, const struct list_place *place)
{
    note_start(list, str_of(place->start, place->start_len));
    list->found = place->found;
    list->remaining = place->remaining;
    list->counted = place->counted;
    list->more = list->ended = false;
}

void list_write_meta(const struct listing *list, struct buf *buf)
{
    AUTO_DEINIT(buf, token) = BUF_INIT;
    struct json_writer w = json_writer(buf);
    char revision[24];

    snprintf(revision, sizeof revision, "%llu", (unsigned long long)list->revision);
    jw_begin_object(&w);
    jw_field_str(&w, "resourceVersion", str_from(revision));
    if (list->more) {
        write_token(list, list->revision, &token);
        jw_field_str(&w, "continue", buf_str(&token));
        buf->failed |= token.failed;
        if (list->counted)
            jw_field_int(&w, "remainingItemCount", (int64_t)list->remaining);
    }
    jw_end_object(&w);
}
