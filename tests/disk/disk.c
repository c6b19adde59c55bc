#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/sync.h"
#include "base/vec.h"

#define PAGE 4096u
#define SECTOR 512u
#define FDS_MAX 1024

struct pending {
    uint64_t offset;
    size_t len;
    char bytes[PAGE]; /* never more than one page, never over a page's end */
};

static struct {
    struct mutex lock;
    bool ready, used, power;
    bool dsync[FDS_MAX];
    char path[256];
    struct disk_fault faults[DISK_CALLS];
    bool failing[DISK_CALLS];
    uint64_t failed;

    struct seeded_rng rng;
    char *durable;
    size_t size, cap;
    VEC(struct pending) pending;
    uint64_t calls_left;
    void (*cut)(void *arg, struct str image);
    void *arg;
} disk;

/* -- what is on the disk -- */

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "disk: %s\n", what);
    abort();
}

static void grow(size_t size)
{
    if (size > disk.cap) {
        size_t cap = MAX(size, disk.cap * 2);

        disk.durable = realloc(disk.durable, cap);
        must(disk.durable, "no memory");
        memset(disk.durable + disk.cap, 0, cap - disk.cap);
        disk.cap = cap;
    }
    disk.size = MAX(disk.size, size);
}

static void apply(char *image, const struct pending *write)
{
    memcpy(image + write->offset, write->bytes, write->len);
}

static uint64_t dice(uint64_t n)
{
    return rng_below(&disk.rng.rng, n);
}

/* There, not there, or some sectors of it. */
static void apply_perhaps(char *image, const struct pending *write)
{
    uint64_t fate = dice(4);

    if (fate == 0)
        return;
    if (fate < 3) {
        apply(image, write);
        return;
    }
    for (size_t at = 0; at < write->len;) {
        size_t len = MIN(write->len - at, SECTOR - (write->offset + at) % SECTOR);

        if (dice(2))
            memcpy(image + write->offset + at, write->bytes + at, len);
        at += len;
    }
}

static void note_write(const char *bytes, size_t len, uint64_t offset)
{
    for (size_t at = 0; at < len;) {
        struct pending part = { offset + at, MIN(len - at, PAGE - (offset + at) % PAGE), { 0 } };

        memcpy(part.bytes, bytes + at, part.len);
        must(vec_push(&disk.pending, part) == 0, "no memory");
        at += part.len;
    }
}

/* All that was written since the last sync; perhaps only some of it. */
static void settle(bool surely)
{
    vec_each (&disk.pending, write) {
        grow(write->offset + write->len);
        if (surely)
            apply(disk.durable, write);
        else
            apply_perhaps(disk.durable, write);
    }
    vec_clear(&disk.pending);
}

static void cut_now(void)
{
    size_t size = disk.size;
    char *image;

    vec_each (&disk.pending, write)
        if (dice(8)) /* else the file's new size had not been noted yet either */
            size = MAX(size, write->offset + write->len);
    must((image = calloc(1, size + 1)) != NULL, "no memory");
    if (disk.size)
        memcpy(image, disk.durable, disk.size);
    vec_each (&disk.pending, write)
        if (write->offset + write->len <= size)
            apply_perhaps(image, write);
    disk.cut(disk.arg, str_of(image, size));
    free(image);
}

/* -- calls -- */

static bool is_ours(int fd)
{
    struct stat ours, this;

    return disk.used && stat(disk.path, &ours) == 0 && fstat(fd, &this) == 0 && ours.st_ino == this.st_ino &&
           ours.st_dev == this.st_dev;
}

/* Whether this call is one to fail. */
static const struct disk_fault *fault_of(enum disk_call call)
{
    struct disk_fault *fault = &disk.faults[call];

    if (!disk.failing[call] || fault->after-- > 0)
        return NULL;
    fault->after = 0;
    if (fault->times == 1)
        disk.failing[call] = false;
    else if (fault->times > 1)
        fault->times--;
    disk.failed++;
    return fault;
}

static ssize_t fail_write(const struct disk_fault *fault, int fd, const char *bytes, size_t len, uint64_t offset,
                          bool root)
{
    ssize_t put = 0;

    if (root && disk.power ? dice(2) : fault->error == 0)
        put = syscall(SYS_pwrite64, fd, bytes, root ? len : len / 2, offset);
    if (disk.power && put > 0 && !root)
        note_write(bytes, (size_t)put, offset);
    if (disk.power && root && dice(2)) {
        grow(offset + len);
        memcpy(disk.durable + offset, bytes, len);
    }
    if (fault->error == 0)
        return MIN(put, (ssize_t)len / 2);
    errno = fault->error;
    return -1;
}

static ssize_t write_at(int fd, const char *bytes, size_t len, uint64_t offset)
{
    bool root = fd >= 0 && fd < FDS_MAX && disk.dsync[fd];
    const struct disk_fault *fault;

    LOCKED(&disk.lock);
    if (disk.power)
        note_write(bytes, len, offset);
    if (disk.power && disk.calls_left && --disk.calls_left == 0)
        cut_now();
    size_t parts = disk.power && len ? (offset % PAGE + len + PAGE - 1) / PAGE : 0;
    if ((fault = fault_of(root ? DISK_ROOT : DISK_WRITE))) {
        disk.pending.count -= parts;
        return fail_write(fault, fd, bytes, len, offset, root);
    }
    ssize_t put = syscall(SYS_pwrite64, fd, bytes, len, offset);
    if (root && disk.power && put == (ssize_t)len) {
        disk.pending.count -= parts;
        grow(offset + len);
        memcpy(disk.durable + offset, bytes, len);
    }
    return put;
}

