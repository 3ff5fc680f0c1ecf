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
#include <unistd.h>

/* A supervisor like runit sends SIGCONT behind its SIGTERM. That undoes the SIGSTOP by which the sanitizer stops our
   threads, and it would wait for them for ever: let it come first. */
#define LEAKS_AFTER_US (500 * 1000)

static inline void leaks_look(void)
{
	usleep(LEAKS_AFTER_US);
	if (!__lsan_do_recoverable_leak_check())
		log_event(LOG_INFO, "leaks", "none");
}

#else

static inline void leaks_look(void)
{
}

#endif

#endif
