/* deployment_sets.c - the replica sets of a deployment: which is the new one, what they remember, how large they are.
 *
 * A set is named after the hash of its template, which is also a label on it, on its pods and in its selector. The hash
 * only makes names: whether a set is that of a template is decided by comparing templates. When a name is taken by a
 * set of another template, the deployment counts a collision, and the count goes into the next hash. */
#include <stdio.h>

#include "api/meta_v1.h"
#include "api/resources.h"
#include "controllers/claim.h"
#include "controllers/deployment.h"
#include "schema/view.h"

#define HISTORY_MAX 2000 /* characters of the annotation */
#define HASH_TEXT 11

/* -- facts -- */

int64_t set_revision(const struct member *member)
{
    int64_t revision;

    return str_to_i64(map_value(member->object->meta->annotations, STR(ANNOTATION_REVISION)), &revision) ? revision : 0;
}

int32_t set_available(const struct member *member)
{
    return opt_or(member->set->status.available_replicas, 0);
}

int32_t rollout_replicas(const struct rollout *rollout)
{
    int64_t total = 0;

    for (size_t i = 0; i < rollout->count; i++)
        total += rollout->members[i].replicas;
    return (int32_t)MIN(total, (int64_t)INT32_MAX);
}

int32_t rollout_new_replicas(const struct rollout *rollout, int32_t present)
{
    int64_t room = (int64_t)rollout->wanted + rollout->surge - rollout_replicas(rollout);

    if (rollout->recreates)
        return rollout->wanted;
    if (room <= 0)
        return present;
    return present + (int32_t)MIN(room, (int64_t)MAX(rollout->wanted - present, 0));
}

int32_t resolve_share(struct int_or_string share, int32_t total, bool round_up)
{
    int64_t percent;

    if (!share.is_string)
        return MAX(share.int_value, 0);
    if (!str_has_suffix(share.string, STR("%")) || !str_to_i64(str_chop(share.string, 1), &percent))
        return 0;
    percent = MIN(MAX(percent, 0), 1000000);
    return (int32_t)MIN((percent * total + (round_up ? 99 : 0)) / 100, (int64_t)INT32_MAX);
}

/* -- finding -- */

static int by_creation(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    nsec_t at = a->object->meta->creation_timestamp.unix_nsec, bt = b->object->meta->creation_timestamp.unix_nsec;

    return at != bt ? (at < bt ? -1 : 1) : str_cmp(a->object->meta->name, b->object->meta->name);
}

static struct pod_template_spec without_hash(struct arena *arena, const struct pod_template_spec *template)
{
    struct pod_template_spec copy = *template;

    copy.metadata.labels = map_without(arena, copy.metadata.labels, STR(LABEL_HASH));
    return copy;
}

static bool same_template(struct arena *arena, const struct pod_template_spec *a, const struct pod_template_spec *b)
{
    struct pod_template_spec left = without_hash(arena, a), right = without_hash(arena, b);

    return view_equal(&TYPE_POD_TEMPLATE_SPEC, &left, &right);
}

static void member_set(struct member *member, struct object *object)
{
    member->object = object;
    member->set = OBJECT_VIEW(object, replica_set);
    member->replicas = opt_or(member->set->spec.replicas, 1);
}

int rollout_take_sets(struct rollout *rollout, const struct object_list *sets, struct err *err)
{
    /* One more for a set that this round makes. */
    rollout->members = arena_array_of(rollout->arena, sets->count + 1, struct member);
    if (!rollout->members)
        return err_set(err, ERR_NO_MEMORY, "deployment");
    for (size_t i = 0; i < sets->count; i++)
        member_set(&rollout->members[rollout->count++], sets->items[i]);
    qsort(rollout->members, rollout->count, sizeof *rollout->members, by_creation);
    for (size_t i = 0; i < rollout->count && !rollout->new_set; i++)
        if (same_template(rollout->arena, &rollout->members[i].set->spec.template, &rollout->deployment->spec.template))
            rollout->new_set = &rollout->members[i];
    return 0;
}

