/* faults.c - liblmdb is a shared library and finds these functions before the C library's. They go on to the kernel
 * directly. */
#include "faults.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    atomic_int kind;
    atomic_uint calls, from, until, hit;
} faults; /* the one global: whom the functions below serve is not for them to say */

void faults_arm(enum fault_kind kind, unsigned nth, unsigned length)
{
    atomic_store(&faults.kind, FAULT_NONE);
    atomic_store(&faults.calls, 0);
    atomic_store(&faults.hit, 0);
    atomic_store(&faults.from, nth);
    atomic_store(&faults.until, nth + length);
    atomic_store(&faults.kind, (int)kind);
}

unsigned faults_hit(void)
{
    return atomic_load(&faults.hit);
}

static bool due(void)
{
    unsigned call = atomic_fetch_add(&faults.calls, 1) + 1;

    if (call < atomic_load(&faults.from) || call >= atomic_load(&faults.until))
        return false;
    atomic_fetch_add(&faults.hit, 1);
    return true;
}

/* Whether this write is to fail; *len: how much of it is to be written all the same. */
static bool write_fails(size_t *len)
{
    int kind = atomic_load(&faults.kind);

    if ((kind != FAULT_NO_SPACE && kind != FAULT_IO && kind != FAULT_SHORT) || !due())
        return false;
    if (kind == FAULT_SHORT && *len > 512) {
        *len = 512;
        return false;
    }
    errno = kind == FAULT_NO_SPACE ? ENOSPC : EIO;
    return true;
}

/* By their names for the linker: the headers may have others for them. */
ssize_t fault_pwrite(int fd, const void *data, size_t len, off_t offset) __asm__("pwrite");
ssize_t fault_writev(int fd, const struct iovec *parts, int count) __asm__("writev");
int fault_fdatasync(int fd) __asm__("fdatasync");

ssize_t fault_pwrite(int fd, const void *data, size_t len, off_t offset)
{
    if (write_fails(&len))
        return -1;
    return syscall(SYS_pwrite64, fd, data, len, offset);
}

ssize_t fault_writev(int fd, const struct iovec *parts, int count)
{
    size_t len = parts[0].iov_len, whole = len;

    if (write_fails(&len))
        return -1;
    return len < whole ? syscall(SYS_write, fd, parts[0].iov_base, len) : syscall(SYS_writev, fd, parts, count);
}

int fault_fdatasync(int fd)
{
    if (atomic_load(&faults.kind) == FAULT_SYNC && due()) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}
