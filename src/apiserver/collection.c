/* collection.c - DELETE of a collection: each object that the selectors choose is deleted as if one by one, with the
 * same options. Those are the objects of one revision, or of one page of it; the answer is their list, as they were. */
#include "apiserver/custom.h"
#include "apiserver/decode.h"
#include "apiserver/list.h"
#include "apiserver/list_stream.h"
#include "apiserver/server.h"
#include "apiserver/write.h"

#define CHUNK_BYTES (256u << 10)
#define WRITE_ARENA (64u << 20)

struct chosen {
    struct str ns, name;
};

struct collector {
    struct request *request;
    struct arena *arena; /* of this chunk */
    struct chosen *items;
    size_t count, cap;
};

static int collect(void *ctx, struct str key, struct str text, struct err *err)
{
    struct collector *collector = ctx;
    struct str rest = str_skip(key, request_storage(collector->request)->store_prefix.len);
    ssize_t slash = str_chr(rest, '/');
    struct chosen chosen = { .name = rest };

    (void)text;
    if (collector->count == collector->cap) {
        size_t cap = collector->cap ? collector->cap * 2 : 64;
        struct chosen *items =
            arena_grow(collector->arena, collector->items, collector->cap * sizeof *items, cap * sizeof *items);
        if (!items)
            return err_set(err, ERR_NO_MEMORY, "deleting a collection");
        collector->items = items;
        collector->cap = cap;
    }
    if (request_storage(collector->request)->namespaced && slash >= 0) {
        chosen.ns = arena_str(collector->arena, str_first(rest, (size_t)slash));
        chosen.name = str_skip(rest, (size_t)slash + 1);
    }
    chosen.name = arena_str(collector->arena, chosen.name);
    if (!chosen.name.data)
        return err_set(err, ERR_NO_MEMORY, "deleting a collection");
    collector->items[collector->count++] = chosen;
    return 0;
}

/* A request of its own in an arena of its own, so that a large collection does not grow ours. */
static int delete_chosen(struct request *request, const struct chosen *chosen, struct json *options, struct err *err)
{
    AUTO(arena) arena = arena_new(WRITE_ARENA);
    struct request one = *request;
    struct write *write;
    int code;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "deleting a collection");
    arena->budget = request->arena->budget;
    one.arena = arena;
    one.reply = (struct reply){ 0 };
    one.list = NULL;
    one.custom = custom_ref(request->custom);
    causes_init(&one.failure.causes, arena);
    code = delete_new(&one, chosen->ns, chosen->name, options, &write, err);
    if (code == 0)
        code = write_run(write, err);
    request_release(&one);
    if (code == -ERR_NOT_FOUND) {
        err_clear(err);
        return 0;
    }
    return code;
}

static int delete_all(struct request *request, struct listing *list, struct json *options, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    int more = 1, code;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "deleting a collection");
    while (more > 0) {
        struct collector collector = { .request = request, .arena = arena };
        struct list_sink sink = { .ctx = &collector, .item = collect };

        if ((more = list_next(list, &sink, CHUNK_BYTES, err)) < 0)
            return more;
        for (size_t i = 0; i < collector.count; i++)
            if ((code = delete_chosen(request, &collector.items[i], options, err)) < 0)
                return code;
        arena_reset(arena);
    }
    return 0;
}

/* The list of what is about to be deleted as the reply. One that would be too large is told as a success only. */
static int answer_with_list(struct request *request, const struct listing *list, struct err *err)
{
    int code = list_again(list, &request->list, err);

    if (code == 0)
        code = list_whole(request, err);
    if (code != -ERR_TOO_LARGE)
        return code;
    err_clear(err);
    return 0;
}

int delete_collection_run(struct request *request, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json *options;
    struct listing *list = NULL;
    int code;

    if ((code = decode_delete_options(request, &options, err)) < 0 || (code = decode_dry_run(request, err)) < 0 ||
        (code = list_open(request, &list, err)) < 0)
        return code;
    code = list_probe(list, err);
    if (code == 0 && !request->local)
        code = answer_with_list(request, list, err);
    if (code == 0)
        code = delete_all(request, list, options, err);
    list_close(list);
    if (code < 0 || request->reply.status)
        return code;
    status_write_success(&buf, STR(""), request->resource->group, request->resource->plural, STR(""));
    reply_buf(request, 200, NULL, &buf, err);
    return 0;
}
