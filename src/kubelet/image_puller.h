/* image_puller.h - gets images for containers in the background, with Kubernetes' pull policies and back-off. */
#pragma once

#include "kubelet/internal.h"

int puller_new(struct kubelet *kubelet, struct puller **ret_puller, struct err *err);
struct puller *puller_free(struct puller *puller); /* cancels pulls under way: the image store pulls no more */

/* The image for the next start of that container. 0: *ret_image (one reference). 1: it is being pulled or waits for its
 * next try; the slot's memory says why, and the pod is woken when that changes. */
int puller_get(struct puller *puller, struct pod_sync *sync, struct container_slot *slot, struct image **ret_image,
               struct err *err);
void puller_forget(struct puller *puller, struct str pod_uid);
