/* archive.c - names, and what to write next.
 *
 * A full backup begins a generation; increments follow it. All of one generation have names that begin with the time of
 * its beginning, then comes the revision up to which they go, and that after which they begin (0: the full one):
 *
 *   20260105T083000.123Z-00000000000000012345-00000000000000000000.backup
 *
 * So a sorted list has generations in order, and in each what a restore reads, in its order. Increments may overlap: one
 * whose arrival was not noted here is sent again, longer. A note in the data folder says how far a generation has come,
 * with a mark of the last record; when the store does not have that (it was restored, so its history is another one), or
 * no longer has all changes since, or the place has lost the beginning, a new generation begins. Old generations are
 * never removed: how long they are worth something is not ours to say. */
#include "store/backup/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/json.h"
#include "store/backup/place_private.h"

#define GENERATION_LEN 20 /* "20260105T083000.123Z" */
#define NUMBER_LEN 20
#define SUFFIX ".backup"
#define NAME_LEN (GENERATION_LEN + 2 * (1 + NUMBER_LEN) + sizeof SUFFIX - 1)
#define NOTE_MAX (64u << 10)

struct archive {
    struct archive_options options;
    char *note_path;
    bool going, looked; /* a generation is under way; the place has been looked at for it */
    char generation[GENERATION_LEN + 1];
    revision_t to;
    struct backup_mark mark;
    uint64_t increments;
};

/* -- names -- */

static void generation_name(nsec_t time, char out[GENERATION_LEN + 1])
{
    time_t seconds = (time_t)(time / NSEC_PER_SEC);
    struct tm parts;
    char text[GENERATION_LEN];

    strftime(text, sizeof text, "%Y%m%dT%H%M%S", gmtime_r(&seconds, &parts));
    snprintf(out, GENERATION_LEN + 1, "%s.%03dZ", text, (int)(time / NSEC_PER_MSEC % 1000));
}

struct name {
    struct str generation;
    revision_t from, to;
};

static bool parse_name(struct str text, struct name *ret_name)
{
    struct str rest = str_skip(text, GENERATION_LEN);

    if (text.len != NAME_LEN || !str_has_suffix(text, STR(SUFFIX)) || rest.data[0] != '-' ||
        rest.data[1 + NUMBER_LEN] != '-')
        return false;
    ret_name->generation = str_first(text, GENERATION_LEN);
    return str_to_u64(str_first(str_skip(rest, 1), NUMBER_LEN), &ret_name->to) &&
           str_to_u64(str_first(str_skip(rest, 2 + NUMBER_LEN), NUMBER_LEN), &ret_name->from);
}

int archive_choose(struct place_names *names, revision_t until_revision, nsec_t until_time, struct err *err)
{
    char latest[GENERATION_LEN + 1];
    struct str chosen = STR_NULL;
    struct name name;
    size_t kept = 0;

    generation_name(until_time, latest);
    vec_each (&names->items, it) {
        if (!parse_name(*it, &name) || name.from)
            continue;
        bool late = (until_revision && name.to > until_revision) ||
                    (until_time && str_cmp(name.generation, str_from(latest)) > 0);
        if (!chosen.data || !late) /* the oldest one may reach back far enough with its history */
            chosen = name.generation;
    }
    if (!chosen.data)
        return err_set(err, ERR_NOT_FOUND, "there is no full backup");
    bool begun = false; /* with the full one; what stands before it is none of its increments */
    vec_each (&names->items, it) {
        if (!parse_name(*it, &name) || !str_eq(name.generation, chosen))
            continue;
        begun |= name.from == 0;
        if (begun)
            names->items.items[kept++] = *it;
    }
    names->items.count = kept;
    return 0;
}

/* -- the note -- */

static void read_note(struct archive *archive)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, text);
    struct json *json;

    buf_init(&text, 0);
    if (!arena || file_read(archive->note_path, NOTE_MAX, &text, NULL) < 0 ||
        json_parse(arena, buf_str(&text), NULL, &json, NULL) < 0)
        return; /* then a generation begins */
    struct str generation = json_str_at(json, "generation");
    int64_t to = json_int(json_at(json, "to"), 0), position = json_int(json_at(json, "position"), 0);

    if (!str_eq(json_str_at(json, "where"), str_from(archive->options.where)) || generation.len != GENERATION_LEN ||
        to <= 0 || position < 0)
        return;
    snprintf(archive->generation, sizeof archive->generation, STR_FMT, STR_ARG(generation));
    archive->to = (revision_t)to;
    archive->mark = (struct backup_mark){ (position_t)position, (uint32_t)json_int(json_at(json, "sum"), 0) };
    archive->increments = (uint64_t)json_int(json_at(json, "increments"), 0);
    archive->going = true;
}

static int write_note(struct archive *archive, struct err *err)
{
    AUTO_DEINIT(buf, text);

    buf_init(&text, 0);
    struct json_writer w = json_writer(&text);
    jw_begin_object(&w);
    jw_field_str(&w, "where", str_from(archive->options.where));
    jw_field_str(&w, "generation", str_from(archive->generation));
    jw_field_int(&w, "to", (int64_t)archive->to);
    jw_field_int(&w, "position", (int64_t)archive->mark.position);
    jw_field_int(&w, "sum", archive->mark.sum);
    jw_field_int(&w, "increments", (int64_t)archive->increments);
    jw_end_object(&w);
    if (!buf_ok(&text))
        return err_set(err, ERR_NO_MEMORY, "noting how far the backup is");
    return file_write_atomic(archive->note_path, buf_str(&text), 0600, err);
}

