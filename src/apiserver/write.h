/* write.h - one write on its way: planned against a snapshot, committed, and planned again when something else came
 * first.
 *
 * plan() reads, decides and fills in operations; nothing is written before the commit, which compares the revisions
 * that plan() saw. So a write is right whatever runs beside it, without a lock. Blocking callers use write_run(); the
 * HTTP side lets the store's group commit finish it: write_start(). */
#pragma once

#include "apiserver/request.h"
#include "apiserver/splice.h"
#include "store/store.h"

#define WRITE_DONE 1 /* from plan(): nothing to commit, the reply is set */

struct write {
    struct request *request;
    int (*plan)(struct write *write, struct err *err);
    int (*finish)(struct write *write,
                  struct err *err); /* committed: set the reply; NULL: the main object, status 200 */
    int (*conflict)(struct write *write, struct err *err); /* 0: plan again; negative: give up with that error */
    int attempts, max_attempts;
    bool generated;      /* the name was drawn by us */
    bool followed;       /* rules.committed is called on a thread that may block */
    bool strict;         /* the caller named a resourceVersion */
    struct str ns, name; /* of the object */
    int status;          /* of the reply */

    struct store_op *ops;
    size_t count, cap, main_op; /* main_op: the object itself */
    struct spliced text;        /* of the main object */
    revision_t shown;           /* a dry run shows this resourceVersion; 0: none */
    struct store_txn txn;
    struct store_sync sync; /* before it is planned again */
    void (*done)(struct write *write);
    void *done_arg;

    /* update and patch */
    int (*make)(struct write *write, const struct json *old, struct json **ret_object, struct err *err);
    const struct type *patch_type;
    struct json *managed; /* apply: managedFields of the new state */
    /* delete */
    struct json *options;
    int (*touch)(struct write *write, struct json *object, struct err *err); /* when it begins; NULL: nothing more */
    bool removed;
    struct str uid;
};

/* In the request's arena; NULL without memory. */
struct write *write_new(struct request *request, int (*plan)(struct write *, struct err *));
/* One more operation of the transaction. */
int write_op(struct write *write, enum store_op_kind kind, struct str key, struct str value, uint32_t splice,
             revision_t expect, struct err *err);
/* Canonical text of the object as the main operation. */
int write_object(struct write *write, enum store_op_kind kind, struct json *object, revision_t expect, struct err *err);
/* The object under key in a fresh snapshot (of request->as_of), as a tree. *ret_object NULL: absent. What an earlier write of the same
 * transaction makes of it counts first (*ret_revision: STORE_ANY). */
int write_read(struct write *write, struct str key, struct json **ret_object, struct str *ret_text,
               revision_t *ret_revision, struct err *err);

/* Parts of write_run(), for those who commit several writes at once (batch.c). After the commit, whose values are in
 * txn.result: the reply. For a dry run the same without a commit. Then what is left of the values goes. */
int write_finish(struct write *write, struct err *err);
int write_finish_dry_run(struct write *write, struct err *err);
void write_release(struct write *write);

/* Until it is done; blocks. */
int write_run(struct write *write, struct err *err);
/* Plans now, on this thread; commits without blocking; done() comes on any thread when the request has its reply. */
void write_start(struct write *write, void (*done)(struct write *write), void *arg);

/* What a verb is. */
int create_new(struct request *request, struct write **ret_write, struct err *err);
int update_new(struct request *request, struct write **ret_write, struct err *err);
int patch_new(struct request *request, struct write **ret_write, struct err *err);
int delete_new(struct request *request, struct str ns, struct str name, struct json *options, struct write **ret_write,
               struct err *err);
int binding_new(struct request *request, struct write **ret_write, struct err *err);
int eviction_new(struct request *request, struct write **ret_write, struct err *err);
int scale_new(struct request *request, struct write **ret_write, struct err *err);
int finalize_new(struct request *request, struct write **ret_write, struct err *err);

/* Parts that the verbs share. */
/* The namespace is there and stays; its check joins the transaction. */
int write_check_namespace(struct write *write, struct err *err);
int create_plan_object(struct write *write, struct json *object, struct err *err);
int update_plan(struct write *write, struct err *err);
int delete_plan(struct write *write, struct err *err);
/* finish(): a Status that says that it was created. */
int answer_created(struct write *write, struct err *err);
/* From the version asked for into the storage version. */
int write_to_storage(struct write *write, struct json *object, struct err *err);
int write_admit(struct write *write, struct json *object, const struct json *old, struct err *err);
/* The object's own canonical member order again, after defaults and admission. */
int write_canonical(struct write *write, struct json *object, struct err *err);
