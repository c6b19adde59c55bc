/* stream_read.c - reading a backup, of which nothing is believed before it was checked. Memory is bounded by what a
 * chunk and an entry may be, however much the data would unpack to. */
#include <openssl/evp.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "store/backup/stream_format.h"

#define UNPACK_STEP (128u << 10)
#define WINDOW_LOG_MAX 24 /* what unpacking may keep: 16 MiB */

struct stream_reader {
    struct stream_source source;
    struct seal *seal;
    ZSTD_DCtx *zstd;
    EVP_MD_CTX *digest;
    struct chunk_context context;
    uint32_t checksum;
    uint64_t chunks, entries, bytes;
    bool last;       /* the chunk at hand is */
    bool frame_over; /* zstd has seen its end */
    bool ended;
    ZSTD_inBuffer packed; /* of chunk */
    struct buf plain;     /* unpacked, */
    size_t used;          /* of which these were handed out */
    char chunk[CHUNK_MAX + SEAL_TAG];
};

static int damaged(struct err *err, const char *how)
{
    return err_set(err, ERR_INVALID, "the backup is damaged: %s", how);
}

/* All of len bytes. ret_none: nothing was there at all (NULL: that is an error too). */
static int read_whole(struct stream_reader *reader, void *out, size_t len, bool *ret_none, struct err *err)
{
    size_t have = 0;

    while (have < len) {
        ssize_t got = reader->source.read(reader->source.ctx, (char *)out + have, len - have, err);

        if (got < 0)
            return (int)got;
        if (got == 0 && have == 0 && ret_none) {
            *ret_none = true;
            return 0;
        }
        if (got == 0)
            return damaged(err, "its end is missing");
        have += (size_t)got;
    }
    if (ret_none)
        *ret_none = false;
    return 0;
}

bool stream_is_encrypted(struct str beginning)
{
    struct prelude prelude;

    if (beginning.len < sizeof prelude)
        return false;
    memcpy(&prelude, beginning.data, sizeof prelude);
    return memcmp(prelude.magic, STREAM_MAGIC, sizeof prelude.magic) == 0 && (prelude.flags & STREAM_ENCRYPTED);
}

static int read_prelude(struct stream_reader *reader, struct str passphrase, struct err *err)
{
    struct prelude *prelude = &reader->context.prelude;
    int code = read_whole(reader, prelude, sizeof *prelude, NULL, err);

    if (code < 0)
        return code;
    if (memcmp(prelude->magic, STREAM_MAGIC, sizeof prelude->magic) != 0)
        return err_set(err, ERR_INVALID, "this is not a backup of Caravel");
    if (prelude->checksum != (uint32_t)crc32_z(0, (const Bytef *)prelude, offsetof(struct prelude, checksum)))
        return damaged(err, "its beginning has changed");
    if (prelude->version != STREAM_VERSION || (prelude->flags & ~STREAM_ENCRYPTED))
        return err_set(err, ERR_NOT_SUPPORTED, "the backup has format %u and this program knows format %u",
                       prelude->version, STREAM_VERSION);
    reader->checksum = prelude->checksum;
    if (!(prelude->flags & STREAM_ENCRYPTED))
        return 0;
    if (!passphrase.data)
        return err_set(err, ERR_UNAUTHORIZED, "the backup is encrypted: its passphrase is needed");
    return seal_new(passphrase, prelude->salt, &prelude->cost, &reader->seal, err);
}

int stream_reader_new(const struct stream_source *source, struct str passphrase, struct stream_reader **ret_reader,
                      struct err *err)
{
    AUTO(stream_reader) reader = calloc(1, sizeof *reader);

