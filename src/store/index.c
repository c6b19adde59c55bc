/* index.c - an index, also for keys longer than LMDB allows.
 *
 * A key shorter than a segment (480 bytes) is a key of the flat tree. Of a longer one the first segment is there
 * and points to a node; the rest is in the deep tree under the node's number and cut the same way. So an entry of
 * exactly one segment's length is always a pointer, any other a key's end, and walking the trees in order, descending
 * at each pointer, gives all keys in byte order. Names in Kubernetes can make keys of some 580 bytes; few ever do. */
#include "store/index.h"

#include <endian.h>

#define DELETED (1ull << 63)
#define NODE_BYTES sizeof(uint64_t)

struct cell {
    uint64_t target;  /* position, or the node's number */
    uint64_t created; /* and DELETED */
};

/* A place in the trees: a node (0: the root, the flat tree) and the part of the key below it. */
struct place {
    MDB_dbi tree;
    size_t len;
    char bytes[NODE_BYTES + INDEX_SEGMENT];
};

static void place_init(struct place *place, const struct index_trees *trees, uint64_t node, struct str part)
{
    uint64_t number = htobe64(node);

    place->tree = node ? trees->deep : trees->flat;
    place->len = 0;
    if (node) {
        memcpy(place->bytes, &number, NODE_BYTES);
        place->len = NODE_BYTES;
    }
    if (part.len)
        memcpy(place->bytes + place->len, part.data, part.len);
    place->len += part.len;
}

static int cell_get(MDB_txn *txn, struct place *place, struct cell *ret_cell)
{
    MDB_val key = { place->len, place->bytes }, value;
    int rc = mdb_get(txn, place->tree, &key, &value);

    if (rc == 0 && value.mv_size != sizeof *ret_cell)
        rc = MDB_CORRUPTED;
    if (rc == 0)
        memcpy(ret_cell, value.mv_data, sizeof *ret_cell);
    return rc;
}

static int cell_put(MDB_txn *txn, struct place *place, const struct cell *cell)
{
    MDB_val key = { place->len, place->bytes }, value = { sizeof *cell, (void *)cell };

    return mdb_put(txn, place->tree, &key, &value, 0);
}

static struct index_entry entry_of(struct cell cell)
{
    return (struct index_entry){ cell.target, cell.created & ~DELETED, (cell.created & DELETED) != 0 };
}

int index_get(const struct index_trees *trees, MDB_txn *txn, struct str key, struct index_entry *ret_entry)
{
    uint64_t node = 0;
    struct place place;
    struct cell cell;
    int rc;

    for (; key.len >= INDEX_SEGMENT; key = str_skip(key, INDEX_SEGMENT)) {
        place_init(&place, trees, node, str_first(key, INDEX_SEGMENT));
        if ((rc = cell_get(txn, &place, &cell)))
            return rc;
        node = cell.target;
    }
    if (node == 0) { /* nearly always: no copy */
        MDB_val name = { key.len, (void *)key.data }, value;

        if ((rc = mdb_get(txn, trees->flat, &name, &value)))
            return rc;
        if (value.mv_size != sizeof cell)
            return MDB_CORRUPTED;
        memcpy(&cell, value.mv_data, sizeof cell);
    } else {
        place_init(&place, trees, node, key);
        if ((rc = cell_get(txn, &place, &cell)))
            return rc;
    }
    *ret_entry = entry_of(cell);
    return 0;
}

