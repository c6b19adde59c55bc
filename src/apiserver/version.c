/* version.c - /version: apimachinery's version.Info. Clients compare major, minor and gitVersion. */
#include "apiserver/version.h"

#include "apiserver/document.h"

#if defined(__x86_64__)
#define PLATFORM "linux/amd64"
#elif defined(__aarch64__)
#define PLATFORM "linux/arm64"
#elif defined(__riscv) && __riscv_xlen == 64
#define PLATFORM "linux/riscv64"
#elif defined(__powerpc64__)
#define PLATFORM "linux/ppc64le"
#elif defined(__s390x__)
#define PLATFORM "linux/s390x"
#else
#define PLATFORM "linux/unknown"
#endif

#if defined(__clang__)
#define COMPILER "clang"
#else
#define COMPILER "gcc"
#endif

int version_handle(struct request *request, struct err *err)
{
    static const char text[] =
        "{\n  \"major\": \"1\",\n  \"minor\": \"33\",\n"
        "  \"emulationMajor\": \"1\",\n  \"emulationMinor\": \"33\",\n"
        "  \"minCompatibilityMajor\": \"1\",\n  \"minCompatibilityMinor\": \"32\",\n"
        "  \"gitVersion\": \"" API_GIT_VERSION "\",\n  \"gitCommit\": \"\",\n  \"gitTreeState\": \"\",\n"
        "  \"buildDate\": \"1970-01-01T00:00:00Z\",\n  \"goVersion\": \"\",\n"
        "  \"compiler\": \"" COMPILER "\",\n  \"platform\": \"" PLATFORM "\"\n}";
    int code = request_only_read(request, err);

    if (code < 0)
        return code;
    reply_text(request, 200, "application/json", str_of(text, sizeof text - 1));
    return 0;
}
