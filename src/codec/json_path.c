/* json_path.c - paths as Kubernetes writes them: spec.containers[0].image. */
#include "codec/json_path.h"

#include <stdio.h>

/* Cut at the end when longer: keys are the client's, and one may be named at each of many depths. */
struct path {
    size_t len;
    char text[1024];
};

static void path_add(struct path *path, struct str s)
{
    size_t room = sizeof path->text - path->len;

    if (s.len > room)
        for (s.len = room; s.len > 0 && (s.data[s.len] & 0xC0) == 0x80;)
            s.len--;
    memcpy(path->text + path->len, s.data, s.len);
    path->len += s.len;
}

static void path_add_frame(struct path *path, const struct json_frame *frame)
{
    char index[16];

    if (frame->up)
        path_add_frame(path, frame->up);
    if (!frame->key.data) {
        path_add(path, str_of(index, (size_t)snprintf(index, sizeof index, "[%u]", frame->index)));
        return;
    }
    if (path->len)
        path_add(path, STR("."));
    path_add(path, frame->key);
}

bool json_duplicates_add(struct arena *arena, struct json_duplicates *duplicates, const struct json_frame *frame)
{
    struct json_duplicates *d = duplicates;
    struct path path;

    if (!d || d->count >= (d->limit ? d->limit : JSON_DUPLICATES_MAX))
        return true;
    if (d->count == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 8;
        struct str *paths = arena_grow(arena, d->paths, d->cap * sizeof *paths, cap * sizeof *paths);

        if (!paths)
            return false;
        d->paths = paths;
        d->cap = cap;
    }
    path.len = 0;
    path_add_frame(&path, frame);
    d->paths[d->count] = arena_str(arena, str_of(path.text, path.len));
    return d->paths[d->count++].data != NULL;
}