/* The highest number of a node that is in use. */
static int last_node(const struct index_trees *trees, MDB_txn *txn, uint64_t *ret_node)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t number = 0;
    int rc = mdb_cursor_open(txn, trees->deep, &cursor);

    if (rc)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    if (rc == 0 && key.mv_size < NODE_BYTES)
        rc = MDB_CORRUPTED;
    if (rc == 0)
        memcpy(&number, key.mv_data, NODE_BYTES);
    mdb_cursor_close(cursor);
    *ret_node = be64toh(number);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int index_put(const struct index_trees *trees, MDB_txn *txn, struct str key, const struct index_entry *entry)
{
    uint64_t node = 0;
    struct place place;
    struct cell cell;

    for (uint64_t level = 1; key.len >= INDEX_SEGMENT; key = str_skip(key, INDEX_SEGMENT), level++) {
        place_init(&place, trees, node, str_first(key, INDEX_SEGMENT));
        int rc = cell_get(txn, &place, &cell);

        if (rc == MDB_NOTFOUND && (rc = last_node(trees, txn, &cell.target)) == 0) {
            cell = (struct cell){ cell.target + level, 0 }; /* the node above may be as new, and empty yet */
            rc = cell_put(txn, &place, &cell);
        }
        if (rc)
            return rc;
        node = cell.target;
    }
    place_init(&place, trees, node, key);
    cell = (struct cell){ entry->position, entry->created | (entry->deleted ? DELETED : 0) };
    return cell_put(txn, &place, &cell);
}

static int node_is_empty(const struct index_trees *trees, MDB_txn *txn, uint64_t node, bool *ret_empty)
{
    struct place place;
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, trees->deep, &cursor);

    if (rc)
        return rc;
    place_init(&place, trees, node, STR_NULL);
    key = (MDB_val){ place.len, place.bytes };
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 || rc == MDB_NOTFOUND) {
        *ret_empty =
            rc == MDB_NOTFOUND || key.mv_size < NODE_BYTES || memcmp(key.mv_data, place.bytes, NODE_BYTES) != 0;
        rc = 0;
    }
    mdb_cursor_close(cursor);
    return rc;
}

int index_delete(const struct index_trees *trees, MDB_txn *txn, struct str key)
{
    struct place places[INDEX_LEVELS];
    uint64_t nodes[INDEX_LEVELS] = { 0 };
    int level = 0, rc;

    for (; key.len >= INDEX_SEGMENT; key = str_skip(key, INDEX_SEGMENT), level++) {
        struct cell cell;

        place_init(&places[level], trees, nodes[level], str_first(key, INDEX_SEGMENT));
        if ((rc = cell_get(txn, &places[level], &cell)))
            return rc;
        nodes[level + 1] = cell.target;
    }
    place_init(&places[level], trees, nodes[level], key);
    for (;; level--) { /* the entry, then each node that it leaves empty */
        MDB_val name = { places[level].len, places[level].bytes };
        bool empty = false;

        if ((rc = mdb_del(txn, places[level].tree, &name, NULL)) || level == 0)
            return rc;
        if ((rc = node_is_empty(trees, txn, nodes[level], &empty)) || !empty)
            return rc;
    }
}

/* -- in order -- */

int index_cursor_init(struct index_cursor *cursor, const struct index_trees *trees, MDB_txn *txn)
{
    cursor->trees = trees;
    cursor->txn = txn;
    cursor->depth = 0;
    memset(cursor->levels, 0, sizeof cursor->levels);
    memset(cursor->nodes, 0, sizeof cursor->nodes);
    return mdb_cursor_open(txn, trees->flat, &cursor->levels[0]);
}

void index_cursor_deinit(struct index_cursor *cursor)
{
    for (int i = 0; i < INDEX_LEVELS; i++)
        if (cursor->levels[i])
            mdb_cursor_close(cursor->levels[i]);
    memset(cursor->levels, 0, sizeof cursor->levels);
}

/* What LMDB found, cut to the node the cursor is in: the part of the key below the node, and the cell. */
static int level_found(struct index_cursor *cursor, int rc, MDB_val key, MDB_val value, struct str *ret_part,
                       struct cell *ret_cell)
{
    uint64_t number = htobe64(cursor->nodes[cursor->depth]);
    struct str part = { key.mv_data, key.mv_size };

