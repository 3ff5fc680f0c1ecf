#ifndef COMMON_LOG_H
#define COMMON_LOG_H

/*
 * One JSON line per event on standard error: time, level, process, event, message and a few fields. Only main programs,
 * the worker runtime and the gateway's edge log; other code returns errors. Messages never hold personal data or
 * secrets: ids, counts, states and error codes only.
 */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_init(const char *process_name, enum log_level least);
void log_event(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Logs at ERROR and ends the process with status 1: for broken settings and broken invariants. */
_Noreturn void log_die(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
