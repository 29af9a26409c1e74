// One line per event on stderr, as text (`time level area: what key=value`) or JSON. Any thread.
// Callers keep secrets out. Control characters and bytes that are not UTF-8 appear as \xNN, whoever
// sent them, and a line is cut at some 750 bytes. At most 50 lines a second are written (errors
// always are); the number of those left out is told before the next line that is.
#ifndef FRESHET_CLUSTER_BASE_LOG_H
#define FRESHET_CLUSTER_BASE_LOG_H

#include "cluster/base/check.h"

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

// Before other threads start.
void log_setup(enum log_level level, enum log_format format);
bool log_is_on(enum log_level level);

void log_write(enum log_level level, const char *area, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_error(area, ...)   log_write(LOG_LEVEL_ERROR, area, __VA_ARGS__)
#define log_warning(area, ...) log_write(LOG_LEVEL_WARNING, area, __VA_ARGS__)
#define log_info(area, ...)    log_write(LOG_LEVEL_INFO, area, __VA_ARGS__)
#define log_debug(area, ...)                                                                       \
    (log_is_on(LOG_LEVEL_DEBUG) ? log_write(LOG_LEVEL_DEBUG, area, __VA_ARGS__) : (void)0)

#endif
