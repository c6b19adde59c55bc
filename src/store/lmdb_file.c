/* lmdb_file.c - as much of LMDB's format (version 1, 64 bits) as it takes to know whether a file can be mapped.
 *
 * The first two pages hold the roots, written in turn; the valid one with the higher number counts. A root says the
 * number of the last page. The file may be shorter than that, when the last pages were given back before they were ever
 * written; then all trees are walked by reading, never mapped, to see that every page in use is there. That is only
 * done for such a file: one that is long enough costs two reads.
 *
 * When the write of a root failed, what the disk holds is unknown. LMDB puts the old number back, into the page cache;
 * a power cut could still bring the new root to light. That must not happen later: the pages it leads to are free and
 * will be used again. So before anything else is written the page is written anew, with a number that loses, and
 * synced. It has to be written, not only synced: after a failed fdatasync() the kernel takes the pages for clean, and
 * the next one says yes to what never was written. */
#include "store/lmdb_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define MAGIC 0xBEEFC0DEu
#define DATA_VERSION 1u
#define PAGE_MIN 512u
#define PAGE_MAX 65536u
#define PAGE_HEADER 16u
#define NODE_HEADER 8u
#define NO_PAGE UINT64_MAX
#define DEPTH_MAX 32
#define UNBORN_MAX (64u << 10)

enum { PAGE_BRANCH = 0x01, PAGE_LEAF = 0x02, PAGE_META = 0x08, PAGE_LEAF2 = 0x20 };
enum { NODE_BIG = 0x01, NODE_TREE = 0x02 };

