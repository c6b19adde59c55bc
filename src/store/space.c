/* space.c - a file `reserve` beside the data, of real blocks.
 *
 * A copy-on-write store needs pages to delete, too. Were puts let go on until the disk is full, nothing could make room
 * any more. So some MiB are kept back in a file that does nothing but exist. While the disk has less left than half of
 * that, puts are refused. When a write meets a full disk all the same (others fill disks as well; quotas are not told
 * beforehand), the file is given away, and deletions and compaction go on with what it held. It is made again when
 * there is room for it twice: until then puts are refused, so the state does not flap. */
#include "store/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"

#define RESERVE_MIN (1u << 20)
#define RESERVE_MAX (32u << 20)
#define DISK_SHARE 16 /* of the disk and of the map, at most */

static bool reserve_path(const struct space *space, char path[4096])
{
    return snprintf(path, 4096, "%s/reserve", space->folder) < 4096;
}

uint64_t space_free(const struct space *space)
{
    struct statvfs fs;

    return statvfs(space->folder, &fs) == 0 && fs.f_blocks ? (uint64_t)fs.f_bavail * fs.f_frsize : UINT64_MAX;
}

/* Blocks, not a hole; file systems without fallocate get them written. */
static int fill(int fd, size_t size)
{
    static const char zeros[64 << 10];

    if (fallocate(fd, 0, 0, (off_t)size) == 0)
        return 0;
    if (errno != EOPNOTSUPP)
        return -1;
    for (size_t at = 0; at < size;) {
        ssize_t put = pwrite(fd, zeros, MIN(sizeof zeros, size - at), (off_t)at);

        if (put <= 0)
            return -1;
        at += (size_t)put;
    }
    return fdatasync(fd);
}

static bool is_whole(const struct space *space, const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size >= space->wanted &&
           (uint64_t)st.st_blocks * 512 >= space->wanted;
}

static void make(struct space *space)
{
    char path[4096];
    int fd;

    if (!reserve_path(space, path))
        return;
    if (!(space->held = is_whole(space, path))) {
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return;
        space->held = fill(fd, space->wanted) == 0;
        close(fd);
        if (!space->held)
            unlink(path);
    }
}

int space_init(struct space *space, const char *folder, size_t limit, struct err *err)
{
    struct statvfs fs;
    char path[4096];

    *space = (struct space){ .folder = str_dup(str_from(folder)) };
    if (!space->folder)
        return err_set(err, ERR_NO_MEMORY, "opening the store %s", folder);
    if (statvfs(folder, &fs) < 0 || fs.f_blocks == 0)
        return 0;
    uint64_t size = MIN((uint64_t)fs.f_blocks * fs.f_frsize, limit) / DISK_SHARE;
    space->wanted = MIN(MAX(size, RESERVE_MIN), RESERVE_MAX);
    if (reserve_path(space, path) && is_whole(space, path))
        space->held = true;
    else
        space_restore(space);
    return 0;
}

void space_deinit(struct space *space)
{
    free(space->folder);
    *space = (struct space){ 0 };
}

bool space_is_low(struct space *space)
{
    if (space->wanted == 0)
        return false;
    space_restore(space);
    return !space->held || space_free(space) < space->wanted / 2;
}

bool space_release(struct space *space)
{
    char path[4096];
    bool was = space->held;

    space->held = false;
    if (space->wanted && reserve_path(space, path) && unlink(path) < 0)
        return false;
    return was;
}

void space_restore(struct space *space)
{
    if (space->wanted && !space->held && space_free(space) / 2 >= space->wanted)
        make(space);
}
