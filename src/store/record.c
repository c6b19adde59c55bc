/* record.c - encoding of a log record: a fixed head, then key, actor, rule and value.
 *
 * Integers have the byte order of the machine, as all of LMDB's own have: the file does not move between machines of
 * different byte order. The checksum (CRC-32) covers the position too, so that a record found in a wrong place shows.
 */
#include "store/record.h"

#include <zlib.h>

#define KIND_PUT 1
#define KIND_DELETE 2

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
    return sizeof(struct head) + record->key.len + record->actor.len + record->rule.len + record->value.len;
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
        .kind = record->deleted ? KIND_DELETE : KIND_PUT,
        .created = record->created,
        .trigger = record->trigger,
        .previous = record->previous,
        .jump = record->jump,
        .depth = record->depth,
        .jump_depth = record->jump_depth,
    };
    char *end = out;

    end = put(end, str_of(&head, sizeof head));
    end = put(end, record->key);
    end = put(end, record->actor);
    end = put(end, record->rule);
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

bool record_decode(struct str bytes, struct record *ret_record)
{
    struct head head;

    if (bytes.len < sizeof head)
        return false;
    memcpy(&head, bytes.data, sizeof head);
    if (bytes.len != sizeof head + head.key_len + head.actor_len + head.rule_len + (size_t)head.value_len ||
        (head.kind != KIND_PUT && head.kind != KIND_DELETE) || head.key_len == 0 || head.key_len > STORE_KEY_MAX)
        return false;

    const char *at = bytes.data + sizeof head;
    ret_record->deleted = head.kind == KIND_DELETE;
    ret_record->created = head.created;
    ret_record->trigger = head.trigger;
    ret_record->previous = head.previous;
    ret_record->jump = head.jump;
    ret_record->depth = head.depth;
    ret_record->jump_depth = head.jump_depth;
    ret_record->key = cut(&at, head.key_len);
    ret_record->actor = cut(&at, head.actor_len);
    ret_record->rule = cut(&at, head.rule_len);
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
