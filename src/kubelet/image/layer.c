/* layer.c - one pass from compressed bytes to files.
 *
 * Two libarchive readers stand in line. The first only undoes the compression (format "raw"); the second knows only
 * tar and takes its bytes through pull_tar(), which hashes and counts them on the way. So the digest covers exactly
 * the bytes that were unpacked, and a bomb stops at the limit however well it is compressed. What follows the end of
 * the tar is read as well: it belongs to the digest.
 *
 * libarchive would turn names into the character set of the locale; in the "C" locale, which a process that never calls
 * setlocale() has, it warns that it cannot and keeps their bytes. That is what a file system wants. */
#include "kubelet/image/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <unistd.h>

#include "kubelet/image/layer_meta.h"

#define BLOCK (128u << 10)

struct stream {
    const struct layer_source *source;
    struct archive *raw;
    struct hasher hasher;
    uint64_t compressed, tar_bytes, max_bytes;
    char *input, *output;
    bool empty;     /* no byte at all */
    struct err err; /* why a callback failed */
};

static la_ssize_t fail(struct stream *stream, struct archive *archive, const char *what)
{
    archive_set_error(archive, EINVAL, "%s", what);
    return -1;
}

static la_ssize_t pull_compressed(struct archive *archive, void *ctx, const void **ret_block)
{
    struct stream *stream = ctx;
    ssize_t n;

    if (stream->source->cancel && atomic_load(stream->source->cancel)) {
        err_set(&stream->err, ERR_CANCELLED, "cancelled");
        return fail(stream, archive, "cancelled");
    }
    do
        n = read(stream->source->fd, stream->input, BLOCK);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        err_errno(&stream->err, errno, "reading the layer");
        return fail(stream, archive, "read error");
    }
    stream->compressed += (uint64_t)n;
    if (stream->source->progress)
        stream->source->progress(stream->source->ctx, stream->compressed);
    *ret_block = stream->input;
    return n;
}

static la_ssize_t pull_tar(struct archive *archive, void *ctx, const void **ret_block)
{
    struct stream *stream = ctx;
    la_ssize_t n = stream->empty ? 0 : archive_read_data(stream->raw, stream->output, BLOCK);

    if (n < 0) {
        if (!stream->err.code)
            err_set(&stream->err, ERR_INVALID, "decompressing: %s", layer_archive_error(stream->raw));
        return fail(stream, archive, "decompression failed");
    }
    stream->tar_bytes += (uint64_t)n;
    if (stream->tar_bytes > stream->max_bytes) {
        err_set(&stream->err, ERR_TOO_LARGE, "the layer is larger than %llu bytes",
                (unsigned long long)stream->max_bytes);
        return fail(stream, archive, "too large");
    }
    if (hasher_add(&stream->hasher, stream->output, (size_t)n, &stream->err) < 0)
        return fail(stream, archive, "digest failed");
    *ret_block = stream->output;
    return n;
}

static int open_raw(struct stream *stream, struct err *err)
{
    struct archive_entry *entry;
    int r = ARCHIVE_OK;

    if (archive_read_support_filter_gzip(stream->raw) < ARCHIVE_WARN ||
        archive_read_support_filter_zstd(stream->raw) < ARCHIVE_WARN ||
        archive_read_support_format_raw(stream->raw) != ARCHIVE_OK ||
        archive_read_support_format_empty(stream->raw) != ARCHIVE_OK)
        return err_set(err, ERR_NOT_SUPPORTED, "libarchive without gzip or zstd");
    if (archive_read_open(stream->raw, stream, NULL, pull_compressed, NULL) != ARCHIVE_OK ||
        ((r = archive_read_next_header(stream->raw, &entry)) != ARCHIVE_OK && r != ARCHIVE_EOF)) {
        if (stream->err.code)
            return err_set(err, stream->err.code, "%s", stream->err.message);
        return err_set(err, ERR_INVALID, "opening the layer: %s", layer_archive_error(stream->raw));
    }
    stream->empty = r == ARCHIVE_EOF;
    return 0;
}

