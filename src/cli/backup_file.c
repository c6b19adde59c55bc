#include "cli/backup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static bool is_dash(const char *name)
{
    return strcmp(name, "-") == 0;
}

int backup_file_create(const char *name, struct backup_file_out *ret_out, struct err *err)
{
    struct backup_file_out *out = ret_out;

    *out = (struct backup_file_out){ .name = is_dash(name) ? NULL : name, .fd = STDOUT_FILENO };
    if (!out->name)
        return 0;
    if (snprintf(out->partial, sizeof out->partial, "%s.partial", name) >= (int)sizeof out->partial)
        return err_set(err, ERR_INVALID, "the name of the file is too long");
    out->fd = open(out->partial, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out->fd < 0)
        return err_errno(err, errno, "writing %s", out->partial);
    if (flock(out->fd, LOCK_EX | LOCK_NB) == 0 && ftruncate(out->fd, 0) == 0)
        return 0;
    int code = errno == EWOULDBLOCK ? err_set(err, ERR_CONFLICT, "%s is being written by another process", out->partial)
                                    : err_errno(err, errno, "writing %s", out->partial);
    close(out->fd);
    out->fd = -1;
    return code;
}

static int write_out(void *ctx, const void *data, size_t len, struct err *err)
{
    const struct backup_file_out *out = ctx;
    const char *at = data;

    while (len) {
        ssize_t written = write(out->fd, at, len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return err_errno(err, errno, "writing %s", out->name ? out->partial : "to standard output");
        at += written;
        len -= (size_t)written;
    }
    return 0;
}

struct stream_sink backup_file_sink(struct backup_file_out *out)
{
    return (struct stream_sink){ write_out, out };
}

static int sync_folder_of(const char *name, struct err *err)
{
    const char *slash = strrchr(name, '/');
    char folder[PATH_MAX];

    snprintf(folder, sizeof folder, "%.*s", slash ? (int)MAX(slash - name, 1) : 1, slash ? name : ".");
    AUTO_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? err_errno(err, errno, "syncing %s", folder) : 0;
}

int backup_file_finish(struct backup_file_out *out, struct err *err)
{
    if (!out->name)
        return 0;
    if (fsync(out->fd) < 0 || rename(out->partial, out->name) < 0)
        return err_errno(err, errno, "writing %s", out->name);
    close(out->fd);
    out->fd = -1;
    return sync_folder_of(out->name, err);
}

void backup_file_abort(struct backup_file_out *out)
{
    if (!out->name || out->fd < 0)
        return;
    unlink(out->partial);
    close(out->fd);
    out->fd = -1;
}

int backup_file_open(const char *name, int *ret_fd, struct err *err)
{
    int fd = is_dash(name) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, errno, "opening %s", name);
    *ret_fd = fd;
    return 0;
}

static ssize_t read_in(void *ctx, void *out, size_t len, struct err *err)
{
    ssize_t got;

    do
        got = read(*(int *)ctx, out, len);
    while (got < 0 && errno == EINTR);
    return got < 0 ? err_errno(err, errno, "reading the backup") : got;
}

struct stream_source backup_file_source(int *fd)
{
    return (struct stream_source){ read_in, fd };
}

bool backup_file_is_encrypted(const char *name)
{
    char beginning[STREAM_BEGINNING];
    AUTO_CLOSE int fd = is_dash(name) ? -1 : open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : pread(fd, beginning, sizeof beginning, 0);

    return got > 0 && stream_is_encrypted(str_of(beginning, (size_t)got));
}
