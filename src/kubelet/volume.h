/* volume.h - the volumes of a pod: emptyDir, hostPath, configMap, secret, downwardAPI, projected. Others:
 * ERR_NOT_SUPPORTED. */
#pragma once

#include "kubelet/internal.h"

/* Makes what is missing and brings configMaps, secrets and downward API files up to date. The first failure is told. */
int volumes_mount(struct pod_sync *sync, struct err *err);
/* Takes all mounts below the pod's folder away but for root file systems; for pods that the API has forgotten too. */
int volumes_unmount(struct arena *arena, const char *pod_folder, struct err *err);
/* Where the volume is on the host, in the arena; ERR_NOT_FOUND for a name that the pod does not have. */
int volume_path(struct pod_sync *sync, struct str name, char **ret_path, struct err *err);
/* Binds subPath (already expanded) of the volume's folder at the path pin, which is made, in place of what is there:
 * the subPath is found beneath the volume, links not followed out of it, and made as a folder when absent. */
int volume_pin(const char *volume, struct str sub_path, const char *pin, struct err *err);
bool volume_is_read_only(const struct volume *volume); /* configMap, secret, downwardAPI, projected */
const struct volume *volume_find(const struct pod *pod, struct str name);
