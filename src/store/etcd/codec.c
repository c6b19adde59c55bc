#include "store/etcd/codec.h"

#include <stdio.h>

#include "store/record.h"
#include "store/term.h"

/* -- keys -- */

static struct str lay(struct etcd_layout *layout, size_t *used, struct str prefix, struct str name, struct str id)
{
    char *at = layout->bytes + *used;

    memcpy(at, prefix.data, prefix.len);
    memcpy(at + prefix.len, name.data, name.len);
    if (id.len)
        memcpy(at + prefix.len + name.len, id.data, id.len);
    *used += prefix.len + name.len + id.len;
    return str_of(at, prefix.len + name.len + id.len);
}

int etcd_layout_init(struct etcd_layout *layout, struct str prefix, struct str server_id, struct err *err)
{
    size_t used = 0;

    if (prefix.len == 0)
        prefix = STR("/caravel");
    if (prefix.len > ETCD_PREFIX_MAX || prefix.data[prefix.len - 1] == '/')
        return err_set(err, ERR_INVALID, "a prefix of keys in etcd has 1 to %d bytes and does not end in /",
                       ETCD_PREFIX_MAX);
    INVARIANT(server_id.len <= ETCD_SERVER_ID);
    layout->all = lay(layout, &used, prefix, STR("/"), STR_NULL);
    layout->objects = lay(layout, &used, prefix, STR("/o"), STR_NULL);
    layout->txn = lay(layout, &used, prefix, STR("/txn"), STR_NULL);
    layout->server = lay(layout, &used, prefix, STR("/server/"), server_id);
    layout->leader = lay(layout, &used, prefix, STR("/leader"), STR_NULL);
    layout->format = lay(layout, &used, prefix, STR("/format"), STR_NULL);
    return 0;
}

struct str etcd_pack(struct arena *arena, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *out = arena_alloc(arena, size + 1);

    if (!out)
        return STR_NULL;
    protobuf_c_message_pack(message, out);
    return str_of(out, size);
}

/* -- transactions to etcd -- */

struct encoder {
    const struct etcd_layout *layout;
    const struct store_txn *txn;
    const struct etcd_stamp *stamp;
    struct arena *arena;
    Etcd__TxnRequest *request;
};

static struct str cause_part(struct str s)
{
    return str_first(s, STORE_CAUSE_MAX);
}

static uint32_t splice_plus_one(const struct store_op *op)
{
    return op->splice == STORE_NO_SPLICE ? 0 : op->splice + 1;
}

/* Compares a key's mod_revision, and has it read when any comparison failed. */
static bool expect(struct encoder *encoder, struct str key, revision_t revision)
{
    Etcd__TxnRequest *request = encoder->request;
    Etcd__Compare *compare = arena_new_of(encoder->arena, Etcd__Compare);
    Etcd__RequestOp *op = arena_new_of(encoder->arena, Etcd__RequestOp);
    Etcd__RangeRequest *range = arena_new_of(encoder->arena, Etcd__RangeRequest);

    if (!compare || !op || !range)
        return false;
    etcd__compare__init(compare);
    compare->result = ETCD__COMPARE__RESULT__EQUAL;
    compare->target = ETCD__COMPARE__TARGET__MOD;
    compare->key = etcd_bytes(key);
    compare->target_union_case = ETCD__COMPARE__TARGET_UNION_MOD_REVISION;
    compare->mod_revision = (int64_t)revision;
    request->compare[request->n_compare++] = compare;
    etcd__range_request__init(range);
    range->key = etcd_bytes(key);
    range->keys_only = true;
    etcd__request_op__init(op);
    op->request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op->request_range = range;
    request->failure[request->n_failure++] = op;
    return true;
}

static bool add_put(struct encoder *encoder, struct str key, const ProtobufCMessage *message)
{
    Etcd__RequestOp *op = arena_new_of(encoder->arena, Etcd__RequestOp);
    Etcd__PutRequest *put = arena_new_of(encoder->arena, Etcd__PutRequest);
    struct str value = etcd_pack(encoder->arena, message);

    if (!op || !put || !value.data || !key.data)
        return false;
    etcd__put_request__init(put);
    put->key = etcd_bytes(key);
    put->value = etcd_bytes(value);
    etcd__request_op__init(op);
    op->request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = put;
    encoder->request->success[encoder->request->n_success++] = op;
    return true;
}

static bool add_delete(struct encoder *encoder, struct str key)
{
    Etcd__RequestOp *op = arena_new_of(encoder->arena, Etcd__RequestOp);
    Etcd__DeleteRangeRequest *delete = arena_new_of(encoder->arena, Etcd__DeleteRangeRequest);

    if (!op || !delete || !key.data)
        return false;
    etcd__delete_range_request__init(delete);
    delete->key = etcd_bytes(key);
    etcd__request_op__init(op);
    op->request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op->request_delete_range = delete;
    encoder->request->success[encoder->request->n_success++] = op;
    return true;
}

