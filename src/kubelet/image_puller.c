/* image_puller.c - one task per container that needs a pull, keyed "uid/container", on the executor. */
#include "kubelet/image_puller.h"

#include <stdio.h>

#include "api/resources.h"
#include "base/list.h"
#include "base/log.h"

#define BACKOFF_BASE (10 * NSEC_PER_SEC)
#define BACKOFF_CAP (300 * NSEC_PER_SEC)
#define ERROR_SHOWN (2 * NSEC_PER_SEC) /* then it is a back-off */

enum pull_state { PULL_RUNNING, PULL_DONE, PULL_FAILED };

struct pull {
    struct puller *puller;
    struct str key; /* "uid/container" in text */
    struct object *pod;
    struct str pod_key, ref;
    struct str path; /* spec.containers{name} */
    enum pull_state state;
    struct image *image;
    unsigned failures;
    nsec_t failed_at, not_before;
    bool bad_name;
    char message[512];
    bool forgotten;
    struct arena arena;
};

struct puller {
    struct kubelet *kubelet;
    struct mutex lock;
    struct cond idle;
    struct map pulls;
    int running;
};

static struct pull *pull_free(struct pull *pull)
{
    object_unref(pull->pod);
    image_drop(pull->image);
    arena_deinit(&pull->arena);
    free(pull);
    return NULL;
}

int puller_new(struct kubelet *kubelet, struct puller **ret_puller, struct err *err)
{
    struct puller *puller = calloc(1, sizeof *puller);

    if (!puller)
        return err_set(err, ERR_NO_MEMORY, "image puller");
    puller->kubelet = kubelet;
    mutex_init(&puller->lock);
    cond_init(&puller->idle);
    *ret_puller = puller;
    return 0;
}

struct puller *puller_free(struct puller *puller)
{
    if (!puller)
        return NULL;
    mutex_lock(&puller->lock);
    if (puller->running > 0)
        image_store_cancel(puller->kubelet->options.images);
    while (puller->running > 0)
        cond_wait(&puller->idle, &puller->lock);
    mutex_unlock(&puller->lock);
    for (struct map_entry *e = NULL; (e = map_next(&puller->pulls, e));)
        pull_free(e->value);
    map_deinit(&puller->pulls);
    cond_deinit(&puller->idle);
    mutex_deinit(&puller->lock);
    free(puller);
    return NULL;
}

/* -- credentials -- */

static struct str secret_data(const struct secret *secret, const char *key)
{
    for (size_t i = 0; i < secret->data.count; i++)
        if (str_is(secret->data.items[i].key, key))
            return secret->data.items[i].value;
    return STR_NULL;
}

/* imagePullSecrets that cannot be read are left out, as kubelet does: the registry then says what it thinks of that. */
static size_t list_secrets(struct pull *pull, struct image_secret *list)
{
    const struct local_object_reference_array *names = &OBJECT_VIEW(pull->pod, pod)->spec.image_pull_secrets;
    size_t count = 0;

    for (size_t i = 0; i < names->count; i++) {
        AUTO(object) object = NULL;

        if (client_get(pull->puller->kubelet->options.client, &RESOURCE_SECRETS, pull->pod->meta->namespace,
                       names->items[i].name, &object, NULL) < 0)
            continue;
        const struct secret *secret = OBJECT_VIEW(object, secret);
        bool json = str_is(secret->type, "kubernetes.io/dockerconfigjson");
        struct str text = secret_data(secret, json ? ".dockerconfigjson" : ".dockercfg");

        if (text.data && (text = arena_str(&pull->arena, text)).data)
            list[count++] = (struct image_secret){ json ? IMAGE_SECRET_CONFIG_JSON : IMAGE_SECRET_CFG, text };
    }
    return count;
}

/* -- pulling -- */

static void note_failure(struct pull *pull, int code, const struct err *err)
{
    struct kubelet *kubelet = pull->puller->kubelet;

    pull->state = PULL_FAILED;
    pull->bad_name = code == -ERR_INVALID && strstr(err->message, "invalid reference format");
    snprintf(pull->message, sizeof pull->message, "%s", err->message);
    pull->failed_at = clock_now(kubelet->options.clock);
    pull->not_before = pull->failed_at + MIN(BACKOFF_BASE << MIN(pull->failures, 6u), BACKOFF_CAP);
    pull->failures++;
}