/* -- writing -- */

/* Keeps the object until the end of the round, as slices of it are about. */
static int hold(struct rollout *rollout, struct object *object, struct err *err)
{
    if (vec_push(&rollout->held, object) == 0)
        return 0;
    object_unref(object);
    return err_set(err, ERR_NO_MEMORY, "deployment");
}

static int write_set(struct rollout *rollout, struct member *member, const struct replica_set *set, struct str rule,
                     struct err *err)
{
    struct object *object = NULL;
    int code = rule.data ? client_update(rollout->self->client, &RESOURCE_APPS_REPLICASETS, STR_NULL, set, rule,
                                         rollout->object->revision, &object, err)
                         : err_set(err, ERR_NO_MEMORY, "replica set");

    if (code == 0)
        code = hold(rollout, object, err);
    if (code < 0)
        return code;
    controller_wrote(rollout->self, rollout->key, DEPLOYMENT_SETS, object->revision);
    member_set(member, object);
    return 0;
}

static struct str number_text(struct arena *arena, int64_t number)
{
    return arena_printf(arena, "%lld", (long long)number);
}

static bool is_number(struct str_map annotations, const char *key, int64_t number)
{
    int64_t value;

    return str_to_i64(map_value(annotations, str_from(key)), &value) && value == number;
}

bool set_remembers_other_size(const struct rollout *rollout, const struct member *member)
{
    struct str_map annotations = member->object->meta->annotations;

    return !is_number(annotations, ANNOTATION_DESIRED, rollout->wanted) ||
           !is_number(annotations, ANNOTATION_MAX, (int64_t)rollout->wanted + rollout->surge);
}

static struct str_map with_size(const struct rollout *rollout, struct str_map annotations)
{
    struct arena *arena = rollout->arena;

    annotations = map_with(arena, annotations, STR(ANNOTATION_DESIRED), number_text(arena, rollout->wanted));
    return map_with(arena, annotations, STR(ANNOTATION_MAX),
                    number_text(arena, (int64_t)rollout->wanted + rollout->surge));
}

int rollout_scale(struct rollout *rollout, struct member *member, int32_t replicas, bool *ret_scaled, struct err *err)
{
    struct replica_set set = *member->set;
    int32_t before = member->replicas;
    const char *direction = before < replicas ? "up" : "down";
    struct str name = member->object->meta->name;

    *ret_scaled = false;
    if (before == replicas && !set_remembers_other_size(rollout, member))
        return 0;
    set.spec.replicas = (struct opt_i32){ true, replicas };
    set.metadata.annotations = with_size(rollout, set.metadata.annotations);
    int code = write_set(
        rollout, member, &set,
        arena_printf(rollout->arena, "deployment-controller: scale %s " STR_FMT, direction, STR_ARG(name)), err);

    if (code < 0 || before == replicas)
        return code;
    *ret_scaled = true;
    event_record(rollout->self->options->events, rollout->object, STR_NULL, "Normal", "ScalingReplicaSet",
                 "Scaled %s replica set " STR_FMT " from %d to %d", direction, STR_ARG(name), before, replicas);
    return 0;
}

/* -- annotations of the new set -- */

/* What is the deployment's alone and not copied to its sets. */
static bool is_copied(struct str key)
{
    static const char *const own[] = { "kubectl.kubernetes.io/last-applied-configuration",
                                       ANNOTATION_REVISION,
                                       ANNOTATION_HISTORY,
                                       ANNOTATION_DESIRED,
                                       ANNOTATION_MAX,
                                       "deprecated.deployment.rollback.to" };

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (str_is(key, own[i]))
            return false;
    return true;
}

static struct str_map with_copies(const struct rollout *rollout, struct str_map annotations, bool *ret_changed)
{
    const struct str_map *from = &rollout->object->meta->annotations;

