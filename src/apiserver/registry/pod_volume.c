/* pod_volume.c - volumes of a pod: exactly one source each, and what the sources ask for beyond the table. */
#include "apiserver/registry/pod_check.h"
#include "schema/quantity.h"

void volume_source_check(struct causes *causes, const struct path *at, const struct json *holder,
                         const struct volume_source *sources, size_t count)
{
    bool found = false;

    for (size_t i = 0; i < count; i++) {
        const struct json *source = json_get(holder, str_from(sources[i].member));
        struct path here = path_member(at, str_from(sources[i].member));

        if (!source)
            continue;
        if (found)
            cause_forbidden(causes, &here, "may not specify more than 1 volume type");
        else if (sources[i].check)
            sources[i].check(causes, &here, source);
        found = true;
    }
    if (!found)
        cause_required(causes, at, "must specify a volume type");
}

/* -- sources -- */

static void emptydir_check(struct causes *causes, const struct path *at, const struct json *source)
{
    struct quantity limit;

    if (quantity_parse(text_in(source, "sizeLimit"), &limit) && limit.nano < 0)
        cause_forbidden(causes, AT(at, "sizeLimit"), "SizeLimit field must be a valid resource quantity");
}

void hostpath_check(struct causes *causes, const struct path *at, const struct json *source)
{
    check_no_backsteps(causes, AT(at, "path"), text_in(source, "path"));
}

static void gitrepo_check(struct causes *causes, const struct path *at, const struct json *source)
{
    check_local_path(causes, AT(at, "directory"), text_in(source, "directory"));
}

void nfs_check(struct causes *causes, const struct path *at, const struct json *source)
{
    struct str path = text_in(source, "path");

    if (!str_has_prefix(path, STR("/")))
        cause_invalid_str(causes, AT(at, "path"), path, "must be an absolute path");
}

void fc_check(struct causes *causes, const struct path *at, const struct json *source)
{
    uint32_t names = items_of(json_member(source, "targetWWNs")), ids = items_of(json_member(source, "wwids"));
    const struct json *lun = json_member(source, "lun");

    if (!names && !ids)
        cause_required(causes, AT(at, "targetWWNs"), "must specify either targetWWNs or wwids, but not both");
    if (names && ids)
        cause_invalid(causes, AT(at, "targetWWNs"), json_member(source, "targetWWNs"),
                      "targetWWNs and wwids can not be specified simultaneously");
    if (names && !lun)
        cause_required(causes, AT(at, "lun"), "lun is required if targetWWNs is specified");
    else if (names && (json_int(lun, 0) < 0 || json_int(lun, 0) > 255))
        cause_invalid(causes, AT(at, "lun"), lun, "must be between 0 and 255, inclusive");
}

void flocker_check(struct causes *causes, const struct path *at, const struct json *source)
{
    struct str name = text_in(source, "datasetName"), id = text_in(source, "datasetUUID");

    if (str_empty(name) && str_empty(id))
        cause_required(causes, at, "one of datasetName and datasetUUID is required");
    if (!str_empty(name) && !str_empty(id))
        cause_invalid_str(causes, at, STR("resource"), "datasetName and datasetUUID can not be specified simultaneously");
    if (str_chr(name, '/') >= 0)
        cause_invalid_str(causes, AT(at, "datasetName"), name, "must not contain '/'");
}

static bool is_reserved_domain(struct str key)
{
    ssize_t slash = str_chr(key, '/');
    struct str domain = slash < 0 ? key : str_first(key, (size_t)slash);
    static const char *const reserved[] = { "kubernetes.io", "k8s.io" };

    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        struct str suffix = str_from(reserved[i]);

        if (domain.len >= suffix.len && str_eq_nocase(str_skip(domain, domain.len - suffix.len), suffix) &&
            (domain.len == suffix.len || domain.data[domain.len - suffix.len - 1] == '.'))
            return true;
    }
    return false;
}

void flex_check(struct causes *causes, const struct path *at, const struct json *source)
{
    const struct json *options = json_member(source, "options");

    for (uint32_t i = 0; i < members_of(options); i++)
        if (is_reserved_domain(options->members[i].key))
            cause_invalid_str(causes, KEYED(AT(at, "options"), options->members[i].key), options->members[i].key,
                              "kubernetes.io and k8s.io namespaces are reserved");
}

