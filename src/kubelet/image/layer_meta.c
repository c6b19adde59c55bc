#include "kubelet/image/layer_meta.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

const char *layer_archive_error(struct archive *archive)
{
    const char *text = archive_error_string(archive);

    return text ? text : "damaged archive";
}

static int read_owner(struct archive_entry *entry, uid_t *ret_uid, gid_t *ret_gid, struct err *err)
{
    int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);

    if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
        return err_set(err, ERR_INVALID, "owner %lld:%lld is out of range", (long long)uid, (long long)gid);
    *ret_uid = (uid_t)uid;
    *ret_gid = (gid_t)gid;
    return 0;
}

static void read_times(struct archive_entry *entry, struct timespec times[2])
{
    long nsec = archive_entry_mtime_nsec(entry);

    times[0].tv_sec = times[1].tv_sec = archive_entry_mtime(entry);
    times[0].tv_nsec = times[1].tv_nsec = nsec >= 0 && nsec < 1000000000L ? nsec : 0;
}

/* File capabilities and what belongs to users. Never overlayfs' own, nor labels of the host's security modules. */
static bool attribute_wanted(struct str name, bool keep_owner)
{
    if (str_is(name, "security.capability"))
        return !keep_owner;
    return str_has_prefix(name, STR("user.")) && !str_has_prefix(name, STR("user.overlay."));
}

static int set_attributes(int fd, struct archive_entry *entry, bool keep_owner, struct err *err)
{
    const char *name;
    const void *value;
    size_t size;

    for (archive_entry_xattr_reset(entry); archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK;) {
        if (!name || !attribute_wanted(str_from(name), keep_owner))
            continue;
        if (fsetxattr(fd, name, value, size, 0) < 0 && errno != EOPNOTSUPP)
            return err_errno(err, errno, "setting attribute %.64s", name);
    }
    return 0;
}

int layer_meta_file(int fd, struct archive_entry *entry, bool keep_owner, struct err *err)
{
    struct timespec times[2];
    uid_t uid;
    gid_t gid;
    int r = read_owner(entry, &uid, &gid, err);

    if (r < 0)
        return r;
    if (!keep_owner && fchown(fd, uid, gid) < 0)
        return err_errno(err, errno, "setting the owner");
    if (fchmod(fd, archive_entry_perm(entry) & 07777) < 0)
        return err_errno(err, errno, "setting the mode");
    r = set_attributes(fd, entry, keep_owner, err);
    if (r < 0)
        return r;
    read_times(entry, times);
    return futimens(fd, times) < 0 ? err_errno(err, errno, "setting the time") : 0;
}

int layer_meta_link(int dir, const char *name, struct archive_entry *entry, bool keep_owner, struct err *err)
{
    struct timespec times[2];
    uid_t uid;
    gid_t gid;
    int r = read_owner(entry, &uid, &gid, err);

    if (r < 0)
        return r;
    read_times(entry, times);
    if (!keep_owner && fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, errno, "setting the owner");
    return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? err_errno(err, errno, "setting the time") : 0;
}

int layer_meta_device(int dir, const char *name, struct archive_entry *entry, bool keep_owner, struct err *err)
{
    int r = layer_meta_link(dir, name, entry, keep_owner, err);

    if (r < 0)
        return r;
    return fchmodat(dir, name, archive_entry_perm(entry) & 07777, 0) < 0 ? err_errno(err, errno, "setting the mode")
                                                                         : 0;
}