static struct str object_key(struct encoder *encoder, struct str key)
{
    return arena_concat(encoder->arena, encoder->layout->objects, key);
}

static bool put_object(struct encoder *encoder, const struct store_op *op, struct str key)
{
    Stored__Record record = STORED__RECORD__INIT;
    ProtobufCBinaryData terms[STORE_TERMS_MAX];

    record.splice = splice_plus_one(op);
    record.actor = etcd_bytes(cause_part(encoder->txn->cause.actor));
    record.rule = etcd_bytes(cause_part(encoder->txn->cause.rule));
    record.trigger = encoder->txn->cause.trigger;
    record.time = encoder->stamp->time;
    for (size_t i = 0; i < op->terms_count; i++)
        terms[i] = etcd_bytes(op->terms[i]);
    record.n_terms = op->terms_count;
    record.terms = terms;
    record.text = etcd_bytes(op->value);
    return add_put(encoder, key, &record.base);
}

static bool encode_op(struct encoder *encoder, const struct store_op *op)
{
    struct str key = object_key(encoder, op->key);

    if (!key.data || (op->expect != STORE_ANY && !expect(encoder, key, op->expect)))
        return false;
    if (op->kind == STORE_CHECK)
        return true;
    return op->kind == STORE_PUT ? put_object(encoder, op, key) : add_delete(encoder, key);
}

static bool put_txn(struct encoder *encoder)
{
    const struct store_txn *txn = encoder->txn;
    Stored__Txn stored = STORED__TXN__INIT;
    Stored__Deletion **deletions = arena_array_of(encoder->arena, txn->ops_count, Stored__Deletion *);

    if (!deletions)
        return false;
    stored.run = encoder->stamp->id.run;
    stored.number = encoder->stamp->id.number;
    stored.time = encoder->stamp->time;
    stored.actor = etcd_bytes(cause_part(txn->cause.actor));
    stored.rule = etcd_bytes(cause_part(txn->cause.rule));
    stored.trigger = txn->cause.trigger;
    stored.deletions = deletions;
    for (size_t i = 0; i < txn->ops_count; i++) {
        if (txn->ops[i].kind != STORE_DELETE)
            continue;
        Stored__Deletion *deletion = arena_new_of(encoder->arena, Stored__Deletion);
        if (!deletion)
            return false;
        stored__deletion__init(deletion);
        deletion->key = etcd_bytes(txn->ops[i].key);
        deletion->splice = splice_plus_one(&txn->ops[i]);
        deletion->text = etcd_bytes(txn->ops[i].value);
        deletions[stored.n_deletions++] = deletion;
    }
    return add_put(encoder, encoder->layout->txn, &stored.base);
}

static bool encode(struct encoder *encoder)
{
    const struct store_txn *txn = encoder->txn;
    struct arena *arena = encoder->arena;
    Etcd__TxnRequest *request = encoder->request;
    size_t room = txn->ops_count + 3;

    request->compare = arena_array_of(arena, room, Etcd__Compare *);
    request->success = arena_array_of(arena, room, Etcd__RequestOp *);
    request->failure = arena_array_of(arena, room, Etcd__RequestOp *);
    Etcd__RequestOp *newest = arena_new_of(arena, Etcd__RequestOp);
    Etcd__RangeRequest *range = arena_new_of(arena, Etcd__RangeRequest);
    if (!request->compare || !request->success || !request->failure || !newest || !range)
        return false;
    etcd__range_request__init(range);
    range->key = etcd_bytes(encoder->layout->txn);
    range->keys_only = true;
    etcd__request_op__init(newest);
    newest->request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_RANGE;
    newest->request_range = range;
    request->failure[request->n_failure++] = newest;
    if (!expect(encoder, encoder->layout->server, encoder->stamp->epoch) ||
        (txn->cause.term && !expect(encoder, encoder->layout->leader, txn->cause.term)))
        return false;
    for (size_t i = 0; i < txn->ops_count; i++)
        if (!encode_op(encoder, &txn->ops[i]))
            return false;
    return put_txn(encoder);
}

int etcd_txn_encode(const struct etcd_layout *layout, const struct store_txn *txn, const struct etcd_stamp *stamp,
                    struct arena *arena, Etcd__TxnRequest **ret_request, struct err *err)
{
    struct encoder encoder = { layout, txn, stamp, arena, arena_new_of(arena, Etcd__TxnRequest) };

    if (encoder.request) {
        etcd__txn_request__init(encoder.request);
        if (encode(&encoder)) {
            *ret_request = encoder.request;
            return 0;
        }
    }
    return err_set(err, ERR_NO_MEMORY, "a transaction for etcd");
}

