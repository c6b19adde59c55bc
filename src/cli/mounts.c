#include "cli/mounts.h"

#include <errno.h>
#include <sys/mount.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/vec.h"

#define MOUNTINFO_MAX (64u << 20)

/* mountinfo writes blanks, newlines and backslashes as \ooo. In place. */
static void unescape(char *path)
{
    char *to = path;

    for (const char *from = path; *from; from++) {
        if (from[0] == '\\' && from[1] && from[2] && from[3]) {
            *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
}

/* The fifth field of a line of mountinfo. */
static bool mount_point(struct str line, struct str *ret_path)
{
    struct str field = STR_NULL;

    for (int i = 0; i < 5; i++)
        if (!str_split(&line, ' ', &field))
            return false;
    *ret_path = field;
    return true;
}

int purge_mounts(const char *folder, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    VEC(char *) paths = VEC_INIT;
    struct buf buf = BUF_INIT;
    int code = arena ? file_read("/proc/self/mountinfo", MOUNTINFO_MAX, &buf, err)
                     : err_set(err, ERR_NO_MEMORY, "mounts");
    struct str rest = buf_str(&buf), line, path, prefix = str_from(folder);

    while (code == 0 && str_split(&rest, '\n', &line)) {
        if (!mount_point(line, &path) || !str_has_prefix(path, prefix) ||
            (path.len > prefix.len && path.data[prefix.len] != '/'))
            continue;
        char *copy = arena_cstr(arena, path);

        if (!copy || vec_push(&paths, copy) < 0)
            code = err_set(err, ERR_NO_MEMORY, "mounts");
        else
            unescape(copy);
    }
    /* Later lines were mounted later: over or below earlier ones. */
    for (size_t i = paths.count; code == 0 && i-- > 0;)
        if (umount2(paths.items[i], MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
            code = err_errno(err, errno, "unmounting %s", paths.items[i]);
    vec_deinit(&paths);
    buf_deinit(&buf);
    return code;
}
