/* state_file.c - the runtime's small files.
 *
 * They describe processes of this boot. A kill at any moment must leave the old or the new file, so they are renamed
 * into place; a power cut ends the containers anyway, so nothing is synced to the disk: that would cost more than
 * starting a container. A file that a power cut tore is found unreadable and its container removed. */
#include "kubelet/runtime/runtime_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

int state_write(const char *path, struct str data, struct err *err)
{
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return err_set(err, ERR_INVALID, "path too long: %s", path);
    AUTO_CLOSE int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "creating %s", temporary);
    for (size_t done = 0; done < data.len;) {
        ssize_t n = write(fd, data.data + done, data.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int r = err_errno(err, errno, "writing %s", temporary);
            unlink(temporary);
            return r;
        }
        done += (size_t)n;
    }
    if (rename(temporary, path) < 0)
        return err_errno(err, errno, "renaming %s", temporary);
    return 0;
}

int state_read(const char *path, struct buf *buf, struct err *err)
{
    return file_read(path, RECORD_MAX, buf, err);
}

bool state_read_number(const char *path, int64_t *ret_value)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    return file_read(path, 64, &text, NULL) == 0 && str_to_i64(str_trim(buf_str(&text)), ret_value);
}

/* Becomes part of paths and cgroup names. */
bool name_is_valid(struct str name)
{
    if (name.len == 0 || name.len > 64 || name.data[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.'))
            return false;
    }
    return true;
}