static void report(struct pull *pull, int code, nsec_t took, const struct err *err)
{
    struct event_recorder *events = pull->puller->kubelet->events;

    if (code == 0) {
        event_record(events, pull->pod, pull->path, "Normal", "Pulled",
                     "Successfully pulled image \"" STR_FMT "\" in %lldms. Image size: %llu bytes.", STR_ARG(pull->ref),
                     (long long)(took / NSEC_PER_MSEC), (unsigned long long)pull->image->size);
        return;
    }
    if (pull->bad_name) {
        event_record(events, pull->pod, pull->path, "Warning", "InspectFailed",
                     "Failed to apply default image tag \"" STR_FMT "\": %s", STR_ARG(pull->ref), err->message);
        event_record(events, pull->pod, pull->path, "Warning", "Failed", "Error: InvalidImageName");
        return;
    }
    event_record(events, pull->pod, pull->path, "Warning", "Failed", "Failed to pull image \"" STR_FMT "\": %s",
                 STR_ARG(pull->ref), err->message);
    event_record(events, pull->pod, pull->path, "Warning", "Failed", "Error: ErrImagePull");
}

static void pull_run(void *arg)
{
    struct pull *pull = arg;
    struct puller *puller = pull->puller;
    struct kubelet *kubelet = puller->kubelet;
    size_t count = OBJECT_VIEW(pull->pod, pod)->spec.image_pull_secrets.count;
    struct image_secret *secrets = arena_array_of(&pull->arena, count, struct image_secret);
    struct image *image = NULL;
    struct err err = { 0 };
    nsec_t begun = clock_now(kubelet->options.clock);
    const struct image_pull options = { .ref = pull->ref,
                                        .secrets = secrets,
                                        .secret_count = secrets ? list_secrets(pull, secrets) : 0 };
    int code = image_store_pull(kubelet->options.images, &options, &image, &err);

    mutex_lock(&puller->lock);
    if (code == 0) {
        pull->image = image;
        pull->state = PULL_DONE;
    } else {
        note_failure(pull, code, &err);
    }
    report(pull, code, clock_now(kubelet->options.clock) - begun, &err);
    pod_wake(kubelet, pull->pod_key);
    if (pull->forgotten)
        pull_free(pull);
    if (--puller->running == 0)
        cond_broadcast(&puller->idle);
    mutex_unlock(&puller->lock);
}

static struct pull *pull_new(struct puller *puller, const struct pod_sync *sync, const struct container_slot *slot,
                             struct str key)
{
    struct pull *pull = calloc(1, sizeof *pull);

    if (!pull)
        return NULL;
    arena_init(&pull->arena, 0);
    pull->puller = puller;
    pull->pod = object_ref(sync->object);
    pull->key = arena_str(&pull->arena, key);
    pull->pod_key = arena_str(&pull->arena, sync->state->key);
    pull->ref = arena_str(&pull->arena, slot->spec->image);
    pull->path = arena_printf(&pull->arena, "spec.%s{" STR_FMT "}", slot_list(slot), STR_ARG(slot->spec->name));
    return arena_failed(&pull->arena) ? pull_free(pull) : pull;
}

/* Locked. */
static int pull_start(struct puller *puller, struct pod_sync *sync, struct container_slot *slot, struct pull *pull,
                      struct err *err)
{
    int code = executor_post(puller->kubelet->options.executor, pull_run, pull, err);

    if (code < 0)
        return code;
    puller->running++;
    pull->state = PULL_RUNNING;
    sync_event(sync, slot->spec, "Normal", "Pulling", "Pulling image \"" STR_FMT "\"", STR_ARG(slot->spec->image));
    return 0;
}

static void say(struct container_slot *slot, const char *reason, const char *message)
{
    slot->memory->reason = reason;
    snprintf(slot->memory->message, sizeof slot->memory->message, "%s", message);
}

static void drop(struct puller *puller, struct pull *pull)
{
    map_remove(&puller->pulls, pull->key);
    if (pull->state == PULL_RUNNING)
        pull->forgotten = true;
    else
        pull_free(pull);
}

/* 0: found; 1: the policy wants a pull; 2: the policy forbids it and it is not there. */
static int look_locally(struct puller *puller, const struct container_slot *slot, struct image **ret_image)
{
    struct str policy = slot->spec->image_pull_policy;

    if (str_is(policy, "Always"))
        return 1;
    if (image_store_find(puller->kubelet->options.images, slot->spec->image, ret_image, NULL) == 0)
        return 0;
    return str_is(policy, "Never") ? 2 : 1;
}

static bool says(const struct container_slot *slot, const char *reason)
{
    return slot->memory->reason && strcmp(slot->memory->reason, reason) == 0;
}