    if (rc)
        return rc;
    if (cursor->depth > 0) {
        if (part.len < NODE_BYTES || memcmp(part.data, &number, NODE_BYTES) != 0)
            return MDB_NOTFOUND;
        part = str_skip(part, NODE_BYTES);
    }
    if (value.mv_size != sizeof *ret_cell || part.len > INDEX_SEGMENT)
        return MDB_CORRUPTED;
    memcpy(ret_cell, value.mv_data, sizeof *ret_cell);
    *ret_part = part;
    return 0;
}

static int level_seek(struct index_cursor *cursor, struct str from, struct str *ret_part, struct cell *ret_cell)
{
    struct place place;
    MDB_val key, value = { 0, NULL };

    place_init(&place, cursor->trees, cursor->nodes[cursor->depth], from);
    key = (MDB_val){ place.len, place.bytes };
    int rc = mdb_cursor_get(cursor->levels[cursor->depth], &key, &value, place.len ? MDB_SET_RANGE : MDB_FIRST);
    return level_found(cursor, rc, key, value, ret_part, ret_cell);
}

static int level_next(struct index_cursor *cursor, struct str *ret_part, struct cell *ret_cell)
{
    MDB_val key = { 0, NULL }, value = { 0, NULL };
    int rc = mdb_cursor_get(cursor->levels[cursor->depth], &key, &value, MDB_NEXT);

    return level_found(cursor, rc, key, value, ret_part, ret_cell);
}

static int descend(struct index_cursor *cursor, struct str segment, uint64_t node)
{
    if (cursor->depth + 1 >= INDEX_LEVELS)
        return MDB_CORRUPTED;
    memcpy(cursor->path + (size_t)cursor->depth * INDEX_SEGMENT, segment.data, INDEX_SEGMENT);
    cursor->depth++;
    cursor->nodes[cursor->depth] = node;
    if (cursor->levels[cursor->depth])
        return 0;
    return mdb_cursor_open(cursor->txn, cursor->trees->deep, &cursor->levels[cursor->depth]);
}

/* From what a move found to the next key's end: down at pointers, up at the end of a node. */
static int settle(struct index_cursor *cursor, int rc, struct str part, struct cell cell, struct str *ret_key,
                  struct index_entry *ret_entry)
{
    for (;;) {
        if (rc == MDB_NOTFOUND && cursor->depth > 0) {
            cursor->depth--;
            rc = level_next(cursor, &part, &cell);
        } else if (rc) {
            return rc;
        } else if (part.len == INDEX_SEGMENT) {
            rc = descend(cursor, part, cell.target);
            if (rc == 0)
                rc = level_seek(cursor, STR_NULL, &part, &cell);
        } else {
            break;
        }
    }
    *ret_key = part;
    *ret_entry = entry_of(cell);
    if (cursor->depth > 0) {
        size_t above = (size_t)cursor->depth * INDEX_SEGMENT;

        memcpy(cursor->path + above, part.data, part.len);
        *ret_key = str_of(cursor->path, above + part.len);
    }
    return 0;
}

int index_cursor_seek(struct index_cursor *cursor, struct str start, struct str *ret_key, struct index_entry *ret_entry)
{
    struct str part = STR_NULL;
    struct cell cell = { 0, 0 };
    int rc;

    cursor->depth = 0;
    for (;; start = str_skip(start, INDEX_SEGMENT)) {
        struct str segment = str_first(start, INDEX_SEGMENT);

        rc = level_seek(cursor, segment, &part, &cell);
        if (rc || segment.len < INDEX_SEGMENT || !str_eq(part, segment))
            return settle(cursor, rc, part, cell, ret_key, ret_entry);
        if ((rc = descend(cursor, part, cell.target)))
            return rc;
    }
}

int index_cursor_next(struct index_cursor *cursor, struct str *ret_key, struct index_entry *ret_entry)
{
    struct str part = STR_NULL;
    struct cell cell = { 0, 0 };
    int rc = level_next(cursor, &part, &cell);

    return settle(cursor, rc, part, cell, ret_key, ret_entry);
}
