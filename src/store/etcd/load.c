#include "store/etcd/load.h"

#include <errno.h>

#include "base/buf.h"

#include "store/event.h"
#include "store/index.h"
#include "store/term_index.h"

#define PAGE_MAX 500 /* objects */
#define PAGE_TIMEOUT (20 * NSEC_PER_SEC)
#define TXN_BYTES (16u << 20)

struct load {
    struct etcd_client *client;
    const struct etcd_layout *layout;
    struct engine *engine;
    MDB_txn *txn;
    size_t txn_bytes;
    revision_t at; /* 0: not known yet: that of the first answer */
    struct meta meta;
    struct buf next; /* the key to go on from */
    int64_t page;
};

/* -- writing -- */

static int begin(struct load *load, struct err *err)
{
    int rc = mdb_txn_begin(load->engine->env, NULL, 0, &load->txn);

    load->txn_bytes = 0;
    return rc ? engine_fail(load->engine, rc, "loading", err) : 0;
}

static int commit(struct load *load, struct err *err)
{
    int rc = engine_commit(load->engine, TAKE(load->txn));

    return rc ? engine_fail(load->engine, rc, "loading", err) : 0;
}

/* Several objects may have one revision: each takes the first place in it that is free. */
static int insert(struct load *load, revision_t revision, size_t size, position_t *ret_position, void **ret_room)
{
    int rc = MDB_KEYEXIST;

    for (size_t op = 0; op < STORE_OPS_MAX && rc == MDB_KEYEXIST; op++) {
        *ret_position = position_of(revision, op);
        rc = log_insert(load->engine, load->txn, *ret_position, size, ret_room);
    }
    return rc;
}

/* LMDB's codes. */
static int write_record(struct load *load, revision_t revision, const struct record *record)
{
    struct index_entry entry = { .created = record->created };
    void *room;
    int rc = insert(load, revision, record_size(record), &entry.position, &room);

    if (rc)
        return rc;
    record_encode(record, entry.position, room);
    if ((rc = index_put(&load->engine->keys, load->txn, record->key, &entry)) ||
        (rc = term_index_change(load->engine, load->txn, record->key, entry.position, STR_NULL, record->terms)))
        return rc;
    load->meta.live_keys++;
    load->meta.time = MAX(load->meta.time, record->time);
    load->meta.revision = MAX(load->meta.revision, revision);
    load->txn_bytes += record->key.len + record->value.len;
    return 0;
}

static int load_object(struct load *load, const Etcd__KeyValue *kv, struct err *err)
{
    char terms[TERMS_BYTES_MAX];
    struct etcd_object object;
    struct str key = str_skip(etcd_str(kv->key), load->layout->objects.len);
    revision_t revision = (revision_t)kv->mod_revision;
    int code;

    if (key.len == 0 || key.len > STORE_KEY_MAX)
        return 0; /* never one of ours */
    if ((code = etcd_object_decode(etcd_str(kv->value), NULL, &object, err)) < 0)
        return err_wrap(err, code, "key " STR_FMT, STR_ARG(str_first(key, 300)));
    AUTO(blob) value = value_splice(object.text, object.splice, revision);
    struct record record = {
        .created = (revision_t)kv->create_revision,
        .trigger = object.record->trigger,
        .time = object.record->time,
        .key = key,
        .actor = object.actor,
        .rule = object.rule,
        .value = blob_str(value),
        .terms = str_of(terms, terms_encode(object.terms, object.terms_count, terms)),
    };
    int rc = value ? write_record(load, revision, &record) : ENOMEM;
    stored__record__free_unpacked(object.record, NULL);
    if (rc)
        return engine_fail(load->engine, rc, "loading", err);
    if (load->txn_bytes < TXN_BYTES)
        return 0;
    code = commit(load, err);
    return code < 0 ? code : begin(load, err);
}

/* -- reading -- */

