/* env.h - a container's environment. */
#pragma once

#include "kubelet/internal.h"

struct env {
    VEC(struct oci_pair) vars; /* the pod's own: what $(NAME) finds */
    VEC(struct oci_pair) all;  /* with the image's, which they override */
};

/* envFrom, then env, each able to use $(NAME) of those before it; and the image's variables. ERR_NOT_FOUND when a
 * ConfigMap or Secret or a key of it is missing and not optional: the container waits with CreateContainerConfigError.
 */
int env_build(struct pod_sync *sync, const struct container *container, const struct image *image, struct env *env,
              struct err *err);
void env_deinit(struct env *env);
/* $(NAME) replaced, $$(NAME) gives $(NAME), unknown names stay as they are. In the arena. */
struct str env_expand(struct arena *arena, struct str text, const struct env *env);