static void check_initiator(struct causes *causes, const struct path *at, struct str name)
{
    bool iqn = str_has_prefix(name, STR("iqn")), eui = str_has_prefix(name, STR("eui"));
    bool naa = str_has_prefix(name, STR("naa"));

    if (!iqn && !eui && !naa)
        cause_invalid_str(causes, at, name, "must be valid format starting with iqn, eui, or naa");
    else if ((iqn && (name.len < 13 || name.data[3] != '.' || name.data[8] != '-' || name.data[11] != '.')) ||
             (eui && name.len != 20) || (naa && name.len != 36))
        cause_invalid_str(causes, at, name, "must be valid format");
}

void iscsi_check(struct causes *causes, const struct path *at, const struct json *source)
{
    const struct json *initiator = json_member(source, "initiatorName");
    bool chap = json_bool(json_member(source, "chapAuthDiscovery"), false) ||
                json_bool(json_member(source, "chapAuthSession"), false);

    if (!str_empty(text_in(source, "iqn")))
        check_initiator(causes, AT(at, "iqn"), text_in(source, "iqn"));
    if (chap && !json_member(source, "secretRef"))
        cause_required(causes, AT(at, "secretRef"), "");
    if (initiator)
        check_initiator(causes, AT(at, "initiatorname"), json_str(initiator));
}

void azure_disk_check(struct causes *causes, const struct path *at, const struct json *source)
{
    static const char *const managed[] = {
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}", NULL
    };
    static const char *const blob[] = { "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
                                        NULL };
    struct str kind = text_in(source, "kind"), uri = text_in(source, "diskURI");

    if (str_is(kind, "Managed") && !str_has_prefix(uri, STR("/subscriptions/")))
        cause_not_supported(causes, AT(at, "diskURI"), uri, managed);
    else if (!str_is(kind, "Managed") && !str_has_prefix(uri, STR("https://")))
        cause_not_supported(causes, AT(at, "diskURI"), uri, blob);
}

static void cinder_check(struct causes *causes, const struct path *at, const struct json *source)
{
    const struct json *ref = json_member(source, "secretRef");

    if (ref && str_empty(text_in(ref, "name")))
        cause_required(causes, AT(AT(at, "secretRef"), "name"), "");
}

static void config_check(struct causes *causes, const struct path *at, const struct json *source, const char *name)
{
    const struct json *items = json_member(source, "items");

    if (str_empty(text_in(source, name)))
        cause_required(causes, AT_STR(at, str_from(name)), "");
    for (uint32_t i = 0; i < items_of(items); i++)
        check_local_open_path(causes, AT(NTH(AT(at, "items"), i), "path"), text_in(&items->items[i], "path"));
}

static void secret_check(struct causes *causes, const struct path *at, const struct json *source)
{
    config_check(causes, at, source, "secretName");
}

static void configmap_check(struct causes *causes, const struct path *at, const struct json *source)
{
    config_check(causes, at, source, "name");
}

/* Errors of a file name the list's owner, as Kubernetes does. */
static void fact_file_check(struct causes *causes, const struct path *at, const struct json *file)
{
    const struct json *field = json_member(file, "fieldRef"), *resource = json_member(file, "resourceFieldRef");
    const struct json *mode = json_member(file, "mode");

    if (str_empty(text_in(file, "path")))
        cause_required(causes, AT(at, "path"), "");
    check_local_open_path(causes, AT(at, "path"), text_in(file, "path"));
    if (field)
        field_ref_check(causes, AT(at, "fieldRef"), field, true);
    if (field && resource)
        cause_invalid_str(causes, at, STR("resource"),
                          "fieldRef and resourceFieldRef can not be specified simultaneously");
    else if (resource)
        resource_ref_check(causes, AT(at, "resourceFieldRef"), resource, true);
    else if (!field)
        cause_required(causes, at, "one of fieldRef and resourceFieldRef is required");
    if (mode && (json_int(mode, 0) < 0 || json_int(mode, 0) > 0777))
        cause_invalid(causes, AT(at, "mode"), mode, "must be a number between 0 and 0777 (octal), both inclusive");
}

static void facts_check(struct causes *causes, const struct path *at, const struct json *source)
{
    const struct json *items = json_member(source, "items");

    for (uint32_t i = 0; i < items_of(items); i++)
        fact_file_check(causes, at, &items->items[i]);
}

