/* container_log.c - reads a log the way the Kubernetes API shows it.
 *
 * Reading is one pass over the files from a starting point, line by line; what passes the filters is gathered and given
 * to the sink in pieces of one stream. The starting point for "the last n lines" is found from the end, in blocks
 * read backwards, so it costs what is shown and not what is there.
 *
 * A line of the program longer than conmon's buffer comes in parts ("P", the last one "F"). They are put together
 * again: one time stamp, one newline. The streams may alternate between the parts; their bytes then come out as they
 * were written.
 *
 * Following waits with inotify for the file to grow or to be replaced. When the log was rotated, the writer still
 * writes to the old file until it has opened the new one; so the old file is read to its end once more after the new
 * one was seen, and then the next by age follows. */
#include "kubelet/runtime/container_log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "kubelet/runtime/log_files.h"

#define BLOCK ((size_t)64 << 10)
#define LINE_MAX_LEN ((size_t)1 << 20)
#define HEAD_LEN 96 /* enough for time, stream and tag */
#define FLUSH_AT ((size_t)32 << 10)

struct reader {
    const struct container_log_source *source;
    const struct container_log_options *options;
    container_log_sink_fn *sink;
    void *arg;
    struct buf in;  /* bytes not yet made into lines */
    struct buf out; /* text not yet handed out, of one stream */
    enum container_log_streams out_stream;
    int64_t left;       /* bytes until the limit; -1: none */
    bool since_reached; /* later lines are later still */
    bool in_line[3];    /* per stream: the last part was not the end */
    bool skipping;      /* in a line too long to be one */
    bool done;
};

/* Two digits, or -1. */
static int two(const char *s)
{
    return s[0] >= '0' && s[0] <= '9' && s[1] >= '0' && s[1] <= '9' ? (s[0] - '0') * 10 + s[1] - '0' : -1;
}

/* Days since 1970-01-01 in the Gregorian calendar. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = year / 400, yoe = year - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + doe - 719468;
}

/* The zone, "Z" or "+hh:mm", in seconds. */
static bool parse_zone(struct str s, int64_t *ret_offset)
{
    if (str_is(s, "Z")) {
        *ret_offset = 0;
        return true;
    }
    if (s.len != 6 || (s.data[0] != '+' && s.data[0] != '-') || s.data[3] != ':' || two(s.data + 1) < 0 ||
        two(s.data + 4) < 0)
        return false;
    *ret_offset = (two(s.data + 1) * 3600 + two(s.data + 4) * 60) * (s.data[0] == '-' ? -1 : 1);
    return true;
}

