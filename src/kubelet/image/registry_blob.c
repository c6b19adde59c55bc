/* registry_blob.c - a layer onto the disk.
 *
 * Connections break, and layers are large: what has arrived stays in the file, its digest runs along, and the next
 * request asks for the rest. An attempt that brought bytes does not count as a failure, so a slow link gets through; a
 * registry that brings none is given up after ATTEMPTS. A file left by an earlier pull is hashed and gone on with. If
 * the whole has the wrong digest and part of it was old, it is fetched once more from the start. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kubelet/image/registry_private.h"

#define ATTEMPTS 6
#define DELAY_MAX (20 * NSEC_PER_SEC)
#define READ_SIZE (256u << 10)

struct transfer {
    const struct blob_download *download;
    struct registry *registry;
    int fd;
    uint64_t have, size;
    struct hasher hasher;
    bool resumed; /* some of the bytes are of an earlier request */
};

static int restart(struct transfer *transfer, struct err *err)
{
    transfer->have = 0;
    transfer->resumed = false;
    if (ftruncate(transfer->fd, 0) < 0)
        return err_errno(err, errno, "%s", transfer->download->path);
    return hasher_restart(&transfer->hasher, err);
}

static int on_begin(void *ctx, const struct http_client_response *head, struct err *err)
{
    struct transfer *transfer = ctx;
    struct str range = registry_header(head, "content-range"), first;
    uint64_t start;

    if (head->status == 200)
        return transfer->have ? restart(transfer, err) : 0; /* it sends the whole again */
    range = str_skip(range, str_has_prefix(range, STR("bytes ")) ? 6 : range.len);
    if (!range.data || !str_split(&range, '-', &first) || !str_to_u64(first, &start) || start != transfer->have)
        return err_set(err, ERR_UNAVAILABLE, "the registry sent another part than it was asked for");
    return 0;
}

static int on_bytes(void *ctx, struct str bytes, struct err *err)
{
    struct transfer *transfer = ctx;

    if (bytes.len > transfer->size - transfer->have)
        return err_set(err, ERR_INVALID, "the layer is larger than the %llu bytes its manifest says",
                       (unsigned long long)transfer->size);
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = pwrite(transfer->fd, bytes.data + done, bytes.len - done, (off_t)(transfer->have + done));
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "writing %s", transfer->download->path);
        done += n > 0 ? (size_t)n : 0;
    }
    int r = hasher_add(&transfer->hasher, bytes.data, bytes.len, err);
    transfer->have += r == 0 ? bytes.len : 0;
    if (transfer->download->progress)
        transfer->download->progress(transfer->download->ctx, transfer->have);
    return r;
}

/* Takes over what lies in the file. */
static int take_over(struct transfer *transfer, struct err *err)
{
    AUTO_FREE char *block = malloc(READ_SIZE);
    struct stat st;

    if (!block)
        return err_set(err, ERR_NO_MEMORY, "download");
    if (fstat(transfer->fd, &st) < 0)
        return err_errno(err, errno, "%s", transfer->download->path);
    if ((uint64_t)st.st_size > transfer->size)
        return restart(transfer, err);
    while (transfer->have < (uint64_t)st.st_size) {
        ssize_t n = pread(transfer->fd, block, READ_SIZE, (off_t)transfer->have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? err_errno(err, errno, "reading %s", transfer->download->path) : restart(transfer, err);
        int r = hasher_add(&transfer->hasher, block, (size_t)n, err);
        if (r < 0)
            return r;
        transfer->have += (uint64_t)n;
        transfer->resumed = true;
    }
    return 0;
}

static int request_rest(struct repository *repository, struct transfer *transfer, struct str url, unsigned *ret_wait,
                        struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct fetch fetch = { .url = url, .begin = on_begin, .bytes = on_bytes, .ctx = transfer };

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "download");
    if (transfer->have) {
        transfer->resumed = true;
        fetch.range = arena_printf(arena, "bytes=%llu-", (unsigned long long)transfer->have);
        if (!fetch.range.data)
            return err_set(err, ERR_NO_MEMORY, "download");
    }
    int r = registry_fetch(repository, &fetch, ret_wait, err);
    if (r == 0 && transfer->have < transfer->size)
        return err_set(err, ERR_UNAVAILABLE, "the connection ended after %llu of %llu bytes",
                       (unsigned long long)transfer->have, (unsigned long long)transfer->size);
    return r;
}

static bool worth_retrying(int code)
{
    return code == -ERR_UNAVAILABLE || code == -ERR_TOO_MANY_REQUESTS || code == -ERR_TIMEOUT;
}

static int fetch_all(struct repository *repository, struct transfer *transfer, struct str url, struct err *err)
{
    nsec_t first_delay = transfer->registry->options->retry_delay, delay = first_delay;
    uint64_t furthest = transfer->have;
    int attempts = 0;

    while (transfer->have < transfer->size) {
        unsigned wait = 0;
        int r = request_rest(repository, transfer, url, &wait, err);
        if (r == 0)
            break;
        if (!worth_retrying(r))
            return r;
        if (transfer->have > furthest) {
            furthest = transfer->have;
            attempts = 0;
            delay = first_delay;
        } else if (++attempts == ATTEMPTS) {
            return r;
        }
        r = registry_sleep(transfer->registry, MAX(delay, wait * NSEC_PER_SEC), err);
        if (r < 0)
            return r;
        delay = MIN(2 * delay, DELAY_MAX);
    }
    return 0;
}

static int check(struct transfer *transfer, struct err *err)
{
    const struct digest *want = &transfer->download->descriptor->digest;
    struct digest digest;
    int r = hasher_finish(&transfer->hasher, &digest, err);

    if (r == 0 && !digest_eq(&digest, want))
        return err_set(err, ERR_INVALID, "the layer that the registry sent has digest %s, not %s", digest.text,
                       want->text);
    return r;
}

static int run(struct repository *repository, struct transfer *transfer, struct str url, struct err *err)
{
    struct err ignored;
    int r = take_over(transfer, err);

    if (r < 0 || (r = fetch_all(repository, transfer, url, err)) < 0)
        return r;
    bool old_parts = transfer->resumed;
    r = check(transfer, err);
    if (r == 0)
        return 0;
    restart(transfer, &ignored);
    if (r != -ERR_INVALID || !old_parts)
        return r;
    if ((r = fetch_all(repository, transfer, url, err)) < 0)
        return r;
    r = check(transfer, err);
    if (r < 0)
        restart(transfer, &ignored);
    return r;
}

int repository_download(struct repository *repository, const struct blob_download *download, struct err *err)
{
    struct transfer transfer = { .download = download,
                                 .registry = repository->registry,
                                 .size = download->descriptor->size };
    AUTO(arena) arena = arena_new(0);
    AUTO_CLOSE int fd = open(download->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r;

    if (fd < 0)
        return err_errno(err, errno, "opening %s", download->path);
    struct str url = arena ? arena_printf(arena, STR_FMT "/v2/" STR_FMT "/blobs/%s", STR_ARG(repository->base),
                                          STR_ARG(repository->path), download->descriptor->digest.text)
                           : STR_NULL;
    if (!url.data)
        return err_set(err, ERR_NO_MEMORY, "download");
    transfer.fd = fd;
    r = hasher_init(&transfer.hasher, err);
    if (r == 0)
        r = run(repository, &transfer, url, err);
    hasher_deinit(&transfer.hasher);
    return r;
}
