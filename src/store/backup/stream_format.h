/* stream_format.h - what stream_write.c and stream_read.c have in common. The format heads stream_write.c. */
#pragma once

#include "store/backup/seal.h"
#include "store/backup/stream.h"

#define STREAM_MAGIC "caravel backup\n"
#define STREAM_VERSION 1
#define STREAM_ENCRYPTED 1u
#define CHUNK_MAX (1u << 20)      /* bytes of a chunk's data, without the seal's tag */
#define CHUNK_LAST (1u << 31)     /* in the length */
#define DIGEST_LEN 32

struct prelude {
    char magic[sizeof STREAM_MAGIC];
    uint32_t version, flags;
    struct seal_cost cost;
    uint8_t salt[SEAL_SALT];
    uint32_t reserved[2];
    uint32_t checksum; /* CRC-32 of all before */
};
_Static_assert(sizeof(struct prelude) == 64, "the prelude is a file format");

struct chunk_head {
    uint32_t len; /* and CHUNK_LAST */
    uint32_t checksum;
};

struct entry_head {
    uint8_t kind, reserved[3];
    uint32_t len;
    uint64_t number;
};
_Static_assert(sizeof(struct entry_head) == 16, "the head of an entry is a file format");

/* What the seal of a chunk also vouches for. */
struct chunk_context {
    struct prelude prelude;
    uint32_t len;
};
_Static_assert(sizeof(struct chunk_context) == 68, "no padding may be signed");

struct end_entry {
    uint64_t entries, bytes;
    uint8_t digest[DIGEST_LEN];
};
