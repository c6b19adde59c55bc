#include "kubelet/action.h"
#include "kubelet/internal.h"
#include "kubelet/pod_token.h"

struct pod_state *pod_state_new(struct str key, struct str uid)
{
    AUTO(pod_state) state = calloc(1, sizeof *state);

    if (!state)
        return NULL;
    state->key = str_of(str_dup(key), key.len);
    state->uid = str_of(str_dup(uid), uid.len);
    return state->key.data && state->uid.data ? TAKE(state) : NULL;
}

struct pod_state *pod_state_free(struct pod_state *state)
{
    if (!state)
        return NULL;
    vec_each (&state->containers, memory) {
        hook_unref((*memory)->post_start);
        free((char *)(*memory)->name.data);
        free(*memory);
    }
    vec_deinit(&state->containers);
    vec_each (&state->tokens, token)
        pod_token_free(*token);
    vec_deinit(&state->tokens);
    free((char *)state->key.data);
    free((char *)state->uid.data);
    free(state->status);
    free(state);
    return NULL;
}

struct container_memory *pod_state_container(struct pod_state *state, struct str name)
{
    vec_each (&state->containers, memory)
        if (str_eq((*memory)->name, name))
            return *memory;
    struct container_memory *memory = calloc(1, sizeof *memory);

    if (!memory)
        return NULL;
    memory->name = str_of(str_dup(name), name.len);
    if (!memory->name.data || vec_push(&state->containers, memory) < 0) {
        free((char *)memory->name.data);
        free(memory);
        return NULL;
    }
    return memory;
}
