/* tar.h - archives for tests, made in memory with libarchive. Include it after cmocka.h. */
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "kubelet/image/digest.h"

struct tar {
    struct archive *archive;
    struct buf out;
};

enum tar_packing { TAR_PLAIN, TAR_GZIP, TAR_ZSTD };

static inline la_ssize_t tar_write(struct archive *archive, void *ctx, const void *data, size_t len)
{
    struct tar *tar = ctx;

    buf_add(&tar->out, data, len);
    return (la_ssize_t)len;
}

static inline void tar_begin(struct tar *tar, enum tar_packing packing)
{
    *tar = (struct tar){ archive_write_new(), BUF_INIT };
    archive_write_set_format_pax_restricted(tar->archive);
    if (packing == TAR_GZIP)
        archive_write_add_filter_gzip(tar->archive);
    if (packing == TAR_ZSTD)
        archive_write_add_filter_zstd(tar->archive);
    archive_write_set_bytes_in_last_block(tar->archive, 1);
    assert_int_equal(archive_write_open(tar->archive, tar, NULL, tar_write, NULL), ARCHIVE_OK);
}

static inline struct archive_entry *tar_entry(const char *path, mode_t type, mode_t mode)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, mode);
    archive_entry_set_mtime(entry, 1000000000, 123456789);
    return entry;
}

static inline void tar_put(struct tar *tar, struct archive_entry *entry, struct str data)
{
    if (archive_entry_filetype(entry) == AE_IFREG)
        archive_entry_set_size(entry, (la_int64_t)data.len);
    assert_true(archive_write_header(tar->archive, entry) >= ARCHIVE_WARN);
    if (data.len)
        assert_int_equal(archive_write_data(tar->archive, data.data, data.len), data.len);
    archive_entry_free(entry);
}

static inline void tar_file(struct tar *tar, const char *path, mode_t mode, const char *text)
{
    tar_put(tar, tar_entry(path, AE_IFREG, mode), str_from(text));
}

static inline void tar_dir(struct tar *tar, const char *path, mode_t mode)
{
    tar_put(tar, tar_entry(path, AE_IFDIR, mode), STR_NULL);
}

static inline void tar_link(struct tar *tar, const char *path, const char *target)
{
    struct archive_entry *entry = tar_entry(path, AE_IFLNK, 0777);

    archive_entry_set_symlink(entry, target);
    tar_put(tar, entry, STR_NULL);
}

static inline void tar_hardlink(struct tar *tar, const char *path, const char *target)
{
    struct archive_entry *entry = tar_entry(path, AE_IFREG, 0644);

    archive_entry_set_hardlink(entry, target);
    tar_put(tar, entry, STR_NULL);
}

/* The bytes; give them back with buf_deinit(). */
static inline struct buf tar_end(struct tar *tar)
{
    assert_int_equal(archive_write_close(tar->archive), ARCHIVE_OK);
    archive_write_free(tar->archive);
    assert_true(buf_ok(&tar->out));
    return tar->out;
}

/* A file in memory that holds bytes, at its start. */
static inline int memory_file(struct str bytes)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static inline struct digest digest_for(struct str bytes)
{
    struct digest digest;

    assert_int_equal(digest_of(bytes, &digest, NULL), 0);
    return digest;
}
