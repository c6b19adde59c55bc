/* custom.c - the one row of rules that all custom resources share: their schemas say the rest. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"
#include "apiserver/server.h"

/* The definition is there and stays: its check joins the transaction, so that nothing is created beside its cleaning
 * up. */
static int transact(struct write *write, struct json *object, const struct json *old, struct err *err)
{
    struct request *request = write->request;
    const struct resource *resource = request->resource;
    struct json *definition = NULL;
    revision_t revision = 0;
    struct str key;
    int code;

    if (old || !object)
        return 0;
    key = arena_printf(request->arena, STR_FMT STR_FMT "." STR_FMT,
                       STR_ARG(RESOURCE_APIEXTENSIONS_K8S_IO_CUSTOMRESOURCEDEFINITIONS.store_prefix),
                       STR_ARG(resource->plural), STR_ARG(resource->group));
    if ((code = write_read(write, key, &definition, NULL, &revision, err)) < 0)
        return code;
    if (!definition)
        return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
    if (json_at(definition, "metadata.deletionTimestamp"))
        return err_set(err, ERR_METHOD_NOT_ALLOWED,
                       "create not allowed while custom resource definition is terminating");
    return write_op(write, STORE_CHECK, key, STR_NULL, STORE_NO_SPLICE, revision, err);
}

const struct rules custom_rules = {
    .transact = transact,
};
