#ifndef COMMON_LEAKS_H
#define COMMON_LEAKS_H

/*
 * Processes end by _exit(), since librdkafka cannot be waited for, so that no sanitizer looks for leaks at their end.
 * In a build with AddressSanitizer this looks for memory that nothing points to any more, reports it, and says that it
 * looked; in any other it does nothing.
 */
#ifdef __SANITIZE_ADDRESS__

#include "common/log.h"

#include <sanitizer/lsan_interface.h>
#include <signal.h>
#include <unistd.h>

#define LEAKS_S 10

/* The sanitizer stops all threads first, which may never end: then the process dies without a word. */
static inline void leaks_look(void)
{
	signal(SIGALRM, SIG_DFL);
	alarm(LEAKS_S);
	if (!__lsan_do_recoverable_leak_check())
		log_event(LOG_INFO, "leaks", "none");
}

#else

static inline void leaks_look(void)
{
}

#endif

#endif
