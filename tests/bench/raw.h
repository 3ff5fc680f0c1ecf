#ifndef TESTS_BENCH_RAW_H
#define TESTS_BENCH_RAW_H

#include <sys/resource.h>

/* CPU of this process so far, all threads, user and system, in seconds. */
static inline double raw_cpu_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

#endif