static int sync_file(int fd)
{
    const struct disk_fault *fault;

    LOCKED(&disk.lock);
    if (disk.power && disk.calls_left && --disk.calls_left == 0)
        cut_now();
    if ((fault = fault_of(DISK_SYNC))) {
        settle(false);
        errno = fault->error;
        return -1;
    }
    if (!disk.power)
        return (int)syscall(SYS_fdatasync, fd);
    settle(true);
    return 0;
}

/* Names with and without 64 are the same functions here; LMDB is built with one, the store with the other. */
#define HOOK(type, name, ...)                                                                                          \
    type hook_##name(__VA_ARGS__) __asm__(#name);                                                                      \
    type hook_##name(__VA_ARGS__)

HOOK(ssize_t, pwrite, int fd, const void *bytes, size_t len, off_t offset)
{
    return is_ours(fd) ? write_at(fd, bytes, len, (uint64_t)offset) : syscall(SYS_pwrite64, fd, bytes, len, offset);
}

HOOK(ssize_t, pwrite64, int fd, const void *bytes, size_t len, off_t offset)
{
    return hook_pwrite(fd, bytes, len, offset);
}

HOOK(ssize_t, writev, int fd, const struct iovec *parts, int count)
{
    char *bytes;
    size_t len = 0;

    if (!is_ours(fd))
        return syscall(SYS_writev, fd, parts, count);
    for (int i = 0; i < count; i++)
        len += parts[i].iov_len;
    must((bytes = malloc(len + 1)) != NULL, "no memory");
    for (size_t at = 0, i = 0; i < (size_t)count; at += parts[i++].iov_len)
        memcpy(bytes + at, parts[i].iov_base, parts[i].iov_len);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t put = write_at(fd, bytes, len, (uint64_t)offset);
    if (put > 0)
        lseek(fd, offset + put, SEEK_SET);
    free(bytes);
    return put;
}

HOOK(int, fdatasync, int fd)
{
    return is_ours(fd) ? sync_file(fd) : disk.power ? 0 : (int)syscall(SYS_fdatasync, fd);
}

HOOK(int, fsync, int fd)
{
    return is_ours(fd) ? sync_file(fd) : disk.power ? 0 : (int)syscall(SYS_fsync, fd);
}

/* Under power O_DSYNC is only remembered: what it promises is kept here. */
static int open_file(const char *path, int flags, mode_t mode)
{
    bool dsync = flags & O_DSYNC;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, dsync && disk.power ? flags & ~O_DSYNC : flags, mode);

    if (fd >= 0 && fd < FDS_MAX)
        disk.dsync[fd] = dsync;
    return fd;
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(args, unsigned) : 0;
}

int hook_open(const char *path, int flags, ...) __asm__("open");
int hook_open(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_file(path, flags, mode);
}

int hook_open64(const char *path, int flags, ...) __asm__("open64");
int hook_open64(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_file(path, flags, mode);
}

/* -- what tests say -- */

void disk_use(const char *folder)
{
    if (!disk.ready)
        mutex_init(&disk.lock);
    disk.ready = true;
    disk_heal();
    disk.used = folder != NULL;
    disk.failed = 0;
    if (folder)
        snprintf(disk.path, sizeof disk.path, "%s/data.mdb", folder);
}

void disk_fail(const struct disk_fault *fault)
{
    LOCKED(&disk.lock);
    disk.faults[fault->call] = *fault;
    disk.failing[fault->call] = true;
}

void disk_heal(void)
{
    LOCKED(&disk.lock);
    memset(disk.failing, 0, sizeof disk.failing);
}

uint64_t disk_failed(void)
{
    LOCKED(&disk.lock);
    return disk.failed;
}

static void load(void)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, disk.path, O_RDONLY | O_CLOEXEC, 0);
    struct stat st;

    if (fd < 0)
        return;
    must(fstat(fd, &st) == 0, "no size");
    grow((size_t)st.st_size);
    must(st.st_size == 0 || pread(fd, disk.durable, (size_t)st.st_size, 0) == st.st_size, "cannot read");
    close(fd);
}

void disk_power(uint64_t seed, uint64_t calls, void (*cut)(void *arg, struct str image), void *arg)
{
    disk_power_end();
    LOCKED(&disk.lock);
    seeded_rng_init(&disk.rng, seed);
    load();
    disk.cut = cut;
    disk.arg = arg;
    disk.calls_left = calls;
    disk.power = true;
}

void disk_power_end(void)
{
    LOCKED(&disk.lock);
    disk.power = false;
    free(disk.durable);
    disk.durable = NULL;
    disk.size = disk.cap = 0;
    vec_deinit(&disk.pending);
}