static void token_check(struct causes *causes, const struct path *projected, const struct path *at,
                        const struct json *token)
{
    const struct json *seconds = json_member(token, "expirationSeconds");
    int64_t value = json_int(seconds, 3600);
    struct str path = text_in(token, "path");

    if (value < 600)
        cause_invalid(causes, AT(at, "expirationSeconds"), seconds, "may not specify a duration less than 10 minutes");
    if (value > (INT64_C(1) << 32))
        cause_invalid(causes, AT(at, "expirationSeconds"), seconds,
                      "may not specify a duration larger than 2^32 seconds");
    if (str_empty(path))
        cause_required(causes, AT(projected, "path"), "");
    else
        check_local_open_path(causes, AT(projected, "path"), path);
}

/* Whether a file before sources[s].member.items[i] has the same path. */
static bool path_taken(const struct json *sources, uint32_t s, size_t kind, uint32_t index, struct str path)
{
    static const char *const kinds[] = { "secret", "configMap", "downwardAPI" };

    for (uint32_t i = 0; i <= s; i++)
        for (size_t k = 0; k < ARRAY_LEN(kinds) && (i < s || k <= kind); k++) {
            const struct json *items = json_member(json_get(&sources->items[i], str_from(kinds[k])), "items");

            for (uint32_t j = 0; j < items_of(items) && (i < s || k < kind || j < index); j++)
                if (str_eq(text_in(&items->items[j], "path"), path))
                    return true;
        }
    return false;
}

static void check_projected_paths(struct causes *causes, const struct path *at, const struct json *sources, uint32_t s)
{
    static const char *const kinds[] = { "secret", "configMap", "downwardAPI" };

    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        const struct json *source = json_get(&sources->items[s], str_from(kinds[k]));
        const struct json *items = json_member(source, "items");

        for (uint32_t i = 0; i < items_of(items); i++) {
            struct str path = text_in(&items->items[i], "path");

            if (!str_empty(path) && path_taken(sources, s, k, i, path))
                cause_invalid_str(causes, at, k == 2 ? path : text_in(source, "name"), "conflicting duplicate paths");
        }
    }
}

static void projected_check(struct causes *causes, const struct path *at, const struct json *source)
{
    const struct json *sources = json_member(source, "sources");

    for (uint32_t i = 0; i < items_of(sources); i++) {
        const struct json *one = &sources->items[i], *token = json_member(one, "serviceAccountToken");
        const struct json *secret = json_member(one, "secret"), *map = json_member(one, "configMap");
        const struct json *facts = json_member(one, "downwardAPI");
        struct path *here = NTH(AT(at, "sources"), i);

        if (secret)
            config_check(causes, AT(here, "secret"), secret, "name");
        if (map)
            config_check(causes, AT(here, "configMap"), map, "name");
        if (facts)
            facts_check(causes, AT(here, "downwardAPI"), facts);
        if (token)
            token_check(causes, at, AT(here, "serviceAccountToken"), token);
        check_projected_paths(causes, at, sources, i);
        if (!!secret + !!map + !!facts + !!token + !!json_member(one, "clusterTrustBundle") > 1)
            cause_forbidden(causes, here, "may not specify more than 1 volume type per source");
    }
}

void csi_driver_check(struct causes *causes, const struct path *at, struct str driver)
{
    const char *problems[FORMAT_PROBLEMS_MAX];
    AUTO_FREE char *lower = NULL;
    size_t count;

    if (str_empty(driver))
        return;
    if (driver.len > 63)
        cause_too_long(causes, at, 63);
    lower = str_dup(driver);
    for (size_t i = 0; lower && i < driver.len; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] - 'A' + 'a');
    count = lower ? format_problems(FORMAT_SUBDOMAIN, str_of(lower, driver.len), problems) : 0;
    for (size_t i = 0; i < count; i++)
        cause_invalid_str(causes, at, driver, problems[i]);
}

static void csi_check(struct causes *causes, const struct path *at, const struct json *source)
{
    const struct json *ref = json_member(source, "nodePublishSecretRef");

    csi_driver_check(causes, AT(at, "driver"), text_in(source, "driver"));
    if (ref && str_empty(text_in(ref, "name")))
        cause_required(causes, AT(AT(at, "nodePublishSecretRef"), "name"), "");
}