/* A note of another time may speak of what has been removed since. */
static int look(struct archive *archive, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct place_names names = { .arena = arena };
    bool base = false, last = false;
    struct name name;
    int code = arena ? place_list(archive->options.place, &names, err) : err_set(err, ERR_NO_MEMORY, "backup");

    vec_each (&names.items, it) {
        if (!parse_name(*it, &name) || !str_eq(name.generation, str_from(archive->generation)))
            continue;
        base |= name.from == 0;
        last |= name.to == archive->to;
    }
    place_names_deinit(&names);
    if (code < 0)
        return code;
    archive->going = base && last;
    archive->looked = true;
    return 0;
}

/* -- a step -- */

struct spool {
    int fd;
    EVP_MD_CTX *digest;
};

static int spool_write(void *ctx, const void *data, size_t len, struct err *err)
{
    struct spool *spool = ctx;
    int rc = place_write(spool->fd, str_of(data, len));

    if (rc < 0)
        return err_errno(err, -rc, "writing a backup for sending it");
    return EVP_DigestUpdate(spool->digest, data, len) == 1 ? 0 : err_set(err, ERR_INTERNAL, "backup: SHA-256");
}

static int spool_open(struct archive *archive, struct spool *spool, struct err *err)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/.backup-XXXXXX", archive->options.folder);
    *spool = (struct spool){ mkostemp(path, O_CLOEXEC), EVP_MD_CTX_new() };
    if (spool->fd < 0)
        return err_errno(err, errno, "writing a backup for sending it to %s", archive->options.folder);
    unlink(path);
    if (!spool->digest || EVP_DigestInit_ex(spool->digest, EVP_sha256(), NULL) != 1)
        return err_set(err, ERR_NO_MEMORY, "backup");
    return 0;
}

static void spool_close(struct spool *spool)
{
    EVP_MD_CTX_free(spool->digest);
    auto_close_fd(&spool->fd);
}

static int write_spool(struct archive *archive, struct spool *spool, struct backup_summary *ret_summary, struct err *err)
{
    const struct archive_options *options = &archive->options;
    const struct stream_sink sink = { spool_write, spool };
    struct backup_options backup = { .instance = options->instance, .passphrase = options->passphrase,
                                     .clock = options->clock, .rng = options->rng };
    int code = options->files(options->ctx, &backup.files, &backup.file_count, err);

    if (code < 0)
        return code;
    if (archive->going) {
        backup.since = archive->to;
        backup.mark = archive->mark;
    }
    return backup_write_open(options->store, &backup, &sink, ret_summary, err);
}

static int send_spool(struct archive *archive, struct spool *spool, const struct backup_summary *summary, struct err *err)
{
    const struct backup_header *header = &summary->header;
    struct place_data data = { .fd = spool->fd, .size = summary->bytes };
    char name[PLACE_NAME_MAX], generation[GENERATION_LEN + 1];
    uint8_t digest[32];

    if (EVP_DigestFinal_ex(spool->digest, digest, NULL) != 1)
        return err_set(err, ERR_INTERNAL, "backup: SHA-256");
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(data.sha256 + 2 * i, 3, "%02x", digest[i]);
    if (header->from)
        memcpy(generation, archive->generation, sizeof generation);
    else
        generation_name(header->time, generation);
    snprintf(name, sizeof name, "%s-%020llu-%020llu" SUFFIX, generation, (unsigned long long)header->to,
             (unsigned long long)header->from);
    int code = place_put(archive->options.place, name, &data, err);
    if (code < 0)
        return code;
    memcpy(archive->generation, generation, sizeof generation);
    archive->increments = header->from ? archive->increments + 1 : 0;
    archive->to = header->to;
    archive->mark = header->last;
    archive->going = archive->looked = true;
    return write_note(archive, err);
}

static int ship(struct archive *archive, struct archive_step *ret_step, struct err *err)
{
    struct backup_summary summary;
    struct spool spool;
    int code = spool_open(archive, &spool, err);

    if (code == 0)
        code = write_spool(archive, &spool, &summary, err);
    if (code == 0)
        code = send_spool(archive, &spool, &summary, err);
    spool_close(&spool);
    if (code == 0)
        *ret_step = (struct archive_step){ summary.header.from, summary.header.to, summary.bytes };
    return code;
}

bool archive_wants_full(const struct archive *archive)
{
    return !archive->going || archive->increments >= archive->options.increments;
}

int archive_step(struct archive *archive, struct archive_step *ret_step, struct err *err)
{
    int code = archive->going && !archive->looked ? look(archive, err) : 0;

    if (code < 0)
        return code;
    if (archive->going && store_revision(archive->options.store) == archive->to)
        return 0;
    if (archive_wants_full(archive))
        archive->going = false;
    code = ship(archive, ret_step, err);
    if (archive->going && (code == -ERR_EXPIRED || code == -ERR_CONFLICT)) {
        archive->going = false;
        code = ship(archive, ret_step, err);
    }
    return code < 0 ? code : 1;
}

int archive_new(const struct archive_options *options, struct archive **ret_archive, struct err *err)
{
    AUTO(archive) archive = calloc(1, sizeof *archive);

    if (!archive || asprintf(&archive->note_path, "%s/backup-to.json", options->folder) < 0)
        return err_set(err, ERR_NO_MEMORY, "backup");
    archive->options = *options;
    if (!options->fresh)
        read_note(archive);
    *ret_archive = TAKE(archive);
    return 0;
}

struct archive *archive_free(struct archive *archive)
{
    if (!archive)
        return NULL;
    free(archive->note_path);
    free(archive);
    return NULL;
}