    for (size_t i = 0; i < from->count; i++) {
        struct str present = map_value(annotations, from->items[i].key);

        if (!is_copied(from->items[i].key) || (present.data && str_eq(present, from->items[i].value)))
            continue;
        annotations = map_with(rollout->arena, annotations, from->items[i].key, from->items[i].value);
        *ret_changed = true;
    }
    return annotations;
}

/* "1,3": the revisions that a set had before; the oldest are cut. */
static struct str_map with_history(const struct rollout *rollout, struct str_map annotations, struct str old)
{
    struct str history = map_value(annotations, STR(ANNOTATION_HISTORY));
    struct str text =
        history.len ? arena_printf(rollout->arena, STR_FMT "," STR_FMT, STR_ARG(history), STR_ARG(old)) : old;

    while (text.len > HISTORY_MAX) {
        ssize_t comma = str_chr(text, ',');

        text = comma < 0 ? STR("") : str_skip(text, (size_t)comma + 1);
    }
    return map_with(rollout->arena, annotations, STR(ANNOTATION_HISTORY), text);
}

static int64_t next_revision(const struct rollout *rollout)
{
    int64_t highest = 0;

    for (size_t i = 0; i < rollout->count; i++)
        if (is_old(rollout, &rollout->members[i]))
            highest = MAX(highest, set_revision(&rollout->members[i]));
    return highest < INT64_MAX ? highest + 1 : highest;
}

/* A set that is taken up again, by undoing a rollout, gets a revision higher than all others. */
static struct str_map with_revision(const struct rollout *rollout, struct str_map annotations, int64_t revision,
                                    bool *ret_changed)
{
    struct str old = map_value(annotations, STR(ANNOTATION_REVISION));
    int64_t present = 0;

    if (old.len && !str_to_i64(old, &present))
        return annotations;
    if (present >= revision)
        return annotations;
    *ret_changed = true;
    if (old.len)
        annotations = with_history(rollout, annotations, old);
    return map_with(rollout->arena, annotations, STR(ANNOTATION_REVISION), number_text(rollout->arena, revision));
}

static int update_new_set(struct rollout *rollout, struct err *err)
{
    struct member *member = rollout->new_set;
    struct replica_set set = *member->set;
    int32_t seconds = opt_or(rollout->deployment->spec.min_ready_seconds, 0);
    bool changed = opt_or(set.spec.min_ready_seconds, 0) != seconds;

    set.metadata.annotations = with_copies(rollout, set.metadata.annotations, &changed);
    set.metadata.annotations = with_revision(rollout, set.metadata.annotations, next_revision(rollout), &changed);
    set.spec.min_ready_seconds = (struct opt_i32){ seconds > 0, seconds };
    if (changed) {
        struct str rule = arena_printf(rollout->arena, "deployment-controller: annotate " STR_FMT,
                                       STR_ARG(member->object->meta->name));
        int code = write_set(rollout, member, &set, rule, err);

        if (code < 0)
            return code;
    }
    rollout->revision = map_value(member->object->meta->annotations, STR(ANNOTATION_REVISION));
    if (rollout_has_deadline(rollout) && !condition_reason(rollout, STR("Progressing")).data)
        rollout_set_condition(
            rollout, "Progressing", "True", "FoundNewReplicaSet",
            arena_printf(rollout->arena, "Found new replica set \"" STR_FMT "\"", STR_ARG(member->object->meta->name)));
    return 0;
}

/* -- making the new set -- */

