/* events.c - events are built on the caller's thread and written on a strand. A table of recent ones turns a repetition
 * into a patch of its count. */
#include "client/events.h"

#include <stdio.h>

#include "api/core_v1.h"
#include "api/meta_v1.h"
#include "api/resources.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/sync.h"
#include "schema/time.h"

#define WAITING_MAX 1000 /* events not yet written; more are dropped */
#define RECENT_MAX 4096  /* events whose repetitions are counted */

struct recent {
    struct str key;       /* in text */
    struct str ns, name;  /* of the Event */
    unsigned count;
    char *text;
};

struct event_recorder {
    struct client *client;
    struct executor *executor;
    struct rng *rng;
    struct strand *strand;
    struct arena arena;
    struct str component, host;
    struct mutex lock;
    struct list notes; /* not yet written */
    int waiting;       /* of them */
    struct map recent; /* of the strand alone */
};

struct note {
    struct list link;
    struct object *about;
    const char *type, *reason;
    nsec_t wall;
    struct str field_path;
    char *message; /* in the same block */
};

static void recent_clear(struct event_recorder *recorder)
{
    for (struct map_entry *e = NULL; (e = map_next(&recorder->recent, e));) {
        struct recent *recent = e->value;

        free(recent->text);
        free(recent);
    }
    map_deinit(&recorder->recent);
}

static struct str event_namespace(const struct object *about)
{
    return about->meta->namespace.len ? about->meta->namespace : STR("default");
}

static void write_reference(struct json_writer *w, const struct note *note)
{
    const struct object *about = note->about;
    struct str group = about->resource->group;

    jw_begin_object(w);
    jw_key(w, STR("apiVersion"));
    if (group.len) {
        char version[256];
        int len = snprintf(version, sizeof version, STR_FMT "/" STR_FMT, STR_ARG(group),
                           STR_ARG(about->resource->version));

        jw_str(w, str_of(version, (size_t)MIN(len, (int)sizeof version - 1)));
    } else {
        jw_str(w, about->resource->version);
    }
    if (note->field_path.len)
        jw_field_str(w, "fieldPath", note->field_path);
    jw_field_str(w, "kind", about->resource->kind);
    jw_field_str(w, "name", about->meta->name);
    if (about->meta->namespace.len)
        jw_field_str(w, "namespace", about->meta->namespace);
    jw_field_str(w, "resourceVersion", about->meta->resource_version);
    jw_field_str(w, "uid", about->meta->uid);
    jw_end_object(w);
}

static void write_event(struct buf *buf, const struct event_recorder *recorder, const struct note *note,
                        struct str name)
{
    struct json_writer w = json_writer(buf);
    char text[API_TIME_LEN];
    struct str when = api_time_text(note->wall, text);

    jw_begin_object(&w);
    jw_field_str(&w, "apiVersion", STR("v1"));
    jw_field_int(&w, "count", 1);
    jw_field_str(&w, "firstTimestamp", when);
    jw_key(&w, STR("involvedObject"));
    write_reference(&w, note);
    jw_field_str(&w, "kind", STR("Event"));
    jw_field_str(&w, "lastTimestamp", when);
    jw_field_str(&w, "message", str_from(note->message));
    jw_key(&w, STR("metadata"));
    jw_begin_object(&w);
    jw_field_str(&w, "name", name);
    jw_field_str(&w, "namespace", event_namespace(note->about));
    jw_end_object(&w);
    jw_field_str(&w, "reason", str_from(note->reason));
    jw_field_str(&w, "reportingComponent", recorder->component);
    jw_field_str(&w, "reportingInstance", recorder->host);
    jw_key(&w, STR("source"));
    jw_begin_object(&w);
    jw_field_str(&w, "component", recorder->component);
    if (recorder->host.len)
        jw_field_str(&w, "host", recorder->host);
    jw_end_object(&w);
    jw_field_str(&w, "type", str_from(note->type));
    jw_end_object(&w);
}

static int repeat(struct event_recorder *recorder, const struct note *note, struct recent *recent, struct err *err)
{
    char patch[128], when[API_TIME_LEN];

    api_time_text(note->wall, when);
    snprintf(patch, sizeof patch, "{\"count\":%u,\"lastTimestamp\":\"%s\"}", recent->count + 1, when);
    int code = client_patch(recorder->client, &RESOURCE_EVENTS, recent->ns, recent->name, STR_NULL, PATCH_MERGE,
                            str_from(patch), STR("count event"), note->about->revision, NULL, err);

    if (code == 0)
        recent->count++;
    return code;
}

static void remember(struct event_recorder *recorder, struct str key, struct str ns, struct str name)
{
    if (recorder->recent.count >= RECENT_MAX)
        recent_clear(recorder);
    struct recent *recent = calloc(1, sizeof *recent);
    char *text = recent ? malloc(key.len + ns.len + name.len + 1) : NULL;

    if (!text) {
        free(recent);
        return; /* a repetition becomes a new event: no harm */
    }
    memcpy(text, key.data, key.len);
    memcpy(text + key.len, ns.data, ns.len);
    memcpy(text + key.len + ns.len, name.data, name.len);
    *recent = (struct recent){ str_of(text, key.len), str_of(text + key.len, ns.len),
                               str_of(text + key.len + ns.len, name.len), 1, text };
    void *old = NULL;

    if (map_put(&recorder->recent, recent->key, recent, &old) < 0)
        old = recent;
    if (old) {
        free(((struct recent *)old)->text);
        free(old);
    }
}