/* -- etcd's answer -- */

/* The mod_revision of what the i-th range of the failure branch has read. */
static bool read_present(const Etcd__TxnResponse *answer, size_t i, revision_t *ret_present)
{
    if (i >= answer->n_responses || answer->responses[i]->response_case != ETCD__RESPONSE_OP__RESPONSE_RESPONSE_RANGE)
        return false;
    const Etcd__RangeResponse *range = answer->responses[i]->response_range;

    *ret_present = range->n_kvs > 0 ? (revision_t)range->kvs[0]->mod_revision : 0;
    return true;
}

static bool judge(const struct store_txn *txn, revision_t epoch, const Etcd__TxnResponse *answer,
                  struct etcd_verdict *verdict)
{
    revision_t present;
    size_t at = 2;

    if (!read_present(answer, 0, &verdict->revision) || !read_present(answer, 1, &verdict->epoch))
        return false;
    if (verdict->epoch != epoch) {
        verdict->outcome = ETCD_EPOCH_OVER;
        return true;
    }
    if (txn->cause.term) {
        if (!read_present(answer, at++, &present))
            return false;
        if (present != txn->cause.term) {
            verdict->outcome = ETCD_TERM_OVER;
            return true;
        }
    }
    for (size_t i = 0; i < txn->ops_count; i++) {
        if (txn->ops[i].expect == STORE_ANY)
            continue;
        if (!read_present(answer, at++, &present))
            return false;
        if (present == txn->ops[i].expect)
            continue;
        verdict->outcome = ETCD_CONFLICT;
        verdict->failed_op = i;
        verdict->present = present;
        return true;
    }
    return false;
}

int etcd_txn_judge(const struct etcd_layout *layout, const struct store_txn *txn, revision_t epoch,
                   const Etcd__TxnResponse *answer, struct etcd_verdict *ret_verdict, struct err *err)
{
    struct etcd_verdict verdict = { .outcome = ETCD_WRITTEN };

    if (answer->succeeded && answer->header && answer->header->revision > 0)
        verdict.revision = (revision_t)answer->header->revision;
    else if (answer->succeeded || !judge(txn, epoch, answer, &verdict))
        return err_set(err, ERR_IO, "etcd's answer to a transaction under " STR_FMT " cannot be understood",
                       STR_ARG(layout->all));
    *ret_verdict = verdict;
    return 0;
}

/* -- what etcd says -- */

static int damaged(struct str key, struct err *err)
{
    return err_set(err, ERR_IO, "the value of key " STR_FMT " in etcd is damaged", STR_ARG(str_first(key, 300)));
}

static bool splice_of(uint32_t plus_one, struct str text, uint32_t *ret_splice)
{
    *ret_splice = plus_one ? plus_one - 1 : STORE_NO_SPLICE;
    return text.len <= STORE_VALUE_MAX && plus_one <= text.len + 1;
}

static bool object_of(Stored__Record *record, struct etcd_object *object)
{
    object->text = etcd_str(record->text);
    object->actor = cause_part(etcd_str(record->actor));
    object->rule = cause_part(etcd_str(record->rule));
    object->terms_count = record->n_terms;
    if (record->n_terms > STORE_TERMS_MAX || record->time < 0 ||
        !splice_of(record->splice, object->text, &object->splice))
        return false;
    for (size_t i = 0; i < record->n_terms; i++)
        object->terms[i] = etcd_str(record->terms[i]);
    return terms_check(object->terms, object->terms_count, NULL) == 0;
}

int etcd_object_decode(struct str value, ProtobufCAllocator *allocator, struct etcd_object *ret_object, struct err *err)
{
    Stored__Record *record = stored__record__unpack(allocator, value.len, (const uint8_t *)value.data);

    if (!record || !object_of(record, ret_object)) {
        if (record)
            stored__record__free_unpacked(record, allocator);
        return err_set(err, ERR_IO, "not an object of the store, or no memory");
    }
    ret_object->record = record;
    return 0;
}

