/* stream_write.c - writing a backup. What the file looks like:
 *
 *   prelude   magic, version, flags; of an encrypted one the cost and salt of its key; a CRC-32
 *   chunks    each: 32 bits length, of which the highest marks the last one; 32 bits checksum; the data
 *
 * The data of all chunks, one after the other, are one zstd frame, and what is in that are entries: 16 bytes of head
 * (kind, length, number) and their bytes. The last entry is the end: how many entries and bytes came before, and the
 * SHA-256 of them. A chunk's checksum is CRC-32 of its length and data, begun with the checksum of the chunk before (of
 * the first: the prelude's), so that a chunk that is missing, twice there or in another's place shows. When encrypted,
 * the data of each chunk are sealed by themselves (seal.h) together with prelude and length; its number is the nonce.
 * So whatever is changed, cut off or added is noticed, with encryption also what somebody changes on purpose.
 *
 * Integers have the byte order of the machine, as in the store itself. */
#include <openssl/evp.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "store/backup/stream_format.h"

#define LEVEL 3

struct stream_writer {
    struct stream_sink sink;
    struct seal *seal;
    ZSTD_CCtx *zstd;
    EVP_MD_CTX *digest;
    struct chunk_context context;
    uint32_t checksum; /* of the last chunk */
    uint64_t chunks, entries, bytes;
    size_t len; /* in chunk */
    char chunk[CHUNK_MAX + SEAL_TAG];
};

static int write_prelude(struct stream_writer *writer, struct str passphrase, struct rng *rng, struct err *err)
{
    struct prelude *prelude = &writer->context.prelude;

    memcpy(prelude->magic, STREAM_MAGIC, sizeof prelude->magic);
    prelude->version = STREAM_VERSION;
    if (passphrase.data) {
        prelude->flags = STREAM_ENCRYPTED;
        prelude->cost = seal_cost_default;
        rng_fill(rng, prelude->salt, sizeof prelude->salt);
        int code = seal_new(passphrase, prelude->salt, &prelude->cost, &writer->seal, err);
        if (code < 0)
            return code;
    }
    prelude->checksum = (uint32_t)crc32_z(0, (const Bytef *)prelude, offsetof(struct prelude, checksum));
    writer->checksum = prelude->checksum;
    return writer->sink.write(writer->sink.ctx, prelude, sizeof *prelude, err);
}

int stream_writer_new(const struct stream_sink *sink, struct str passphrase, struct rng *rng,
                      struct stream_writer **ret_writer, struct err *err)
{
    AUTO(stream_writer) writer = calloc(1, sizeof *writer);

    if (!writer)
        return err_set(err, ERR_NO_MEMORY, "backup");
    writer->sink = *sink;
    writer->zstd = ZSTD_createCCtx();
    writer->digest = EVP_MD_CTX_new();
    if (!writer->zstd || !writer->digest || EVP_DigestInit_ex(writer->digest, EVP_sha256(), NULL) != 1 ||
        ZSTD_isError(ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_compressionLevel, LEVEL)))
        return err_set(err, ERR_NO_MEMORY, "backup");
    int code = write_prelude(writer, passphrase, rng, err);
    if (code < 0)
        return code;
    *ret_writer = TAKE(writer);
    return 0;
}

struct stream_writer *stream_writer_free(struct stream_writer *writer)
{
    if (!writer)
        return NULL;
    seal_free(writer->seal);
    ZSTD_freeCCtx(writer->zstd);
    EVP_MD_CTX_free(writer->digest);
    free(writer);
    return NULL;
}

static int write_chunk(struct stream_writer *writer, bool last, struct err *err)
{
    size_t len = writer->len + (writer->seal ? SEAL_TAG : 0);
    struct chunk_head head = { .len = (uint32_t)len | (last ? CHUNK_LAST : 0) };
    int code = 0;

    writer->context.len = head.len;
    if (writer->seal)
        code = seal_close(writer->seal, writer->chunks, str_of(&writer->context, sizeof writer->context), writer->chunk,
                          writer->len, err);
    if (code < 0)
        return code;
    uLong sum = crc32_z(writer->checksum, (const Bytef *)&head.len, sizeof head.len);
    head.checksum = (uint32_t)crc32_z(sum, (const Bytef *)writer->chunk, len);
    writer->checksum = head.checksum;
    writer->chunks++;
    writer->len = 0;
    code = writer->sink.write(writer->sink.ctx, &head, sizeof head, err);
    return code < 0 ? code : writer->sink.write(writer->sink.ctx, writer->chunk, len, err);
}

static int compress_bytes(struct stream_writer *writer, struct str data, ZSTD_EndDirective mode, struct err *err)
{
    ZSTD_inBuffer in = { data.data, data.len, 0 };

    for (;;) {
        ZSTD_outBuffer out = { writer->chunk, CHUNK_MAX, writer->len };
        size_t left = ZSTD_compressStream2(writer->zstd, &out, &in, mode);

        if (ZSTD_isError(left))
            return err_set(err, ERR_INTERNAL, "compressing the backup: %s", ZSTD_getErrorName(left));
        writer->len = out.pos;
        if (mode == ZSTD_e_end && left == 0)
            return 0;
        if (mode == ZSTD_e_continue && in.pos == in.size && writer->len < CHUNK_MAX)
            return 0;
        int code = writer->len == CHUNK_MAX ? write_chunk(writer, false, err) : 0;
        if (code < 0)
            return code;
    }
}

static int put_part(struct stream_writer *writer, struct str data, struct err *err)
{
    writer->bytes += data.len;
    if (EVP_DigestUpdate(writer->digest, data.data, data.len) != 1)
        return err_set(err, ERR_INTERNAL, "backup: SHA-256");
    return compress_bytes(writer, data, ZSTD_e_continue, err);
}

int stream_put(struct stream_writer *writer, const struct stream_entry *entry, struct err *err)
{
    const struct entry_head head = { .kind = (uint8_t)entry->kind, .len = (uint32_t)entry->data.len,
                                     .number = entry->number };

    if (entry->data.len > STREAM_ENTRY_MAX)
        return err_set(err, ERR_TOO_LARGE, "an entry of %zu bytes in a backup", entry->data.len);
    writer->entries++;
    int code = put_part(writer, str_of(&head, sizeof head), err);
    return code < 0 ? code : put_part(writer, entry->data, err);
}

int stream_end(struct stream_writer *writer, struct err *err)
{
    const struct entry_head head = { .kind = STREAM_END, .len = sizeof(struct end_entry) };
    struct end_entry end = { .entries = writer->entries, .bytes = writer->bytes };

    if (EVP_DigestFinal_ex(writer->digest, end.digest, NULL) != 1)
        return err_set(err, ERR_INTERNAL, "backup: SHA-256");
    int code = compress_bytes(writer, str_of(&head, sizeof head), ZSTD_e_continue, err);
    if (code == 0)
        code = compress_bytes(writer, str_of(&end, sizeof end), ZSTD_e_end, err);
    return code < 0 ? code : write_chunk(writer, true, err);
}
