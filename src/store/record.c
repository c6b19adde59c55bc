/* record.c - encoding of a log record: a fixed head, then key, actor, rule, time, terms if it has any, and value.
 *
 * Integers have the byte order of the machine, as all of LMDB's own have: the file does not move between machines of
 * different byte order. The checksum (CRC-32) covers the position too, so that a record found in a wrong place shows.
 */
#include "store/record.h"

#include <zlib.h>

#define KIND_PUT 1
#define KIND_DELETE 2
/* Added to the kind: what follows the rule, in this order. */
#define WITH_TIME 0x40  /* 64 bits */
#define WITH_TERMS 0x80 /* their length in 16 bits, and the terms */

struct head {
    uint32_t checksum; /* of all that follows, and the position */
    uint32_t value_len;
    uint16_t key_len, actor_len, rule_len;
    uint8_t kind, reserved;
    uint64_t created, trigger, previous, jump;
    uint32_t depth, jump_depth;
};
_Static_assert(sizeof(struct head) == 56, "the head is a file format");

static uint32_t checksum(const char *bytes, size_t len, position_t position)
{
    uLong sum = crc32(0, (const Bytef *)&position, sizeof position);

    return (uint32_t)crc32_z(sum, (const Bytef *)bytes + sizeof(uint32_t), len - sizeof(uint32_t));
}

size_t record_size(const struct record *record)
{
    return sizeof(struct head) + record->key.len + record->actor.len + record->rule.len + record->value.len +
           (record->time ? sizeof record->time : 0) + (record->terms.len ? sizeof(uint16_t) + record->terms.len : 0);
}

static char *put(char *out, struct str s)
{
    if (s.len)
        memcpy(out, s.data, s.len);
    return out + s.len;
}

void record_encode(const struct record *record, position_t position, void *out)
{
    struct head head = {
        .value_len = (uint32_t)record->value.len,
        .key_len = (uint16_t)record->key.len,
        .actor_len = (uint16_t)record->actor.len,
        .rule_len = (uint16_t)record->rule.len,
        .kind = (uint8_t)((record->deleted ? KIND_DELETE : KIND_PUT) | (record->time ? WITH_TIME : 0) |
                          (record->terms.len ? WITH_TERMS : 0)),
        .created = record->created,
        .trigger = record->trigger,
        .previous = record->previous,
        .jump = record->jump,
        .depth = record->depth,
        .jump_depth = record->jump_depth,
    };
    uint16_t terms_len = (uint16_t)record->terms.len;
    char *end = out;

    end = put(end, str_of(&head, sizeof head));
    end = put(end, record->key);
    end = put(end, record->actor);
    end = put(end, record->rule);
    if (record->time)
        end = put(end, str_of(&record->time, sizeof record->time));
    if (terms_len) {
        end = put(end, str_of(&terms_len, sizeof terms_len));
        end = put(end, record->terms);
    }
    end = put(end, record->value);
    head.checksum = checksum(out, (size_t)(end - (char *)out), position);
    memcpy(out, &head.checksum, sizeof head.checksum);
}

static struct str cut(const char **at, size_t len)
{
    struct str s = { *at, len };

    *at += len;
    return s;
}

static size_t time_room(const struct head *head)
{
    return head->kind & WITH_TIME ? sizeof(nsec_t) : 0;
}

/* The bytes that terms take with their length; false when that is behind the end. */
static bool terms_room(struct str bytes, const struct head *head, size_t *ret_room)
{
    size_t before = sizeof *head + head->key_len + head->actor_len + head->rule_len + time_room(head);
    uint16_t len;

    *ret_room = 0;
    if (!(head->kind & WITH_TERMS))
        return true;
    if (bytes.len < before + sizeof len)
        return false;
    memcpy(&len, bytes.data + before, sizeof len);
    *ret_room = sizeof len + len;
    return true;
}

bool record_decode(struct str bytes, struct record *ret_record)
{
    struct head head;
    size_t terms;

    if (bytes.len < sizeof head)
        return false;
    memcpy(&head, bytes.data, sizeof head);
    uint8_t kind = head.kind & (uint8_t)~(WITH_TIME | WITH_TERMS);
    if (!terms_room(bytes, &head, &terms) ||
        bytes.len != sizeof head + head.key_len + head.actor_len + head.rule_len + time_room(&head) + terms +
                         (size_t)head.value_len ||
        (kind != KIND_PUT && kind != KIND_DELETE) || head.key_len == 0 || head.key_len > STORE_KEY_MAX)
        return false;

    const char *at = bytes.data + sizeof head;
    ret_record->deleted = kind == KIND_DELETE;
    ret_record->created = head.created;
    ret_record->trigger = head.trigger;
    ret_record->previous = head.previous;
    ret_record->jump = head.jump;
    ret_record->depth = head.depth;
    ret_record->jump_depth = head.jump_depth;
    ret_record->key = cut(&at, head.key_len);
    ret_record->actor = cut(&at, head.actor_len);
    ret_record->rule = cut(&at, head.rule_len);
    ret_record->time = 0;
    if (time_room(&head))
        memcpy(&ret_record->time, cut(&at, sizeof ret_record->time).data, sizeof ret_record->time);
    ret_record->terms = terms ? str_skip(cut(&at, terms), sizeof(uint16_t)) : STR_NULL;
    ret_record->value = cut(&at, head.value_len);
    return true;
}

bool record_intact(struct str bytes, position_t position)
{
    uint32_t stored;

    if (bytes.len < sizeof(struct head))
        return false;
    memcpy(&stored, bytes.data, sizeof stored);
    return stored == checksum(bytes.data, bytes.len, position);
}
