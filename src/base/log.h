/* log.h - the one place where the process speaks: "2026-01-02T15:04:05.123Z INFO  kubelet: message" on stderr.
 *
 * Any thread. Libraries hand errors up instead; boundaries (an event loop, a controller's worker, main) log once. */
#pragma once

#include "base/macros.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *subsystem, const char *fmt, ...) PRINTF(3, 4);

#define log_debug(subsystem, ...) (log_enabled(LOG_DEBUG) ? log_write(LOG_DEBUG, subsystem, __VA_ARGS__) : (void)0)
#define log_info(subsystem, ...) log_write(LOG_INFO, subsystem, __VA_ARGS__)
#define log_warn(subsystem, ...) log_write(LOG_WARN, subsystem, __VA_ARGS__)
#define log_error(subsystem, ...) log_write(LOG_ERROR, subsystem, __VA_ARGS__)
