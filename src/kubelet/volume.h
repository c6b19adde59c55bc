/* volume.h - the volumes of a pod: emptyDir, hostPath, configMap, secret, downwardAPI, projected. Others: ERR_NOT_SUPPORTED. */
#pragma once

#include "kubelet/internal.h"

/* Makes what is missing and brings configMaps, secrets and downward API files up to date. */
int volumes_mount(struct pod_sync *sync, struct err *err);
/* By the pod's folder alone, for pods that the API has forgotten. */
int volumes_unmount(struct arena *arena, const char *pod_folder, struct err *err);
/* Where the volume is on the host, in the arena; ERR_NOT_FOUND for a name that the pod does not have. */
int volume_path(struct pod_sync *sync, struct str name, char **ret_path, struct err *err);
/* The same for a mount with its subPath (already expanded): beneath the volume, links not followed out of it; made as a folder when absent. */
int volume_sub_path(struct pod_sync *sync, const char *volume, struct str sub_path, char **ret_path, struct err *err);
bool volume_is_read_only(const struct volume *volume); /* configMap, secret, downwardAPI, projected */
const struct volume *volume_find(const struct pod *pod, struct str name);
