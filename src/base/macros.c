#include "base/macros.h"

#include <stdio.h>
#include <unistd.h>

_Noreturn void invariant_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, what);
    abort();
}

void auto_close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