static int ask(struct load *load, struct str key, struct str end, int64_t limit, Etcd__RangeResponse **ret_answer,
               struct err *err)
{
    Etcd__RangeRequest range = ETCD__RANGE_REQUEST__INIT;
    ProtobufCMessage *answer;

    range.key = etcd_bytes(key);
    range.range_end = etcd_bytes(end);
    range.limit = limit;
    range.revision = (int64_t)load->at;
    int code = etcd_do(load->client, ETCD_RANGE, &range.base, PAGE_TIMEOUT, &answer, err);
    if (code < 0)
        return code;
    *ret_answer = (Etcd__RangeResponse *)answer;
    if (!load->at && (*ret_answer)->header)
        load->at = (revision_t)(*ret_answer)->header->revision;
    return 0;
}

/* 1: there is more to ask. */
static int load_page(struct load *load, struct str end, struct err *err)
{
    Etcd__RangeResponse *answer;
    int code = ask(load, buf_str(&load->next), end, load->page, &answer, err);

    if (code == -ERR_TOO_LARGE && load->page > 1) { /* large objects */
        load->page = MAX(load->page / 4, 1);
        err_clear(err);
        return 1;
    }
    if (code < 0)
        return code;
    for (size_t i = 0; i < answer->n_kvs && code == 0; i++)
        code = load_object(load, answer->kvs[i], err);
    if (code == 0 && answer->more && answer->n_kvs > 0) {
        buf_clear(&load->next);
        buf_add_str(&load->next, etcd_str(answer->kvs[answer->n_kvs - 1]->key));
        buf_add_char(&load->next, '\0');
        code = buf_ok(&load->next) ? 1 : err_set(err, ERR_NO_MEMORY, "loading");
    }
    etcd__range_response__free_unpacked(answer, NULL);
    return code;
}

/* The newest transaction at the revision. */
static int load_newest(struct load *load, struct err *err)
{
    Etcd__RangeResponse *answer;
    int code = ask(load, load->layout->txn, STR_NULL, 0, &answer, err);

    if (code < 0)
        return code;
    if (answer->n_kvs > 0) {
        Stored__Txn *stored = stored__txn__unpack(NULL, answer->kvs[0]->value.len, answer->kvs[0]->value.data);

        load->meta.revision = MAX(load->meta.revision, (revision_t)answer->kvs[0]->mod_revision);
        if (stored)
            load->meta.time = MAX(load->meta.time, stored->time);
        if (stored)
            stored__txn__free_unpacked(stored, NULL);
    }
    etcd__range_response__free_unpacked(answer, NULL);
    return 0;
}

static int load_all(struct load *load, struct err *err)
{
    char end_bytes[ETCD_PREFIX_MAX + 16];
    struct str end = etcd_prefix_end(load->layout->objects, end_bytes);
    int code;

    buf_add_str(&load->next, load->layout->objects);
    if (!buf_ok(&load->next))
        return err_set(err, ERR_NO_MEMORY, "loading");
    while ((code = load_page(load, end, err)) > 0)
        ;
    if (code < 0 || (code = load_newest(load, err)) < 0)
        return code;
    load->meta.floor = load->meta.revision;
    load->meta.trimmed = load->meta.revision ? position_end(load->meta.floor) : 0;
    int rc = engine_meta_put(load->engine, load->txn, &load->meta);
    return rc ? engine_fail(load->engine, rc, "loading", err) : commit(load, err);
}

int etcd_load(struct etcd_client *client, const struct etcd_layout *layout, struct engine *engine, revision_t *ret_at,
              struct err *err)
{
    struct load load = { .client = client, .layout = layout, .engine = engine, .page = PAGE_MAX };
    int code = begin(&load, err);

    if (code < 0)
        return code;
    buf_init(&load.next, 0);
    code = load_all(&load, err);
    buf_deinit(&load.next);
    if (load.txn)
        mdb_txn_abort(load.txn);
    if (code < 0)
        return err_wrap(err, code, "loading the cache from etcd");
    *ret_at = load.at;
    return 0;
}
