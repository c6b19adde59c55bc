/* user.c - passwd and group of an image.
 *
 * openat2() with RESOLVE_IN_ROOT takes every symbolic link, absolute or upward, as one inside the image. The open does
 * not block and what it opened must be an ordinary file, so a fifo or a device in its place does no harm. A name that
 * is all digits is taken as a name first if passwd has it, as other runtimes do. */
#include "kubelet/runtime/user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/vec.h"

#define FILE_MAX ((size_t)4 << 20)
#define GROUPS_MAX 1024
#define ID_MAX INT32_MAX

static int read_all(int fd, struct buf *buf, const char *path, struct err *err)
{
    for (;;) {
        char *to = buf_reserve(buf, 4096);
        if (!to)
            return err_set(err, buf->len + 4096 > FILE_MAX ? ERR_TOO_LARGE : ERR_NO_MEMORY, "%s of the image", path);
        ssize_t n = read(fd, to, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "%s of the image", path);
        if (n == 0)
            return 0;
        buf->len += (size_t)n;
    }
}

/* A file that is absent is empty. */
static int read_in_root(const char *rootfs, const char *path, struct buf *buf, struct err *err)
{
    struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                            .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    AUTO_CLOSE int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (root < 0)
        return err_errno(err, errno, "opening %s", rootfs);
    AUTO_CLOSE int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "opening %s of the image", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s of the image is not an ordinary file", path);
    return read_all(fd, buf, path, err);
}

static bool parse_id(struct str text, uint32_t *ret_id)
{
    uint64_t value;

    if (!str_to_u64(text, &value) || value > ID_MAX)
        return false;
    *ret_id = (uint32_t)value;
    return true;
}

static bool is_number(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.len > 0;
}

struct passwd_line {
    struct str name, home;
    uint32_t uid, gid;
};

/* name:password:uid:gid:comment:home:shell */
static bool parse_passwd(struct str line, struct passwd_line *out)
{
    struct str field[6];

    for (size_t i = 0; i < ARRAY_LEN(field); i++)
        if (!str_split(&line, ':', &field[i]))
            return false;
    *out = (struct passwd_line){ .name = field[0], .home = field[5] };
    return field[0].len && parse_id(field[2], &out->uid) && parse_id(field[3], &out->gid);
}

static bool find_user(struct str passwd, struct str name, bool by_number, uint32_t uid, struct passwd_line *out)
{
    struct str line;

    while (str_split(&passwd, '\n', &line))
        if (parse_passwd(line, out) && (by_number ? out->uid == uid : str_eq(out->name, name)))
            return true;
    return false;
}

static int choose_user(struct str passwd, struct str name, struct user *user, struct err *err)
{
    struct passwd_line line;
    uint32_t uid = 0;

    if (name.len && find_user(passwd, name, false, 0, &line)) {
        *user = (struct user){ .uid = line.uid, .gid = line.gid, .name = line.name, .home = line.home };
        return 0;
    }
    if (name.len && !is_number(name))
        return err_set(err, ERR_NOT_FOUND, "the image has no user \"" STR_FMT "\"", STR_ARG(str_first(name, 100)));
    if (name.len && !parse_id(name, &uid))
        return err_set(err, ERR_INVALID, "user \"" STR_FMT "\" is out of range", STR_ARG(str_first(name, 100)));
    *user = (struct user){ .uid = uid };
    if (find_user(passwd, STR_NULL, true, uid, &line))
        *user = (struct user){ .uid = uid, .gid = line.gid, .name = line.name, .home = line.home };
    return 0;
}

/* name:password:gid:member,member */
static bool parse_group(struct str line, struct str *ret_name, struct str *ret_members, uint32_t *ret_gid)
{
    struct str password, gid;

    if (!str_split(&line, ':', ret_name) || !str_split(&line, ':', &password) || !str_split(&line, ':', &gid))
        return false;
    *ret_members = line;
    return ret_name->len && parse_id(gid, ret_gid);
}

static int choose_group(struct str groups, struct str wanted, struct user *user, struct err *err)
{
    struct str line, name, members;
    uint32_t gid;

    while (str_split(&groups, '\n', &line))
        if (parse_group(line, &name, &members, &gid) && str_eq(name, wanted)) {
            user->gid = gid;
            return 0;
        }
    if (!is_number(wanted))
        return err_set(err, ERR_NOT_FOUND, "the image has no group \"" STR_FMT "\"", STR_ARG(str_first(wanted, 100)));
    if (!parse_id(wanted, &gid))
        return err_set(err, ERR_INVALID, "group \"" STR_FMT "\" is out of range", STR_ARG(str_first(wanted, 100)));
    user->gid = gid;
    return 0;
}

static bool is_member(struct str members, struct str name)
{
    struct str one;

    while (str_split(&members, ',', &one))
        if (str_eq(str_trim(one), name))
            return true;
    return false;
}

static int collect_groups(struct str groups, struct arena *arena, struct user *user, struct err *err)
{
    VEC(uint32_t) gids = VEC_INIT;
    struct str line, name, members;
    uint32_t gid;

    while (user->name.len && gids.count < GROUPS_MAX && str_split(&groups, '\n', &line)) {
        bool known = false;

        if (!parse_group(line, &name, &members, &gid) || !is_member(members, user->name))
            continue;
        for (size_t i = 0; i < gids.count; i++)
            known = known || gids.items[i] == gid;
        if (!known && vec_push(&gids, gid) < 0) {
            vec_deinit(&gids);
            return err_set(err, ERR_NO_MEMORY, "groups of the user");
        }
    }
    uint32_t *copy = arena_array_of(arena, gids.count + 1, uint32_t);
    if (copy && gids.count)
        memcpy(copy, gids.items, gids.count * sizeof *copy);
    user->groups = copy;
    user->group_count = gids.count;
    vec_deinit(&gids);
    return copy ? 0 : err_set(err, ERR_NO_MEMORY, "groups of the user");
}

int user_resolve(const char *rootfs, struct str text, struct arena *arena, struct user *ret_user,
                 struct err *err)
{
    AUTO_DEINIT(buf, passwd) = { .limit = FILE_MAX };
    AUTO_DEINIT(buf, group) = { .limit = FILE_MAX };
    struct user user;
    struct str rest = text, name = STR_NULL;

    str_split(&rest, ':', &name);
    int r = read_in_root(rootfs, "etc/passwd", &passwd, err);
    if (r == 0)
        r = read_in_root(rootfs, "etc/group", &group, err);
    if (r == 0)
        r = choose_user(buf_str(&passwd), name, &user, err);
    if (r == 0 && rest.len)
        r = choose_group(buf_str(&group), rest, &user, err);
    if (r == 0)
        r = collect_groups(buf_str(&group), arena, &user, err);
    if (r < 0)
        return r;
    user.name = user.name.data ? arena_str(arena, user.name) : STR_NULL; /* they pointed into the file's text */
    user.home = user.home.data ? arena_str(arena, user.home) : STR_NULL;
    if (arena_failed(arena))
        return err_set(err, ERR_NO_MEMORY, "user");
    *ret_user = user;
    return 0;
}