static void *take_memory(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void leave_memory(void *arena, void *memory)
{
}

struct decoder {
    const struct etcd_layout *layout;
    struct etcd_change *change;
    ProtobufCAllocator allocator;
    const Stored__Txn *stored; /* NULL: the revision is none of the store's */
    size_t seen; /* of the deletions: they come in the order of the events */
};

static bool is_object(const struct etcd_layout *layout, const Etcd__KeyValue *kv, struct str *ret_key)
{
    struct str key = etcd_str(kv->key);

    *ret_key = str_skip(key, layout->objects.len);
    return str_has_prefix(key, layout->objects) && ret_key->len > 0 && ret_key->len <= STORE_KEY_MAX;
}

static int decode_put(struct decoder *decoder, const Etcd__KeyValue *kv, struct store_op *op, struct err *err)
{
    struct arena *arena = decoder->change->arena;
    struct etcd_object object;

    if (etcd_object_decode(etcd_str(kv->value), &decoder->allocator, &object, err) < 0)
        return damaged(op->key, err);
    struct str *terms = arena_array_of(arena, object.terms_count + 1, struct str);
    if (!terms)
        return err_set(err, ERR_NO_MEMORY, "following etcd");
    memcpy(terms, object.terms, object.terms_count * sizeof *terms);
    op->kind = STORE_PUT;
    op->value = object.text;
    op->splice = object.splice;
    op->terms = terms;
    op->terms_count = object.terms_count;
    return 0;
}

static int decode_delete(struct decoder *decoder, struct store_op *op, struct err *err)
{
    const Stored__Txn *stored = decoder->stored;

    op->kind = STORE_DELETE;
    for (size_t i = 0; i < stored->n_deletions; i++) {
        size_t at = (decoder->seen + i) % stored->n_deletions;
        const Stored__Deletion *deletion = stored->deletions[at];

        if (!str_eq(etcd_str(deletion->key), op->key))
            continue;
        decoder->seen = at + 1;
        op->value = etcd_str(deletion->text);
        return splice_of(deletion->splice, op->value, &op->splice) ? 0 : damaged(decoder->layout->txn, err);
    }
    return damaged(decoder->layout->txn, err);
}

static int decode_objects(struct decoder *decoder, Etcd__Event *const *events, size_t count, struct err *err)
{
    struct etcd_change *change = decoder->change;
    struct store_op *ops = arena_array_of(change->arena, count, struct store_op);
    int code = 0;

    if (!ops)
        return err_set(err, ERR_NO_MEMORY, "following etcd");
    change->txn.ops = ops;
    for (size_t i = 0; i < count && code == 0; i++) {
        const Etcd__KeyValue *kv = events[i]->kv;
        struct store_op *op = &ops[change->txn.ops_count];

        if (!is_object(decoder->layout, kv, &op->key))
            continue;
        if (++change->txn.ops_count > STORE_OPS_MAX)
            return damaged(decoder->layout->txn, err);
        op->key = arena_str(change->arena, op->key);
        op->expect = STORE_ANY;
        if (!op->key.data)
            return err_set(err, ERR_NO_MEMORY, "following etcd");
        code = events[i]->type == ETCD__EVENT__TYPE__PUT ? decode_put(decoder, kv, op, err)
                                                               : decode_delete(decoder, op, err);
        change->bytes += op->key.len + op->value.len;
    }
    return code;
}

static int decode_change(struct decoder *decoder, Etcd__Event *const *events, size_t count, struct err *err)
{
    struct etcd_change *change = decoder->change;
    struct str txn = STR_NULL;

    change->revision = (revision_t)events[0]->kv->mod_revision;
    for (size_t i = 0; i < count; i++)
        if (str_eq(etcd_str(events[i]->kv->key), decoder->layout->txn) &&
            events[i]->type == ETCD__EVENT__TYPE__PUT)
            txn = etcd_str(events[i]->kv->value);
    if (!txn.data) {
        change->txn.decided = true;
        return 0;
    }
    const Stored__Txn *stored = stored__txn__unpack(&decoder->allocator, txn.len, (const uint8_t *)txn.data);
    if (!stored || stored->run == 0 || stored->time < 0)
        return damaged(decoder->layout->txn, err);
    decoder->stored = stored;
    change->id = (struct etcd_txn_id){ stored->run, stored->number };
    change->txn.given = change->revision;
    change->txn.time = stored->time;
    change->txn.cause = (struct store_cause){ .actor = etcd_str(stored->actor),
                                              .rule = etcd_str(stored->rule),
                                              .trigger = stored->trigger };
    return decode_objects(decoder, events, count, err);
}

int etcd_change_decode(const struct etcd_layout *layout, Etcd__Event *const *events, size_t count,
                       struct etcd_change **ret_change, struct err *err)
{
    struct arena *arena = arena_new(0);
    AUTO(etcd_change) change = arena ? arena_new_of(arena, struct etcd_change) : NULL;

    if (!change) {
        arena_free(arena);
        return err_set(err, ERR_NO_MEMORY, "following etcd");
    }
    change->arena = arena;
    change->bytes = sizeof *change + 4096;
    struct decoder decoder = { .layout = layout, .change = change,
                               .allocator = { take_memory, leave_memory, arena } };
    int code = decode_change(&decoder, events, count, err);
    if (code < 0)
        return err_wrap(err, code, "revision %llu", (unsigned long long)change->revision);
    *ret_change = TAKE(change);
    return 0;
}

struct etcd_change *etcd_change_free(struct etcd_change *change)
{
    if (change)
        arena_free(change->arena);
    return NULL;
}