/* RFC 3339 with any fraction. */
static bool parse_time(struct str s, nsec_t *ret_time)
{
    const char *d = s.data;
    int64_t offset;

    if (s.len < 20 || d[4] != '-' || d[7] != '-' || d[10] != 'T' || d[13] != ':' || d[16] != ':')
        return false;
    int century = two(d), year = two(d + 2), month = two(d + 5), day = two(d + 8);
    int hour = two(d + 11), minute = two(d + 14), second = two(d + 17);
    if (century < 0 || year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    nsec_t fraction = 0, unit = NSEC_PER_SEC;
    size_t at = 19;
    if (d[at] == '.')
        for (at++; at < s.len && d[at] >= '0' && d[at] <= '9'; at++)
            if ((unit /= 10) > 0)
                fraction += (d[at] - '0') * unit;
    if (!parse_zone(str_skip(s, at), &offset))
        return false;
    int64_t days = days_of(century * 100 + year, month, day);
    *ret_time = (((days * 24 + hour) * 60 + minute) * 60 + second - offset) * NSEC_PER_SEC + fraction;
    return true;
}

bool container_log_parse(struct str line, struct container_log_line *ret_line)
{
    struct container_log_line out;
    struct str stream, tag;

    if (!str_split(&line, ' ', &out.time_text) || !str_split(&line, ' ', &stream) || !str_split(&line, ' ', &tag) ||
        tag.len == 0 || (tag.data[0] != 'F' && tag.data[0] != 'P') || !parse_time(out.time_text, &out.time))
        return false;
    if (str_is(stream, "stdout"))
        out.stream = CONTAINER_LOG_STDOUT;
    else if (str_is(stream, "stderr"))
        out.stream = CONTAINER_LOG_STDERR;
    else
        return false;
    out.partial = tag.data[0] == 'P';
    out.text = line.data ? line : STR("");
    *ret_line = out;
    return true;
}

static void flush(struct reader *reader)
{
    struct str text = buf_str(&reader->out);

    if (reader->done || text.len == 0)
        return;
    if (reader->left >= 0 && (int64_t)text.len >= reader->left) {
        text.len = (size_t)reader->left;
        reader->done = true;
    }
    if (reader->left >= 0)
        reader->left -= (int64_t)text.len;
    if (text.len && !reader->sink(reader->arg, reader->out_stream, text))
        reader->done = true;
    buf_clear(&reader->out);
}

static void add_time(struct buf *buf, nsec_t time)
{
    time_t second = (time_t)(time / NSEC_PER_SEC);
    struct tm tm;

    gmtime_r(&second, &tm);
    buf_printf(buf, "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
               tm.tm_min, tm.tm_sec, (int)(time % NSEC_PER_SEC));
}

static void take_line(struct reader *reader, struct str raw)
{
    const struct container_log_options *options = reader->options;
    struct container_log_line line;

    if (reader->done || !container_log_parse(raw, &line))
        return;
    if (options->since && !reader->since_reached) {
        if (line.time < options->since)
            return;
        reader->since_reached = true;
    }
    if (options->streams && !(options->streams & line.stream))
        return;
    if (reader->out.len && reader->out_stream != line.stream)
        flush(reader);
    reader->out_stream = line.stream;
    if (options->timestamps && !reader->in_line[line.stream])
        add_time(&reader->out, line.time);
    buf_add_str(&reader->out, line.text);
    if (!line.partial)
        buf_add_char(&reader->out, '\n');
    reader->in_line[line.stream] = line.partial;
    if (reader->out.len >= FLUSH_AT)
        flush(reader);
}

/* All whole lines in the buffer. A line without end in sight is not one of conmon's: it is dropped. */
static void take_lines(struct reader *reader)
{
    struct str rest = buf_str(&reader->in);
    size_t used = 0;

    while (!reader->done) {
        const char *end = memchr(rest.data + used, '\n', rest.len - used);

        if (!end)
            break;
        if (!reader->skipping)
            take_line(reader, str_of(rest.data + used, (size_t)(end - rest.data) - used));
        reader->skipping = false;
        used = (size_t)(end - rest.data) + 1;
    }
    buf_consume(&reader->in, used);
    if (reader->in.len > LINE_MAX_LEN) {
        reader->skipping = true;
        buf_clear(&reader->in);
    }
}

/* Reads from *at to the end of the file as it is now. */
static int read_on(struct reader *reader, int fd, off_t *at, struct err *err)
{
    while (!reader->done) {
        char *to = buf_reserve(&reader->in, BLOCK);
        if (!to)
            return err_set(err, ERR_NO_MEMORY, "reading a log");
        ssize_t n = pread(fd, to, BLOCK, *at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "reading a log");
        if (n == 0)
            break;
        reader->in.len += (size_t)n;
        *at += n;
        take_lines(reader);
        if (!buf_ok(&reader->out))
            return err_set(err, ERR_NO_MEMORY, "reading a log");
    }
    flush(reader);
    return 0;
}

/* A line left unfinished at the end of a file never gets its rest in the next. */
static void end_file(struct reader *reader)
{
    buf_clear(&reader->in);
    reader->skipping = false;
}

/* Is the line that begins there the end of a line of the program? */
static bool is_full(int fd, off_t at)
{
    char head[HEAD_LEN];
    ssize_t n = pread(fd, head, sizeof head, at);
    struct str rest = str_of(head, n > 0 ? (size_t)n : 0), field;

    return str_split(&rest, ' ', &field) && str_split(&rest, ' ', &field) && rest.data && rest.len &&
           rest.data[0] == 'F';
}

/* Walks back over the lines of one file while *wanted > 0; *ret_at: where the oldest wanted one begins. A line counts
 * when its last part is met; the parts before it belong to it. */
static void find_tail(const struct log_file *file, int64_t *wanted, bool *at_end, off_t *ret_at)
{
    off_t block_at = file->size, line_at = file->size;
    char block[BLOCK / 8];

    while (block_at > 0) {
        size_t len = (size_t)MIN(block_at, (off_t)sizeof block);

        block_at -= (off_t)len;
        ssize_t n = pread(file->fd, block, len, block_at);
        if (n < (ssize_t)len)
            break;
        for (size_t i = len; i-- > 0;) {
            if (block[i] != '\n')
                continue;
            off_t begin = block_at + (off_t)i + 1; /* of the line after this newline */
            if (begin < line_at && (is_full(file->fd, begin) || *at_end)) {
                if (*wanted == 0) {
                    *ret_at = line_at;
                    return;
                }
                --*wanted;
                *at_end = false;
            }
            if (begin < line_at)
                line_at = begin;
        }
    }
    if (line_at > 0 && (is_full(file->fd, 0) || *at_end)) {
        if (*wanted == 0) {
            *ret_at = line_at;
            return;
        }
        --*wanted;
        *at_end = false;
    }
    *ret_at = 0;
}

/* File and offset where reading begins. */
static void find_start(const struct log_files *files, const struct container_log_options *options, size_t *ret_file,
                       off_t *ret_at)
{
    int64_t wanted = options->tail_lines;
    bool at_end = true; /* the last line may be unfinished, it counts nevertheless */
    struct stat st;

    *ret_file = 0;
    *ret_at = 0;
    if (wanted >= 0) {
        for (size_t i = files->count; i-- > 0;) {
            off_t at = 0;

            find_tail(&files->items[i], &wanted, &at_end, &at);
            *ret_file = i;
            *ret_at = at;
            if (at > 0)
                return;
        }
        return;
    }
    /* Files last written to before that time have nothing to show. */
    while (options->since && *ret_file + 1 < files->count && fstat(files->items[*ret_file].fd, &st) == 0 &&
           st.st_mtim.tv_sec < options->since / NSEC_PER_SEC)
        ++*ret_file;
}

static bool is_cancelled(const struct reader *reader)
{
    return reader->source->cancelled && reader->source->cancelled(reader->source->arg);
}

/* The place of that file among the ones there are now; -1: rotated away and deleted meanwhile. */
static ssize_t index_of(const struct log_files *files, const struct log_file *file)
{
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].device == file->device && files->items[i].inode == file->inode)
            return (ssize_t)i;
    return -1;
}

