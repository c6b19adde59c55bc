#include "model.h"

const struct version *model_change(const struct model *model, int key, revision_t revision)
{
    for (size_t i = model->versions.count; i > 0; i--) {
        const struct version *version = &model->versions.items[i - 1];

        if (version->key == key && version->revision <= revision)
            return version;
    }
    return NULL;
}

const struct version *model_state(const struct model *model, int key, revision_t revision)
{
    const struct version *version = model_change(model, key, revision);

    return version && !version->deleted ? version : NULL;
}

revision_t model_newest(const struct model *model)
{
    return model->txns.count ? model->txns.items[model->txns.count - 1]->revision : 0;
}

const struct row *model_txn(const struct model *model, revision_t revision)
{
    for (size_t i = model->txns.count; i > 0; i--)
        if (model->txns.items[i - 1]->revision <= revision)
            return model->txns.items[i - 1];
    return NULL;
}

static int apply_op(struct model *model, const struct row *txn, const struct planned_op *op, revision_t revision)
{
    const struct version *last = model_change(model, op->key, revision);
    const struct version *before = last && !last->deleted ? last : NULL;

    if (op->kind == STORE_CHECK || (op->kind == STORE_DELETE && !before))
        return 0;
    struct version version = {
        .revision = revision,
        .created = before ? before->created : revision,
        .previous = before ? before->revision : 0,
        .previous_any = last ? last->revision : 0,
        .key = op->key,
        .deleted = op->kind == STORE_DELETE,
        .value = { op->number, op->splice ? revision : 0 },
        .previous_value = before ? before->value : (struct seen){ 0 },
        .terms = op->kind == STORE_PUT ? op->terms : 0,
        .terms_before = before ? before->terms : 0,
        .txn = txn,
    };
    return vec_push(&model->versions, version);
}

int model_apply(struct model *model, const struct row *txn)
{
    if (vec_push(&model->txns, txn) < 0)
        return -1;
    for (size_t i = 0; i < txn->txn.ops_count; i++)
        if (apply_op(model, txn, &txn->txn.ops[i], txn->revision) < 0)
            return -1;
    return 0;
}

void model_deinit(struct model *model)
{
    vec_deinit(&model->versions);
    vec_deinit(&model->txns);
}