static int create(struct event_recorder *recorder, const struct note *note, struct str key, struct err *err)
{
    struct buf text = BUF_INIT, name = BUF_INIT;
    struct str ns = event_namespace(note->about);

    /* Lists, which are in order of names, show the events of an object in order of time. */
    buf_printf(&name, STR_FMT ".%016llx", STR_ARG(note->about->meta->name),
               (unsigned long long)(((uint64_t)note->wall & ~UINT64_C(0xfff)) | (rng_u64(recorder->rng) & 0xfff)));
    write_event(&text, recorder, note, buf_str(&name));
    AUTO(blob) body = NULL;
    const struct client_call call = { .verb = CLIENT_CREATE, .resource = &RESOURCE_EVENTS, .ns = ns,
                                      .body = buf_str(&text), .rule = STR("record event"),
                                      .trigger = note->about->revision };
    int code = buf_ok(&text) && buf_ok(&name)
                   ? recorder->client->ops->call(recorder->client, &call, NULL, NULL, NULL, &body, err)
                   : err_set(err, ERR_NO_MEMORY, "event");

    if (code == 0)
        remember(recorder, key, ns, buf_str(&name));
    buf_deinit(&text);
    buf_deinit(&name);
    return code;
}

static struct note *note_free(struct note *note)
{
    object_unref(note->about);
    free(note);
    return NULL;
}

static void note_write(struct event_recorder *recorder, struct note *note)
{
    struct buf key = BUF_INIT;
    struct err err = { 0 };

    buf_printf(&key, STR_FMT "|%s|%s|" STR_FMT "|%s", STR_ARG(note->about->meta->uid), note->type, note->reason,
               STR_ARG(note->field_path), note->message);
    struct recent *recent = buf_ok(&key) ? map_get(&recorder->recent, buf_str(&key)) : NULL;
    int code = recent ? repeat(recorder, note, recent, &err) : -ERR_NOT_FOUND;

    if (code == -ERR_NOT_FOUND)
        code = create(recorder, note, buf_str(&key), &err);
    /* An object in a namespace that is going away cannot have events any more. */
    if (code < 0 && code != -ERR_FORBIDDEN && code != -ERR_NOT_FOUND && code != -ERR_CANCELLED)
        log_debug("events", "%s of " STR_FMT ": %s", note->reason, STR_ARG(note->about->key), err.message);
    buf_deinit(&key);
}

static struct note *note_take(struct event_recorder *recorder)
{
    LOCKED(&recorder->lock);
    struct note *note = list_first(&recorder->notes, struct note, link);

    if (note) {
        list_remove(&note->link);
        recorder->waiting--;
    }
    return note;
}

static void write_next(void *arg)
{
    struct event_recorder *recorder = arg;
    struct note *note = note_take(recorder);

    if (!note)
        return;
    note_write(recorder, note);
    note_free(note);
}

static struct note *note_new(struct event_recorder *recorder, const struct object *about, struct str field_path,
                             const char *type, const char *reason, const char *message)
{
    size_t message_size = strlen(message) + 1;
    struct note *note = malloc(sizeof *note + message_size + field_path.len);

    if (!note)
        return NULL;
    char *place = (char *)(note + 1);

    memcpy(place, message, message_size);
    if (field_path.len)
        memcpy(place + message_size, field_path.data, field_path.len);
    *note = (struct note){ .about = object_ref((struct object *)about), .type = type, .reason = reason,
                           .wall = clock_wall(executor_clock(recorder->executor)),
                           .field_path = str_of(place + message_size, field_path.len), .message = place };
    return note;
}

void event_record(struct event_recorder *recorder, const struct object *about, struct str field_path, const char *type,
                  const char *reason, const char *fmt, ...)
{
    char message[1024]; /* Kubernetes' own limit of an event's message */
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    LOCKED(&recorder->lock);
    struct note *note = recorder->waiting < WAITING_MAX
                            ? note_new(recorder, about, field_path, type, reason, message)
                            : NULL;

    if (!note)
        return;
    if (strand_post(recorder->strand, write_next, recorder, NULL) < 0) {
        note_free(note);
        return;
    }
    list_append(&recorder->notes, &note->link);
    recorder->waiting++;
}

int event_recorder_new(struct client *client, struct executor *executor, struct rng *rng, struct str component,
                       struct str host, struct event_recorder **ret_recorder, struct err *err)
{
    AUTO(event_recorder) recorder = calloc(1, sizeof *recorder);

    if (!recorder)
        return err_set(err, ERR_NO_MEMORY, "event recorder");
    recorder->client = client;
    recorder->executor = executor;
    recorder->rng = rng;
    mutex_init(&recorder->lock);
    list_init(&recorder->notes);
    arena_init(&recorder->arena, 0);
    recorder->component = arena_str(&recorder->arena, component);
    recorder->host = arena_str(&recorder->arena, host);
    if (arena_failed(&recorder->arena))
        return err_set(err, ERR_NO_MEMORY, "event recorder");
    int code = strand_new(executor, &recorder->strand, err);

    if (code < 0)
        return code;
    *ret_recorder = TAKE(recorder);
    return 0;
}

struct event_recorder *event_recorder_free(struct event_recorder *recorder)
{
    if (!recorder)
        return NULL;
    strand_free(recorder->strand);
    for (struct note *note; (note = note_take(recorder));)
        note_free(note);
    mutex_deinit(&recorder->lock);
    recent_clear(recorder);
    arena_deinit(&recorder->arena);
    free(recorder);
    return NULL;
}
