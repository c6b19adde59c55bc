/* deployment.h - one reconcile of a Deployment, as its files hand it to one another. Only for
 * controllers/deployment*.c.
 *
 * deployment.c decides, deployment_sets.c finds, makes and scales replica sets, deployment_status.c says how it is. */
#pragma once

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "base/vec.h"
#include "controllers/controller.h"

enum { DEPLOYMENT_ROW, DEPLOYMENT_SETS, DEPLOYMENT_PODS };

#define ANNOTATION_REVISION "deployment.kubernetes.io/revision"
#define ANNOTATION_HISTORY "deployment.kubernetes.io/revision-history"
#define ANNOTATION_DESIRED "deployment.kubernetes.io/desired-replicas"
#define ANNOTATION_MAX "deployment.kubernetes.io/max-replicas"
#define LABEL_HASH "pod-template-hash"

/* A replica set of the deployment as it now is: what this reconcile writes shows here at once. */
struct member {
    struct object *object;
    const struct replica_set *set;
    int32_t replicas; /* wanted */
};

struct rollout {
    struct controller *self;
    struct arena *arena;
    struct str key;
    const struct object *object;
    const struct deployment *deployment;
    int32_t wanted, surge, unavailable; /* resolved; both 0 when it recreates */
    bool recreates;
    nsec_t now;

    struct member *members; /* oldest first */
    size_t count;
    struct member *new_set;    /* in members, or NULL */
    VEC(struct object *) held; /* one reference each, until the end */

    struct deployment_condition *conditions; /* room for two more than it has */
    size_t condition_count;
    struct opt_i32 collisions;
    struct str revision; /* its own, to be annotated */
};

/* -- deployment_sets.c -- */

/* members gets the sets (borrowed) in order, new_set is looked for. */
int rollout_take_sets(struct rollout *rollout, const struct object_list *sets, struct err *err);
/* Brings revisions and annotations of the new set up to date; makes the set when it is absent and `create` says so.
 * Leaves new_set NULL when its name was taken: the collision is counted, and the status must be written. */
int rollout_sync_new_set(struct rollout *rollout, bool create, struct err *err);
/* Writes how many replicas the set shall have, if that or what it remembers of the deployment's size differs. */
int rollout_scale(struct rollout *rollout, struct member *member, int32_t replicas, bool *ret_scaled, struct err *err);
/* Removes old sets beyond the limit of revisions. */
int rollout_clean_up(struct rollout *rollout, struct err *err);

int64_t set_revision(const struct member *member);
int32_t set_available(const struct member *member);
bool set_remembers_other_size(const struct rollout *rollout, const struct member *member);
int32_t rollout_replicas(const struct rollout *rollout); /* wanted of all its sets */
/* How many a set that is to become `size` of the new template may have now. */
int32_t rollout_new_replicas(const struct rollout *rollout, int32_t present);
/* "25%" or 1 of total. */
int32_t resolve_share(struct int_or_string share, int32_t total, bool round_up);

/* -- deployment_status.c -- */

struct str condition_reason(const struct rollout *rollout, struct str type); /* STR_NULL: there is none */
void rollout_set_condition(struct rollout *rollout, const char *type, const char *status, const char *reason,
                           struct str message);
bool rollout_has_deadline(const struct rollout *rollout);
void rollout_note_pause(struct rollout *rollout);
bool rollout_is_complete(const struct rollout *rollout);
/* Writes the status if it says something new, and sees to being called when the deadline passes. judge: progress is
 * judged (not while paused or being scaled). */
int rollout_write_status(struct rollout *rollout, bool judge, struct err *err);

static inline bool is_old(const struct rollout *rollout, const struct member *member)
{
    return member != rollout->new_set;
}