/* Between tries: first what was wrong, then that it will be tried again. */
static void look_at_failure(struct pod_sync *sync, struct container_slot *slot, const struct pull *pull)
{
    char message[700];

    if (pull->bad_name) {
        snprintf(message, sizeof message, "Failed to apply default image tag \"" STR_FMT "\": %s",
                 STR_ARG(slot->spec->image), pull->message);
        say(slot, "InvalidImageName", message);
        return;
    }
    sync_wake_after(sync, pull->not_before - sync->now);
    if (sync->now < pull->failed_at + ERROR_SHOWN) {
        say(slot, "ErrImagePull", pull->message);
        sync_wake_after(sync, pull->failed_at + ERROR_SHOWN - sync->now);
        return;
    }
    if (!says(slot, "ImagePullBackOff")) {
        sync_event(sync, slot->spec, "Normal", "BackOff", "Back-off pulling image \"" STR_FMT "\"",
                   STR_ARG(slot->spec->image));
        sync_event(sync, slot->spec, "Warning", "Failed", "Error: ImagePullBackOff");
    }
    snprintf(message, sizeof message, "Back-off pulling image \"" STR_FMT "\": ErrImagePull: %s",
             STR_ARG(slot->spec->image), pull->message);
    say(slot, "ImagePullBackOff", message);
}

/* Locked. What is known of a pull that was begun. */
static int look_at(struct puller *puller, struct pod_sync *sync, struct container_slot *slot, struct pull *pull,
                   struct image **ret_image, struct err *err)
{
    if (pull->state == PULL_RUNNING)
        return 1; /* after a failed try that one's reason stays */
    if (pull->state == PULL_DONE) {
        *ret_image = TAKE(pull->image);
        drop(puller, pull);
        return 0;
    }
    if (look_locally(puller, slot, ret_image) == 0) { /* somebody else brought it */
        drop(puller, pull);
        return 0;
    }
    if (!pull->bad_name && pull->not_before <= sync->now) {
        int code = pull_start(puller, sync, slot, pull, err);

        return code < 0 ? code : 1;
    }
    look_at_failure(sync, slot, pull);
    return 1;
}

int puller_get(struct puller *puller, struct pod_sync *sync, struct container_slot *slot, struct image **ret_image,
               struct err *err)
{
    struct str key =
        arena_printf(sync->arena, STR_FMT "/" STR_FMT, STR_ARG(sync->state->uid), STR_ARG(slot->spec->name));

    if (!key.data)
        return err_set(err, ERR_NO_MEMORY, "image");
    LOCKED(&puller->lock);
    struct pull *pull = map_get(&puller->pulls, key);

    if (pull && !str_eq(pull->ref, slot->spec->image)) { /* the pod was given another one meanwhile */
        drop(puller, pull);
        pull = NULL;
    }
    if (pull)
        return look_at(puller, sync, slot, pull, ret_image, err);
    int found = look_locally(puller, slot, ret_image);

    if (found == 0) {
        sync_event(sync, slot->spec, "Normal", "Pulled", "Container image \"" STR_FMT "\" already present on machine",
                   STR_ARG(slot->spec->image));
        return 0;
    }
    if (found == 2) {
        char message[512];

        snprintf(message, sizeof message, "Container image \"" STR_FMT "\" is not present with pull policy of Never",
                 STR_ARG(slot->spec->image));
        if (!says(slot, "ErrImageNeverPull")) {
            sync_event(sync, slot->spec, "Warning", "ErrImageNeverPull", "%s", message);
            sync_event(sync, slot->spec, "Warning", "Failed", "Error: ErrImageNeverPull");
        }
        say(slot, "ErrImageNeverPull", message);
        sync_wake_after(sync, BACKOFF_BASE);
        return 1;
    }
    if (!(pull = pull_new(puller, sync, slot, key)))
        return err_set(err, ERR_NO_MEMORY, "image");
    int code = pull_start(puller, sync, slot, pull, err);

    if (code == 0 && map_put(&puller->pulls, pull->key, pull, NULL) < 0) {
        pull->forgotten = true;
        return err_set(err, ERR_NO_MEMORY, "image");
    }
    if (code < 0) {
        pull_free(pull);
        return code;
    }
    return 1;
}

void puller_forget(struct puller *puller, struct str pod_uid)
{
    LOCKED(&puller->lock);
    for (struct map_entry *e = NULL; (e = map_next(&puller->pulls, e));)
        if (str_has_prefix(e->key, pod_uid))
            drop(puller, e->value);
}
