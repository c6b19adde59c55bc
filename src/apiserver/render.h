/* render.h - what a client gets to see of stored objects and of other answers: in which version, shape (whole, Table,
 * metadata only) and format (JSON, indented or not, YAML, protobuf). The one place where a text becomes another.
 *
 * A list is written as head, items with separators, tail. */
#pragma once

#include "apiserver/negotiate.h"
#include "apiserver/table.h"
#include "base/buf.h"
#include "codec/json.h"
#include "schema/type.h"

struct render {
    const struct resource *resource; /* in the version asked for */
    const struct resource *storage;  /* in the version that texts are in */
    struct media media;
    struct table_format table;
    bool no_columns; /* Table: without the definitions, which a watch sends once */
};

/* That of the request's own resource. */
struct request;
void render_init(struct render *render, const struct request *request);

/* The stored text is what the client asked for, also inside a list. */
static inline bool render_is_stored(const struct render *render)
{
    return render->media.format == MEDIA_JSON && !render->media.pretty && render->media.shape == SHAPE_OBJECT &&
           render->resource == render->storage;
}

/* A stored object's text as an answer of its own. What comes out lies in arena or in text itself. */
int render_object(const struct render *render, struct arena *arena, struct str text, struct str *ret_bytes,
                  struct err *err);
/* As an element of a list: an object or row in JSON, a "- " block in YAML, the field of a protobuf message. */
int render_item(const struct render *render, struct arena *arena, struct str text, struct str *ret_bytes,
                struct err *err);
/* Any other answer, JSON text with apiVersion and kind: a Status, a Scale, a review. What has no protobuf stays JSON:
 * *format is what it became. */
int render_answer(struct arena *arena, enum media_format *format, bool pretty, struct str text, struct str *ret_bytes,
                  struct err *err);

/* --- lists --- */

/* Around items: before the first, between two, after the last; instead of all that when there is none. */
struct render_marks {
    struct str first, between, last, none;
};
const struct render_marks *render_marks(const struct render *render);

/* list_meta: JSON text {"resourceVersion":...}; unset when it is not known yet and comes with the tail. Not for
 * protobuf. */
int render_list_head(const struct render *render, struct arena *arena, struct str list_meta, struct buf *out,
                     struct err *err);
/* at_end: list_meta was not in the head. */
int render_list_tail(const struct render *render, struct arena *arena, struct str list_meta, bool at_end,
                     struct buf *out, struct err *err);
/* The whole of a protobuf list but for its items, of which there are items_len bytes. Before and behind them. */
int render_protobuf_list(const struct render *render, struct arena *arena, struct str list_meta, uint64_t items_len,
                         struct str *ret_head, struct str *ret_tail, struct err *err);
