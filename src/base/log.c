#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static _Atomic int threshold = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* One write(2) a line, so that lines of several threads and processes do not mix. */
void log_write(enum log_level level, const char *subsystem, const char *fmt, ...)
{
    static const char *const names[] = { "DEBUG", "INFO ", "WARN ", "ERROR" };
    char line[2048], when[32];
    struct tm tm;
    va_list args;

    if (!log_enabled(level))
        return;
    nsec_t wall = clock_wall(clock_real());
    time_t seconds = wall / NSEC_PER_SEC;

    gmtime_r(&seconds, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    int len = snprintf(line, sizeof line, "%s.%03dZ %s %s: ", when, (int)(wall / NSEC_PER_MSEC % 1000), names[level],
                       subsystem);

    va_start(args, fmt);
    int more = vsnprintf(line + len, sizeof line - (size_t)len - 1, fmt, args);
    va_end(args);
    size_t total = MIN((size_t)len + (size_t)MAX(more, 0), sizeof line - 2);

    for (size_t i = (size_t)len; i < total; i++)
        if (line[i] == '\n')
            line[i] = ' ';
    line[total++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, total);
    (void)ignored;
}
