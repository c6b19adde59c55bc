#include "kubelet/image/platform.h"

#include <sys/utsname.h>

void platform_of_machine(struct str *ret_architecture, struct str *ret_variant)
{
    static const struct {
        struct str machine, architecture, variant;
    } names[] = {
        { STR_INIT("x86_64"), STR_INIT("amd64"), STR_INIT("") },
        { STR_INIT("aarch64"), STR_INIT("arm64"), STR_INIT("v8") },
        { STR_INIT("armv7l"), STR_INIT("arm"), STR_INIT("v7") },
        { STR_INIT("armv6l"), STR_INIT("arm"), STR_INIT("v6") },
        { STR_INIT("i686"), STR_INIT("386"), STR_INIT("") },
        { STR_INIT("ppc64le"), STR_INIT("ppc64le"), STR_INIT("") },
        { STR_INIT("s390x"), STR_INIT("s390x"), STR_INIT("") },
        { STR_INIT("riscv64"), STR_INIT("riscv64"), STR_INIT("") },
        { STR_INIT("loongarch64"), STR_INIT("loong64"), STR_INIT("") },
    };
    struct utsname system = { 0 };

    uname(&system);
    *ret_architecture = STR("unknown");
    *ret_variant = STR("");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_is(names[i].machine, system.machine)) {
            *ret_architecture = names[i].architecture;
            *ret_variant = names[i].variant;
        }
}

/* "v7" is 7; what is not given is 8 on arm64, 7 on arm and 1 on amd64. */
static int level(struct str architecture, struct str variant)
{
    uint64_t number;

    if (variant.len > 1 && variant.data[0] == 'v' && str_to_u64(str_skip(variant, 1), &number) && number < 100)
        return (int)number;
    return str_is(architecture, "arm64") ? 8 : str_is(architecture, "arm") ? 7 : 1;
}

/* A machine runs its own level and those below; the highest of them is best. */
int platform_fit(struct str architecture, struct str variant, struct str image_os, struct str image_architecture,
                 struct str image_variant)
{
    int have = level(architecture, variant), want = level(image_architecture, image_variant);

    if (!str_is(image_os, "linux") || !str_eq(architecture, image_architecture))
        return 0;
    return want <= have ? want : 0;
}
