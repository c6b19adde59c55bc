#include "kubelet/image/image_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "kubelet/image/layer_meta.h"
#include "kubelet/image/layer_tree.h"

#define ENTRIES_MAX 100000
#define NAMES_MAX (64u << 20)
#define LINKS_MAX 16

struct reading {
    struct image_archive *into;
    struct archive *tar;
    uint64_t left; /* bytes that may still come */
    const atomic_bool *cancel;
};

static int file_path(const struct image_archive *archive, unsigned number, char ret_path[PATH_MAX], struct err *err)
{
    if (snprintf(ret_path, PATH_MAX, "%s/%u", archive->dir, number) >= PATH_MAX)
        return err_set(err, ERR_INVALID, "path too long");
    return 0;
}

static int write_file(struct reading *reading, unsigned number, uint64_t *ret_size, struct err *err)
{
    char path[PATH_MAX];
    const void *block;
    la_int64_t offset;
    uint64_t end = 0;
    size_t len;
    int r = file_path(reading->into, number, path, err);

    if (r < 0)
        return r;
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "creating %s", path);
    while ((r = archive_read_data_block(reading->tar, &block, &len, &offset)) == ARCHIVE_OK) {
        if (reading->cancel && atomic_load(reading->cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (offset < 0 || (uint64_t)offset < end || len > reading->left || (uint64_t)offset - end > reading->left - len)
            return err_set(err, ERR_TOO_LARGE, "the archive is too large");
        reading->left -= (uint64_t)offset - end + len;
        for (size_t done = 0; done < len;) {
            ssize_t n = pwrite(fd, (const char *)block + done, len - done, offset + (la_int64_t)done);
            if (n < 0 && errno != EINTR)
                return err_errno(err, errno, "writing %s", path);
            done += n > 0 ? (size_t)n : 0;
        }
        end = (uint64_t)offset + len;
    }
    if (r != ARCHIVE_EOF)
        return err_set(err, ERR_INVALID, "reading the archive: %s", layer_archive_error(reading->tar));
    *ret_size = end;
    return 0;
}

/* Where a link leads: a symbolic link from its own folder, a hard link from the root. */
static int link_target(const char *name, struct archive_entry *entry, char ret_path[LAYER_PATH_MAX], struct err *err)
{
    const char *hard = archive_entry_hardlink(entry), *soft = archive_entry_symlink(entry);
    char joined[2 * LAYER_PATH_MAX];
    const char *slash = strrchr(name, '/');

    if (hard || !soft || *soft == '/')
        return layer_clean_path(str_from(hard ? hard : soft ? soft : ""), ret_path, err);
    snprintf(joined, sizeof joined, "%.*s/%s", slash ? (int)(slash - name) : 0, name, soft);
    return layer_clean_path(str_from(joined), ret_path, err);
}

static int add_entry(struct reading *reading, struct archive_entry *entry, struct err *err)
{
    struct image_archive *archive = reading->into;
    struct archive_file *file = arena_new_of(&archive->arena, struct archive_file);
    const char *raw = archive_entry_pathname(entry);
    char name[LAYER_PATH_MAX], target[LAYER_PATH_MAX];
    bool link = archive_entry_hardlink(entry) || archive_entry_filetype(entry) == AE_IFLNK;
    int r;

    if (!raw || (!link && archive_entry_filetype(entry) != AE_IFREG))
        return 0;
    if (++archive->count > ENTRIES_MAX)
        return err_set(err, ERR_TOO_LARGE, "the archive has more than %d files", ENTRIES_MAX);
    if ((r = layer_clean_path(str_from(raw), name, err)) < 0)
        return r;
    if (link && (r = link_target(name, entry, target, err)) < 0)
        return r;
    if (!file || (!link && (r = write_file(reading, archive->count, &file->size, err)) < 0))
        return file ? r : err_set(err, ERR_NO_MEMORY, "archive");
    file->number = archive->count;
    file->name = arena_str(&archive->arena, str_from(name));
    if (link)
        file->target = arena_str(&archive->arena, str_from(target));
    if (arena_failed(&archive->arena) || map_put(&archive->files, file->name, file, NULL) < 0)
        return err_set(err, ERR_NO_MEMORY, "archive");
    return 0;
}

static int open_tar(struct archive *tar, int fd, struct err *err)
{
    if (archive_read_support_filter_gzip(tar) < ARCHIVE_WARN || archive_read_support_filter_zstd(tar) < ARCHIVE_WARN ||
        archive_read_support_filter_xz(tar) < ARCHIVE_WARN || archive_read_support_filter_bzip2(tar) < ARCHIVE_WARN ||
        archive_read_support_format_tar(tar) != ARCHIVE_OK)
        return err_set(err, ERR_NOT_SUPPORTED, "libarchive without tar");
    if (archive_read_open_fd(tar, fd, 1u << 20) != ARCHIVE_OK)
        return err_set(err, ERR_INVALID, "the file is not a tar archive: %s", layer_archive_error(tar));
    return 0;
}

static int read_entries(struct reading *reading, int fd, struct err *err)
{
    struct archive_entry *entry;
    int code = open_tar(reading->tar, fd, err), r = ARCHIVE_EOF;

    while (code == 0 && (r = archive_read_next_header(reading->tar, &entry)) >= ARCHIVE_WARN && r != ARCHIVE_EOF)
        code = add_entry(reading, entry, err);
    if (code == 0 && r != ARCHIVE_EOF)
        return err_set(err, ERR_INVALID, "reading the archive: %s", layer_archive_error(reading->tar));
    return code;
}

int image_archive_read(int fd, const char *dir, uint64_t max_bytes, const atomic_bool *cancel,
                       struct image_archive *ret_archive, struct err *err)
{
    struct image_archive archive = { .dir = dir, .files = MAP_INIT };
    struct reading reading = { &archive, archive_read_new(), max_bytes, cancel };

    arena_init(&archive.arena, NAMES_MAX);
    int r = reading.tar ? read_entries(&reading, fd, err) : err_set(err, ERR_NO_MEMORY, "archive");
    archive_read_free(reading.tar);
    if (r < 0)
        image_archive_deinit(&archive);
    else
        *ret_archive = archive;
    return r;
}

void image_archive_deinit(struct image_archive *archive)
{
    map_deinit(&archive->files);
    arena_deinit(&archive->arena);
}

const struct archive_file *image_archive_find(const struct image_archive *archive, struct str name)
{
    char path[LAYER_PATH_MAX];

    if (layer_clean_path(name, path, NULL) < 0)
        return NULL;
    const struct archive_file *file = map_get(&archive->files, str_from(path));
    for (int i = 0; file && file->target.data; i++) {
        if (i == LINKS_MAX)
            return NULL;
        file = map_get(&archive->files, file->target);
    }
    return file;
}

int image_archive_open(const struct image_archive *archive, const struct archive_file *file, int *ret_fd,
                       struct err *err)
{
    char path[PATH_MAX];
    int r = file_path(archive, file->number, path, err);

    if (r < 0)
        return r;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(err, errno, "opening " STR_FMT, STR_ARG(str_first(file->name, 256)));
    *ret_fd = fd;
    return 0;
}

int image_archive_load(const struct image_archive *archive, struct str name, size_t max, struct arena *arena,
                       struct str *ret_text, struct err *err)
{
    const struct archive_file *file = image_archive_find(archive, name);
    AUTO_DEINIT(buf, text) = BUF_INIT;
    char path[PATH_MAX];

    if (!file)
        return err_set(err, ERR_INVALID, "the archive has no file " STR_FMT, STR_ARG(str_first(name, 256)));
    int r = file_path(archive, file->number, path, err);
    if (r == 0)
        r = file_read(path, max, &text, err);
    if (r < 0)
        return r;
    struct str copy = arena_str(arena, buf_str(&text));
    if (!copy.data)
        return err_set(err, ERR_NO_MEMORY, "archive");
    *ret_text = copy;
    return 0;
}