struct tree {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct root {
    uint32_t magic, version;
    uint64_t address, map_size;
    struct tree trees[2]; /* free pages, main; the first one's pad is the size of a page */
    uint64_t last_page, number;
};

struct page_header {
    uint64_t number;
    uint16_t pad, flags, lower, upper;
};

_Static_assert(sizeof(struct root) == 136 && sizeof(struct page_header) == PAGE_HEADER, "as on disk");

struct lmdb_file {
    const char *folder;
    int fd;
    uint64_t size;
    uint32_t page_size;
    struct root roots[2];
};

static int damaged(const char *folder, const char *how, struct err *err)
{
    return err_set(err, ERR_INVALID, "the store %s is damaged: its file data.mdb %s; restore a backup", folder, how);
}

static bool read_fully(int fd, void *out, size_t len, uint64_t offset)
{
    for (size_t at = 0; at < len;) {
        ssize_t got = pread(fd, (char *)out + at, len - at, (off_t)(offset + at));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static bool root_valid(const struct root *root)
{
    return root->magic == MAGIC && root->version == DATA_VERSION;
}

/* 1: there is one; 0: not yet. */
static int open_file(struct lmdb_file *file, const char *folder, int flags, struct err *err)
{
    char path[4096];
    struct stat st;

    *file = (struct lmdb_file){ .folder = folder, .fd = -1 };
    if (snprintf(path, sizeof path, "%s/data.mdb", folder) >= (int)sizeof path)
        return err_set(err, ERR_INVALID, "the path of the store is too long");
    file->fd = open(path, flags | O_CLOEXEC);
    if (file->fd < 0 && errno == ENOENT)
        return 0;
    if (file->fd < 0 || fstat(file->fd, &st) < 0)
        return err_errno(err, errno, "opening %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a file", path);
    file->size = (uint64_t)st.st_size;
    return file->size > 0;
}

static int read_roots(struct lmdb_file *file, struct err *err)
{
    if (!read_fully(file->fd, &file->roots[0], sizeof file->roots[0], PAGE_HEADER))
        return damaged(file->folder, "is cut short", err);
    if (file->roots[0].magic != MAGIC)
        return err_set(err, ERR_INVALID, "%s is not a store of Caravel", file->folder);
    if (!root_valid(&file->roots[0]))
        return err_set(err, ERR_NOT_SUPPORTED, "the store %s was written by another LMDB", file->folder);
    file->page_size = file->roots[0].trees[0].pad;
    if (file->page_size < PAGE_MIN || file->page_size > PAGE_MAX || (file->page_size & (file->page_size - 1)))
        return damaged(file->folder, "has an impossible size of pages", err);
    if (!read_fully(file->fd, &file->roots[1], sizeof file->roots[1], file->page_size + PAGE_HEADER))
        return damaged(file->folder, "is cut short", err);
    if (!root_valid(&file->roots[1]) || file->roots[1].trees[0].pad != file->page_size)
        return damaged(file->folder, "has no second root", err);
    return 0;
}

/* Power was cut while the store was made: both roots are as LMDB makes them, number 0, or zeros. The first commit syncs
 * them before it writes one with a number, so nothing has ever been in such a file. */
static bool is_unborn(const struct lmdb_file *file)
{
    static const struct root nothing;
    struct root roots[2] = { 0 };
    bool made[2];
    long page_size = sysconf(_SC_PAGESIZE);

    if (file->size > UNBORN_MAX || file->size % (uint64_t)page_size)
        return false;
    for (int i = 0; i < 2; i++) {
        uint64_t offset = (uint64_t)i * (uint64_t)page_size + PAGE_HEADER;

        if (offset + sizeof roots[i] <= file->size && !read_fully(file->fd, &roots[i], sizeof roots[i], offset))
            return false;
        made[i] = root_valid(&roots[i]) && roots[i].number == 0;
        if (!made[i] && memcmp(&roots[i], &nothing, sizeof nothing) != 0)
            return false;
    }
    return !made[0] || !made[1];
}

static int unlink_file(const struct lmdb_file *file, struct err *err)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/data.mdb", file->folder);
    return unlink(path) == 0 ? 0 : err_errno(err, errno, "removing %s, which was never finished", path);
}

/* -- walking a file that is shorter than its root says -- */

static int walk_tree(struct lmdb_file *file, uint64_t page, int depth, struct err *err);

static bool is_there(const struct lmdb_file *file, uint64_t page, uint64_t pages)
{
    uint64_t end = file->size / file->page_size;

    return pages > 0 && pages <= end && page <= end - pages;
}

static int walk_node(struct lmdb_file *file, const char *bytes, size_t offset, uint16_t page_flags, int depth,
                     struct err *err)
{
    struct {
        uint16_t low, high, flags, key_size;
    } node;
    struct tree tree;
    uint64_t page;

    if (offset + sizeof node > file->page_size)
        return damaged(file->folder, "has a page that cannot be read", err);
    memcpy(&node, bytes + offset, sizeof node);
    uint64_t number = (uint64_t)node.low | (uint64_t)node.high << 16;
    if (page_flags & PAGE_BRANCH)
        return walk_tree(file, number | (uint64_t)node.flags << 32, depth + 1, err);
    size_t at = offset + sizeof node + node.key_size;
    if ((node.flags & NODE_BIG) && at + sizeof page <= file->page_size) {
        memcpy(&page, bytes + at, sizeof page);
        return is_there(file, page, (PAGE_HEADER - 1 + number) / file->page_size + 1)
                   ? 0 : damaged(file->folder, "is cut short", err);
    }
    if ((node.flags & NODE_TREE) && number == sizeof tree && at + sizeof tree <= file->page_size) {
        memcpy(&tree, bytes + at, sizeof tree);
        return walk_tree(file, tree.root, depth + 1, err);
    }
    return 0;
}

static int walk_tree(struct lmdb_file *file, uint64_t page, int depth, struct err *err)
{
    struct page_header header;
    uint16_t offset;
    int code = 0;

    if (page == NO_PAGE)
        return 0;
    if (depth > DEPTH_MAX)
        return damaged(file->folder, "has a tree without end", err);
    AUTO_FREE char *bytes = malloc(file->page_size);
    if (!bytes)
        return err_set(err, ERR_NO_MEMORY, "checking the store %s", file->folder);
    if (!is_there(file, page, 1) || !read_fully(file->fd, bytes, file->page_size, page * file->page_size))
        return damaged(file->folder, "is cut short", err);
    memcpy(&header, bytes, sizeof header);
    if (!(header.flags & (PAGE_BRANCH | PAGE_LEAF)) || header.number != page || header.lower < PAGE_HEADER ||
        header.lower > file->page_size)
        return damaged(file->folder, "has a page that is not where it belongs", err);
    if (header.flags & PAGE_LEAF2)
        return 0;
    for (size_t at = PAGE_HEADER; at + sizeof offset <= header.lower && code == 0; at += sizeof offset) {
        memcpy(&offset, bytes + at, sizeof offset);
        code = walk_node(file, bytes, offset, header.flags, depth, err);
    }
    return code;
}

static int check_file(struct lmdb_file *file, struct err *err)
{
    if (is_unborn(file))
        return unlink_file(file, err);
    int code = read_roots(file, err);

    if (code < 0)
        return code;
    const struct root *root = &file->roots[file->roots[1].number > file->roots[0].number];
    if (root->last_page < 1 || root->last_page >= UINT64_MAX / PAGE_MAX)
        return damaged(file->folder, "has an impossible root", err);
    if (file->size / file->page_size > root->last_page)
        return 0;
    for (int i = 0; i < 2 && code == 0; i++)
        code = walk_tree(file, root->trees[i].root, 0, err);
    return code;
}

int lmdb_file_check(const char *folder, struct err *err)
{
    struct lmdb_file file;
    int code = open_file(&file, folder, O_RDONLY, err);

    if (code > 0)
        code = check_file(&file, err);
    if (file.fd >= 0)
        close(file.fd);
    return code;
}

/* -- the lock file -- */

#define READER_SIZE 64u
#define LOCK_HEADER 256u

int lmdb_lock_prepare(const char *folder, size_t readers, bool fresh, struct err *err)
{
    char path[4096];
    off_t size = (off_t)((LOCK_HEADER + readers * READER_SIZE + 4095) / 4096 * 4096);
    struct stat st;

    if (snprintf(path, sizeof path, "%s/lock.mdb", folder) >= (int)sizeof path)
        return err_set(err, ERR_INVALID, "the path of the store is too long");
    if (fresh && unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, "replacing %s", path);
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "opening %s", path);
    size = MAX(size, st.st_size);
    if (fallocate(fd, 0, 0, size) < 0 && (errno != EOPNOTSUPP || ftruncate(fd, size) < 0))
        return err_errno(err, errno, "making room for %s", path);
    return 0;
}

/* -- after a failed commit -- */

static int settle(struct lmdb_file *file, uint64_t failed, struct err *err)
{
    int code = read_roots(file, err);
    struct root *lost = &file->roots[failed & 1];
    const struct root *good = &file->roots[!(failed & 1)];
    uint64_t place = (failed & 1) * (uint64_t)file->page_size + PAGE_HEADER;

    if (code < 0)
        return code;
    if (good->number + 1 != failed)
        return err_set(err, ERR_IO, "the store %s has changed behind our back", file->folder);
    if (lost->number >= failed) {
        *lost = *good;
        lost->number = good->number ? good->number - 1 : 0;
    }
    ssize_t put = pwrite(file->fd, lost, sizeof *lost, (off_t)place);
    if (put != (ssize_t)sizeof *lost || fdatasync(file->fd) < 0)
        return err_errno(err, put >= 0 && put != (ssize_t)sizeof *lost ? EIO : errno, "writing the store %s",
                         file->folder);
    return 0;
}

int lmdb_root_settle(const char *folder, uint64_t failed, struct err *err)
{
    struct lmdb_file file;
    int code = open_file(&file, folder, O_RDWR, err);

    if (code > 0)
        code = settle(&file, failed, err);
    else if (code == 0)
        code = err_set(err, ERR_IO, "the file of the store %s is gone", folder);
    if (file.fd >= 0)
        close(file.fd);
    return code;
}