static int add_entries(struct archive *tar, struct layer_tree *tree, struct stream *stream, struct err *err)
{
    struct archive_entry *entry;
    int r, code;

    if (archive_read_support_format_tar(tar) != ARCHIVE_OK || archive_read_support_format_empty(tar) != ARCHIVE_OK)
        return err_set(err, ERR_NOT_SUPPORTED, "libarchive without tar");
    r = archive_read_open(tar, stream, NULL, pull_tar, NULL);
    while (r == ARCHIVE_OK && (r = archive_read_next_header(tar, &entry)) >= ARCHIVE_WARN && r != ARCHIVE_EOF) {
        code = layer_tree_add(tree, tar, entry, err);
        if (code < 0 && !stream->err.code)
            return code;
        r = code < 0 ? ARCHIVE_FATAL : ARCHIVE_OK;
    }
    if (stream->err.code)
        return err_set(err, stream->err.code, "%s", stream->err.message);
    if (r != ARCHIVE_EOF)
        return err_set(err, ERR_INVALID, "reading the layer: %s", layer_archive_error(tar));
    return layer_tree_finish(tree, err);
}

/* Reads on to the end of the stream and compares. */
static int check_digest(struct stream *stream, struct archive *tar, struct digest *ret_digest, struct err *err)
{
    const struct digest *want = stream->source->diff_id;
    const void *block;
    la_ssize_t n;

    while ((n = pull_tar(tar, stream, &block)) > 0)
        ;
    if (n < 0)
        return err_set(err, stream->err.code, "%s", stream->err.message);
    int r = hasher_finish(&stream->hasher, ret_digest, err);
    if (r < 0)
        return r;
    if (want && !digest_eq(want, ret_digest))
        return err_set(err, ERR_INVALID, "the layer's content has digest %s, not %s", ret_digest->text, want->text);
    return 0;
}

static int copy_implied(const struct layer_tree *tree, struct arena *arena, struct layer_result *result,
                        struct err *err)
{
    struct str *paths = arena_array_of(arena, MAX(tree->implied.count, 1), struct str);
    struct map_entry *entry = NULL;
    size_t count = 0;

    while (paths && (entry = map_next(&tree->implied, entry)))
        paths[count++] = arena_str(arena, entry->key);
    if (arena_failed(arena))
        return err_set(err, ERR_NO_MEMORY, "layer");
    result->implied.paths = paths;
    result->implied.count = count;
    return 0;
}

static int unpack(struct stream *stream, struct archive *tar, struct layer_tree *tree, struct arena *arena,
                  struct layer_result *ret_result, struct err *err)
{
    struct layer_result result = { 0 };
    int r = open_raw(stream, err);

    stream->max_bytes = tree->limits.max_bytes;
    if (r < 0 || (r = add_entries(tar, tree, stream, err)) < 0 ||
        (r = check_digest(stream, tar, &result.diff_id, err)) < 0 || (r = copy_implied(tree, arena, &result, err)) < 0)
        return r;
    result.bytes = tree->bytes;
    result.entries = tree->entries;
    *ret_result = result;
    return 0;
}

int layer_unpack(const struct layer_source *source, int root, struct arena *arena, struct layer_result *ret_result,
                 struct err *err)
{
    struct stream stream = { .source = source, .input = malloc(BLOCK), .output = malloc(BLOCK) };
    struct archive *tar = archive_read_new();
    struct layer_tree tree;
    int r = layer_tree_init(&tree, root, source->limits, err);

    stream.raw = archive_read_new();
    if (r == 0 && (!stream.input || !stream.output || !tar || !stream.raw))
        r = err_set(err, ERR_NO_MEMORY, "unpacking a layer");
    if (r == 0)
        r = hasher_init(&stream.hasher, err);
    if (r == 0)
        r = unpack(&stream, tar, &tree, arena, ret_result, err);

    archive_read_free(tar);
    archive_read_free(stream.raw);
    layer_tree_deinit(&tree);
    hasher_deinit(&stream.hasher);
    free(stream.input);
    free(stream.output);
    return r;
}