static void ephemeral_check(struct causes *causes, const struct path *at, const struct json *source)
{
    const struct json *template = json_member(source, "volumeClaimTemplate");

    if (!template)
        cause_required(causes, AT(at, "volumeClaimTemplate"), "");
    else
        claim_spec_check(causes, AT(AT(at, "volumeClaimTemplate"), "spec"), json_member(template, "spec"));
}

static void image_check(struct causes *causes, const struct path *at, const struct json *source)
{
    if (str_empty(text_in(source, "reference")))
        cause_required(causes, AT(at, "reference"), "");
}

/* In the order in which one is taken for the volume's and others are too many. */
static const struct volume_source sources[] = {
    { "emptyDir", emptydir_check },   { "hostPath", hostpath_check },    { "gitRepo", gitrepo_check },
    { "gcePersistentDisk", NULL },    { "awsElasticBlockStore", NULL },  { "secret", secret_check },
    { "nfs", nfs_check },             { "iscsi", iscsi_check },          { "glusterfs", NULL },
    { "flocker", flocker_check },     { "persistentVolumeClaim", NULL }, { "rbd", NULL },
    { "cinder", cinder_check },       { "cephfs", NULL },                { "quobyte", NULL },
    { "downwardAPI", facts_check },   { "fc", fc_check },                { "flexVolume", flex_check },
    { "configMap", configmap_check }, { "azureFile", NULL },             { "vsphereVolume", NULL },
    { "photonPersistentDisk", NULL }, { "portworxVolume", NULL },        { "azureDisk", azure_disk_check },
    { "storageos", NULL },            { "projected", projected_check },  { "scaleIO", NULL },
    { "csi", csi_check },             { "ephemeral", ephemeral_check },  { "image", image_check },
};

/* -- volumes -- */

/* The claim that an ephemeral volume gets is named after pod and volume. */
static void check_claim_names(const struct pod_check *check, const struct path *at, const struct json *volumes,
                              uint32_t index)
{
    struct str claim = json_str_at(&volumes->items[index], "persistentVolumeClaim.claimName");
    struct str pod = text_in(check->meta, "name");

    if (str_empty(claim) || str_empty(pod) || !str_has_prefix(claim, pod) || claim.len <= pod.len + 1 ||
        claim.data[pod.len] != '-')
        return;
    for (uint32_t i = 0; i < volumes->count; i++)
        if (json_member(&volumes->items[i], "ephemeral") &&
            str_eq(text_in(&volumes->items[i], "name"), str_skip(claim, pod.len + 1)))
            cause_invalid_str(check->causes, AT(AT(at, "persistentVolumeClaim"), "claimName"), claim,
                              "must not reference a PVC that gets created for an ephemeral volume");
}

void pod_volumes_check(const struct pod_check *check)
{
    const struct json *volumes = json_member(check->spec, "volumes");
    struct path *at = AT(check->at, "volumes");

    for (uint32_t i = 0; i < items_of(volumes); i++) {
        struct path here = path_index(at, i);

        volume_source_check(check->causes, &here, &volumes->items[i], sources, ARRAY_LEN(sources));
        if (text_seen_before(volumes, i, "name"))
            cause_duplicate_str(check->causes, AT(&here, "name"), text_in(&volumes->items[i], "name"));
        check_claim_names(check, &here, volumes, i);
    }
}

static bool has_cause(const struct causes *causes, const struct path *path)
{
    char text[PATH_TEXT_MAX];
    struct str prefix;

    if (!causes->count)
        return false;
    prefix = path_text(path, PATH_VALIDATION, text);
    for (size_t i = 0; i < causes->count; i++)
        if (str_has_prefix(causes->items[i].field, prefix))
            return true;
    return false;
}

const struct json *pod_volume(const struct pod_check *check, struct str name)
{
    const struct json *volumes = json_member(check->spec, "volumes");

    for (uint32_t i = 0; i < items_of(volumes) && !str_empty(name); i++)
        if (str_eq(text_in(&volumes->items[i], "name"), name))
            return has_cause(check->causes, NTH(AT(check->at, "volumes"), i)) ? NULL : &volumes->items[i];
    return NULL;
}