    if (!reader)
        return err_set(err, ERR_NO_MEMORY, "reading a backup");
    reader->source = *source;
    buf_init(&reader->plain, 0);
    reader->zstd = ZSTD_createDCtx();
    reader->digest = EVP_MD_CTX_new();
    if (!reader->zstd || !reader->digest || EVP_DigestInit_ex(reader->digest, EVP_sha256(), NULL) != 1 ||
        ZSTD_isError(ZSTD_DCtx_setParameter(reader->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
        return err_set(err, ERR_NO_MEMORY, "reading a backup");
    int code = read_prelude(reader, passphrase, err);
    if (code < 0)
        return code;
    *ret_reader = TAKE(reader);
    return 0;
}

struct stream_reader *stream_reader_free(struct stream_reader *reader)
{
    if (!reader)
        return NULL;
    seal_free(reader->seal);
    ZSTD_freeDCtx(reader->zstd);
    EVP_MD_CTX_free(reader->digest);
    buf_deinit(&reader->plain);
    free(reader);
    return NULL;
}

static int read_chunk(struct stream_reader *reader, struct err *err)
{
    size_t tag = reader->seal ? SEAL_TAG : 0, len;
    struct chunk_head head;

    if (reader->last)
        return damaged(err, "data are missing");
    int code = read_whole(reader, &head, sizeof head, NULL, err);
    if (code < 0)
        return code;
    len = head.len & ~CHUNK_LAST;
    if (len > CHUNK_MAX + tag || len < tag)
        return damaged(err, "a length is impossible");
    if ((code = read_whole(reader, reader->chunk, len, NULL, err)) < 0)
        return code;
    uLong sum = crc32_z(reader->checksum, (const Bytef *)&head.len, sizeof head.len);
    reader->checksum = (uint32_t)crc32_z(sum, (const Bytef *)reader->chunk, len);
    if (reader->checksum != head.checksum)
        return damaged(err, "a checksum is wrong");
    reader->context.len = head.len;
    if (reader->seal)
        code = seal_open(reader->seal, reader->chunks, str_of(&reader->context, sizeof reader->context), reader->chunk,
                         len, err);
    if (code < 0)
        return code;
    reader->chunks++;
    reader->last = (head.len & CHUNK_LAST) != 0;
    reader->packed = (ZSTD_inBuffer){ reader->chunk, len - tag, 0 };
    return 0;
}

/* Some more plain bytes, or the end of the frame. */
static int unpack(struct stream_reader *reader, struct err *err)
{
    if (reader->frame_over)
        return damaged(err, "data are missing");
    char *room = buf_reserve(&reader->plain, UNPACK_STEP);
    if (!room)
        return err_set(err, ERR_NO_MEMORY, "reading a backup");
    for (;;) {
        ZSTD_outBuffer out = { room, UNPACK_STEP, 0 };
        size_t left = ZSTD_decompressStream(reader->zstd, &out, &reader->packed);

        if (ZSTD_isError(left))
            return damaged(err, ZSTD_getErrorName(left));
        reader->plain.len += out.pos;
        reader->frame_over = left == 0;
        if (out.pos > 0 || reader->frame_over)
            return 0;
        int code = reader->packed.pos == reader->packed.size ? read_chunk(reader, err) : 0;
        if (code < 0)
            return code;
    }
}

/* The next len bytes, all of them. */
static int take(struct stream_reader *reader, size_t len, struct str *ret_bytes, struct err *err)
{
    if (reader->plain.len - reader->used < len) {
        buf_consume(&reader->plain, reader->used);
        reader->used = 0;
    }
    while (reader->plain.len - reader->used < len) {
        int code = unpack(reader, err);

        if (code < 0)
            return code;
    }
    *ret_bytes = str_of(reader->plain.data + reader->used, len);
    reader->used += len;
    return 0;
}

/* Behind the end entry there is only the rest of the frame, in the last chunk, and then nothing. */
static int check_end(struct stream_reader *reader, struct str bytes, struct err *err)
{
    uint8_t digest[DIGEST_LEN];
    struct end_entry end;
    bool none;
    char byte;

    if (bytes.len != sizeof end)
        return damaged(err, "its end cannot be read");
    memcpy(&end, bytes.data, sizeof end);
    if (EVP_DigestFinal_ex(reader->digest, digest, NULL) != 1)
        return err_set(err, ERR_INTERNAL, "backup: SHA-256");
    if (end.entries != reader->entries || end.bytes != reader->bytes || memcmp(end.digest, digest, DIGEST_LEN) != 0)
        return damaged(err, "it is not what was written");
    while (!reader->frame_over) {
        int code = unpack(reader, err);

        if (code < 0)
            return code;
    }
    if (reader->plain.len != reader->used || reader->packed.pos != reader->packed.size || !reader->last)
        return damaged(err, "something follows its end");
    int code = read_whole(reader, &byte, 1, &none, err);
    if (code < 0)
        return code;
    if (!none)
        return damaged(err, "something follows its end");
    reader->ended = true;
    return 0;
}

int stream_next(struct stream_reader *reader, struct stream_entry *ret_entry, struct err *err)
{
    struct entry_head head;
    struct str bytes;

    if (reader->ended)
        return 0;
    int code = take(reader, sizeof head, &bytes, err);
    if (code < 0)
        return code;
    memcpy(&head, bytes.data, sizeof head);
    if (head.len > STREAM_ENTRY_MAX)
        return damaged(err, "a length is impossible");
    if ((code = take(reader, head.len, &bytes, err)) < 0)
        return code;
    if (head.kind == STREAM_END)
        return check_end(reader, bytes, err);
    if (head.kind != STREAM_HEADER && head.kind != STREAM_FILE && head.kind != STREAM_RECORD)
        return err_set(err, ERR_NOT_SUPPORTED, "the backup has entries that this program does not know");
    if (EVP_DigestUpdate(reader->digest, &head, sizeof head) != 1 ||
        EVP_DigestUpdate(reader->digest, bytes.data, bytes.len) != 1)
        return err_set(err, ERR_INTERNAL, "backup: SHA-256");
    reader->entries++;
    reader->bytes += sizeof head + bytes.len;
    *ret_entry = (struct stream_entry){ (enum stream_entry_kind)head.kind, head.number, bytes };
    return 1;
}