static uint32_t fnv1a(uint32_t hash, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

/* The hash in letters and digits that spell no words. */
static int template_hash(const struct rollout *rollout, char text[HASH_TEXT], struct err *err)
{
    static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    int32_t collisions = opt_or(rollout->collisions, 0);
    int code = view_write(&buf, &TYPE_POD_TEMPLATE_SPEC, &rollout->deployment->spec.template, err);

    if (code < 0)
        return code;
    uint32_t hash = fnv1a(2166136261u, buf.data, buf.len);

    if (rollout->collisions.set)
        hash = fnv1a(hash, &collisions, sizeof collisions);
    snprintf(text, HASH_TEXT, "%u", hash);
    for (char *p = text; *p; p++)
        *p = alphabet[(unsigned char)*p % (sizeof alphabet - 1)];
    return 0;
}

static int build_set(const struct rollout *rollout, struct replica_set *ret_set, struct owner_reference *owner,
                     struct label_selector *selector, struct err *err)
{
    struct arena *arena = rollout->arena;
    const struct deployment_spec *spec = &rollout->deployment->spec;
    int32_t seconds = opt_or(spec->min_ready_seconds, 0);
    char text[HASH_TEXT];
    bool changed;
    int code = template_hash(rollout, text, err);

    if (code == 0)
        code = owner_reference_to(rollout->object, arena, owner, err);
    if (code < 0)
        return code;
    struct str hash = arena_str(arena, str_from(text));
    struct replica_set set = {
        .metadata = { .name = arena_printf(arena, STR_FMT "-%s", STR_ARG(rollout->object->meta->name), text),
                      .namespace = rollout->object->meta->namespace,
                      .owner_references = { owner, 1 } },
        .spec = { .replicas = { true, rollout_new_replicas(rollout, 0) },
                  .min_ready_seconds = { seconds > 0, seconds },
                  .selector = selector,
                  .template = spec->template },
    };

    *selector = *spec->selector;
    selector->match_labels = map_with(arena, selector->match_labels, STR(LABEL_HASH), hash);
    set.spec.template.metadata.labels = map_with(arena, spec->template.metadata.labels, STR(LABEL_HASH), hash);
    set.metadata.labels = set.spec.template.metadata.labels;
    set.metadata.annotations = with_copies(rollout, (struct str_map){ 0 }, &changed);
    set.metadata.annotations = with_revision(rollout, set.metadata.annotations, next_revision(rollout), &changed);
    set.metadata.annotations = with_size(rollout, set.metadata.annotations);
    if (arena_failed(arena))
        return err_set(err, ERR_NO_MEMORY, "replica set");
    *ret_set = set;
    return 0;
}

/* The name is taken: by the very set, which the cache has not shown yet, or by one of another template. */
static int resolve_collision(struct rollout *rollout, const struct replica_set *set, struct object **ret_object,
                             struct err *err)
{
    AUTO(object) object = NULL;
    int code = client_get(rollout->self->client, &RESOURCE_APPS_REPLICASETS, set->metadata.namespace,
                          set->metadata.name, &object, err);

    if (code < 0)
        return code;
    const struct owner_reference *owner = controlling_owner(object);

    if (owner && str_eq(owner->uid, rollout->object->meta->uid) &&
        same_template(rollout->arena, &OBJECT_VIEW(object, replica_set)->spec.template, &set->spec.template)) {
        *ret_object = TAKE(object);
        return 0;
    }
    rollout->collisions = (struct opt_i32){ true, opt_or(rollout->collisions, 0) + 1 };
    return 0;
}

static int report_failure(struct rollout *rollout, const struct replica_set *set, int code, struct err *err)
{
    struct str message = arena_printf(rollout->arena, "Failed to create new replica set \"" STR_FMT "\": %s",
                                      STR_ARG(set->metadata.name), err->message);
    struct err ignored = { 0 };

    if (code == -ERR_CANCELLED || str_find(str_from(err->message), STR("because it is being terminated")) >= 0)
        return code;
    event_record(rollout->self->options->events, rollout->object, STR_NULL, "Warning", "ReplicaSetCreateError", STR_FMT,
                 STR_ARG(message));
    if (rollout_has_deadline(rollout)) {
        rollout_set_condition(rollout, "Progressing", "False", "ReplicaSetCreateError", message);
        rollout_write_status(rollout, false, &ignored);
    }
    return code;
}

static int create_new_set(struct rollout *rollout, struct err *err)
{
    struct owner_reference owner;
    struct label_selector selector;
    struct replica_set set;
    struct object *object = NULL;
    int code = build_set(rollout, &set, &owner, &selector, err);
    bool created;

    if (code < 0)
        return code;
    struct str name = set.metadata.name,
               rule = arena_printf(rollout->arena, "deployment-controller: create " STR_FMT, STR_ARG(name));

    code = client_create(rollout->self->client, &RESOURCE_APPS_REPLICASETS, set.metadata.namespace, &set, rule,
                         rollout->object->revision, &object, err);
    created = code == 0;
    if (code == -ERR_ALREADY_EXISTS)
        code = resolve_collision(rollout, &set, &object, err);
    else if (code < 0)
        return report_failure(rollout, &set, code, err);
    if (code < 0 || !object)
        return code;
    if ((code = hold(rollout, object, err)) < 0)
        return code;
    controller_wrote(rollout->self, rollout->key, DEPLOYMENT_SETS, object->revision);
    rollout->new_set = &rollout->members[rollout->count++];
    member_set(rollout->new_set, object);
    rollout->revision = map_value(object->meta->annotations, STR(ANNOTATION_REVISION));
    if (created && rollout->new_set->replicas > 0)
        event_record(rollout->self->options->events, rollout->object, STR_NULL, "Normal", "ScalingReplicaSet",
                     "Scaled up replica set " STR_FMT " from 0 to %d", STR_ARG(name), rollout->new_set->replicas);
    if (created && rollout_has_deadline(rollout))
        rollout_set_condition(rollout, "Progressing", "True", "NewReplicaSetCreated",
                              arena_printf(rollout->arena, "Created new replica set \"" STR_FMT "\"", STR_ARG(name)));
    return 0;
}

int rollout_sync_new_set(struct rollout *rollout, bool create, struct err *err)
{
    if (rollout->new_set)
        return update_new_set(rollout, err);
    return create ? create_new_set(rollout, err) : 0;
}

/* -- old revisions -- */

static int by_revision(const void *left, const void *right)
{
    const struct member *a = *(struct member *const *)left, *b = *(struct member *const *)right;
    int64_t ar = set_revision(a), br = set_revision(b);

    return ar != br ? (ar < br ? -1 : 1) : (a > b) - (a < b);
}

static bool is_empty(const struct member *member)
{
    const struct object_meta *meta = member->object->meta;

    return member->set->status.replicas == 0 && member->replicas == 0 &&
           opt_or(meta->generation, 0) <= opt_or(member->set->status.observed_generation, 0);
}

int rollout_clean_up(struct rollout *rollout, struct err *err)
{
    struct member **old = arena_array_of(rollout->arena, rollout->count + 1, struct member *);
    struct opt_i32 limit = rollout->deployment->spec.revision_history_limit;
    size_t count = 0, keep = (size_t)MAX(opt_or(limit, 10), 0);
    int code = 0;

    if (!old)
        return err_set(err, ERR_NO_MEMORY, "deployment");
    for (size_t i = 0; i < rollout->count; i++)
        if (is_old(rollout, &rollout->members[i]) && !rollout->members[i].object->meta->deletion_timestamp.set)
            old[count++] = &rollout->members[i];
    qsort(old, count, sizeof *old, by_revision);
    for (size_t i = 0; code == 0 && i + keep < count; i++) {
        const struct object_meta *meta = old[i]->object->meta;
        const struct client_delete_options options = { .uid = meta->uid, .grace_seconds = -1 };

        if (!is_empty(old[i]))
            continue;
        code = client_delete(rollout->self->client, &RESOURCE_APPS_REPLICASETS, meta->namespace, meta->name, &options,
                             STR("deployment-controller: remove old revision"), rollout->object->revision, err);
        if (code == -ERR_NOT_FOUND || code == -ERR_CONFLICT)
            code = 0;
    }
    return code;
}