/* Goes to the file after the current one, if there is one. */
static int next_file(struct reader *reader, struct log_files *files, size_t *current, off_t *at, bool *ret_moved,
                     struct err *err)
{
    struct log_file *now = &files->items[*current];
    struct log_files fresh;
    struct stat st;

    *ret_moved = false;
    if (stat(reader->source->path, &st) < 0 || (st.st_dev == now->device && st.st_ino == now->inode))
        return 0;
    int r = read_on(reader, now->fd, at, err); /* its last words */
    if (r < 0)
        return r;
    r = log_files_open(reader->source->path, &fresh, err);
    if (r < 0)
        return r == -ERR_NOT_FOUND ? 0 : r;
    ssize_t place = index_of(&fresh, now);
    if ((size_t)(place + 1) >= fresh.count) {
        log_files_deinit(&fresh);
        return 0;
    }
    end_file(reader);
    log_files_deinit(files);
    *files = fresh;
    *current = (size_t)(place + 1);
    *at = 0;
    *ret_moved = true;
    return 0;
}

/* Waits until something may have happened. */
static void wait_change(int inotify, int wake_fd)
{
    struct pollfd polls[] = { { .fd = inotify, .events = POLLIN }, { .fd = wake_fd, .events = POLLIN } };
    char events[4096];

    if (poll(polls, 2, wake_fd < 0 ? 1000 : -1) > 0 && polls[0].revents)
        while (read(inotify, events, sizeof events) > 0)
            ;
}

static int watch_dir(const char *path, struct err *err)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd < 0)
        return err_errno(err, errno, "watching %s", path);
    snprintf(dir, sizeof dir, "%.*s", slash && slash > path ? (int)(slash - path) : 1, slash ? path : ".");
    if (inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
        int r = err_errno(err, errno, "watching %s", dir);
        close(fd);
        return r;
    }
    return fd;
}

static int follow(struct reader *reader, int inotify, struct log_files *files, size_t current, off_t at,
                  struct err *err)
{
    const struct container_log_source *source = reader->source;

    for (;;) {
        /* Asked before reading: what was written before the end is then sure to be read. */
        bool ended = source->ended && source->ended(source->arg), moved = true;
        int r = 0;

        while (r == 0 && moved && !reader->done) {
            r = read_on(reader, files->items[current].fd, &at, err);
            if (r == 0)
                r = next_file(reader, files, &current, &at, &moved, err);
        }
        if (r < 0 || reader->done || ended || is_cancelled(reader))
            return r;
        wait_change(inotify, source->wake_fd);
    }
}

static int read_log(struct reader *reader, struct err *err)
{
    __attribute__((cleanup(log_files_deinit))) struct log_files files = { 0 };
    AUTO_CLOSE int inotify = -1;
    size_t current;
    off_t at;

    /* Watching begins before reading: no change falls in between. */
    if (reader->options->follow) {
        inotify = watch_dir(reader->source->path, err);
        if (inotify < 0)
            return inotify;
    }
    int r = log_files_open(reader->source->path, &files, err);
    if (r < 0)
        return r;
    find_start(&files, reader->options, &current, &at);
    while (current + 1 < files.count && !reader->done) {
        r = read_on(reader, files.items[current].fd, &at, err);
        if (r < 0)
            return r;
        end_file(reader);
        current++;
        at = 0;
    }
    if (reader->options->follow)
        return follow(reader, inotify, &files, current, at, err);
    return read_on(reader, files.items[current].fd, &at, err);
}

int container_log_read(const struct container_log_source *source, const struct container_log_options *options,
                       container_log_sink_fn *sink, void *arg, struct err *err)
{
    struct reader reader = { .source = source, .options = options, .sink = sink, .arg = arg,
                             .left = options->limit_bytes > 0 ? options->limit_bytes : -1 };

    buf_init(&reader.in, 2 * LINE_MAX_LEN);
    buf_init(&reader.out, 0);
    int r = read_log(&reader, err);
    buf_deinit(&reader.in);
    buf_deinit(&reader.out);
    return r;
}
