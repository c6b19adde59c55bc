#include "kubelet/env.h"

#include "kubelet/field_ref.h"
#include "kubelet/source.h"

static int env_set(struct env *env, struct str name, struct str value)
{
    vec_each (&env->vars, var) {
        if (!str_eq(var->name, name))
            continue;
        var->value = value;
        return 0;
    }
    return vec_push(&env->vars, ((struct oci_pair){ name, value }));
}

static const struct str *env_get(const struct env *env, struct str name)
{
    vec_each (&env->vars, var)
        if (str_eq(var->name, name))
            return &var->value;
    return NULL;
}

/* What is not known is copied as it is, up to its bracket. */
struct str env_expand(struct arena *arena, struct str text, const struct env *env)
{
    struct buf buf = BUF_INIT;

    if (str_chr(text, '$') < 0)
        return text;
    for (size_t i = 0; i < text.len; i++) {
        struct str rest = str_skip(text, i);
        ssize_t close = str_has_prefix(rest, STR("$(")) ? str_chr(rest, ')') : -1;

        if (close < 0) {
            buf_add_char(&buf, text.data[i]);
            i += str_has_prefix(rest, STR("$$"));
            continue;
        }
        const struct str *value = env_get(env, str_of(rest.data + 2, (size_t)close - 2));

        buf_add_str(&buf, value ? *value : str_first(rest, (size_t)close + 1));
        i += (size_t)close;
    }
    struct str result = buf_ok(&buf) ? arena_str(arena, buf_str(&buf)) : STR_NULL;

    buf_deinit(&buf);
    return result;
}

/* *ret_data is NULL when it is absent and optional. */
static int fetch(struct pod_sync *sync, enum source_kind kind, struct str name, bool optional,
                 const struct str_map **ret_data, struct err *err)
{
    const struct object *object;
    int code = source_get(sync, kind, name, optional, &object, err);

    if (code < 0)
        return code;
    *ret_data = object ? source_data(object) : NULL;
    return 0;
}

static int add_key(struct pod_sync *sync, struct env *env, struct str var, enum source_kind kind, struct str name,
                   struct str key, bool optional, struct err *err)
{
    const struct str_map *data;
    int code = fetch(sync, kind, name, optional, &data, err);

    if (code < 0)
        return code;
    for (size_t i = 0; data && i < data->count; i++)
        if (str_eq(data->items[i].key, key))
            return env_set(env, var, data->items[i].value) < 0 ? err_set(err, ERR_NO_MEMORY, "environment") : 0;
    if (optional)
        return 0;
    return err_set(err, ERR_NOT_FOUND, "couldn't find key " STR_FMT " in " STR_FMT " " STR_FMT "/" STR_FMT,
                   STR_ARG(key), STR_ARG(kind == SOURCE_SECRET ? STR("Secret") : STR("ConfigMap")),
                   STR_ARG(sync->object->meta->namespace), STR_ARG(name));
}

static int add_all(struct pod_sync *sync, struct env *env, struct str prefix, enum source_kind kind, struct str name,
                   bool optional, struct err *err)
{
    const struct str_map *data;
    int code = fetch(sync, kind, name, optional, &data, err);

    for (size_t i = 0; code == 0 && data && i < data->count; i++) {
        struct str var = prefix.len
                             ? arena_printf(sync->arena, STR_FMT STR_FMT, STR_ARG(prefix), STR_ARG(data->items[i].key))
                             : data->items[i].key;

        if (!var.data || env_set(env, var, data->items[i].value) < 0)
            code = err_set(err, ERR_NO_MEMORY, "environment");
    }
    return code;
}

static int add_from(struct pod_sync *sync, const struct container *container, struct env *env, struct err *err)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < container->env_from.count; i++) {
        const struct env_from_source *from = &container->env_from.items[i];

        if (from->config_map_ref)
            code = add_all(sync, env, from->prefix, SOURCE_CONFIG_MAP, from->config_map_ref->name,
                           opt_or(from->config_map_ref->optional, false), err);
        if (code == 0 && from->secret_ref)
            code = add_all(sync, env, from->prefix, SOURCE_SECRET, from->secret_ref->name,
                           opt_or(from->secret_ref->optional, false), err);
    }
    return code;
}

static int add_one(struct pod_sync *sync, const struct container *container, const struct env_var *var, struct env *env,
                   struct err *err)
{
    const struct env_var_source *from = var->value_from;
    struct str value = STR("");
    int code = 0;

    if (from && from->config_map_key_ref)
        return add_key(sync, env, var->name, SOURCE_CONFIG_MAP, from->config_map_key_ref->name,
                       from->config_map_key_ref->key, opt_or(from->config_map_key_ref->optional, false), err);
    if (from && from->secret_key_ref)
        return add_key(sync, env, var->name, SOURCE_SECRET, from->secret_key_ref->name, from->secret_key_ref->key,
                       opt_or(from->secret_key_ref->optional, false), err);
    if (from && from->field_ref)
        code = field_ref_value(sync, from->field_ref->field_path, &value, err);
    else if (from && from->resource_field_ref)
        code = resource_ref_value(sync, container, from->resource_field_ref, &value, err);
    else if (var->value.data)
        value = env_expand(sync->arena, var->value, env);
    if (code < 0)
        return code;
    return !value.data || env_set(env, var->name, value) < 0 ? err_set(err, ERR_NO_MEMORY, "environment") : 0;
}

static int push(struct env *env, struct str name, struct str value, struct err *err)
{
    return vec_push(&env->all, ((struct oci_pair){ name, value })) < 0 ? err_set(err, ERR_NO_MEMORY, "environment") : 0;
}

/* The image's variables that the pod does not set, then the pod's. */
static int merge(const struct image *image, struct env *env, struct err *err)
{
    bool path = env_get(env, STR("PATH")) != NULL;
    int code = 0;

    for (size_t i = 0; code == 0 && i < image->config.env.count; i++) {
        struct str pair = image->config.env.items[i], name;
        ssize_t equals = str_chr(pair, '=');

        if (equals <= 0 || env_get(env, name = str_first(pair, (size_t)equals)))
            continue;
        path |= str_is(name, "PATH");
        code = push(env, name, str_skip(pair, (size_t)equals + 1), err);
    }
    if (code == 0 && !path)
        code = push(env, STR("PATH"), STR("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), err);
    for (size_t i = 0; code == 0 && i < env->vars.count; i++)
        code = push(env, env->vars.items[i].name, env->vars.items[i].value, err);
    return code;
}

int env_build(struct pod_sync *sync, const struct container *container, const struct image *image, struct env *env,
              struct err *err)
{
    int code = add_from(sync, container, env, err);

    for (size_t i = 0; code == 0 && i < container->env.count; i++)
        code = add_one(sync, container, &container->env.items[i], env, err);
    return code == 0 ? merge(image, env, err) : code;
}

void env_deinit(struct env *env)
{
    vec_deinit(&env->vars);
    vec_deinit(&env->all);
}
