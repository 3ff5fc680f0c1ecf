#ifndef COMMON_PRECEDENCE_H
#define COMMON_PRECEDENCE_H

#include <sys/types.h>

/*
 * Lets others go first for the processors: niceness 1 to 19 of a process, and of its session where Linux shares them by
 * session (sched(7), autogroup). A process that may not be changed stays as it is. Waits up to 0.3 s, for a user
 * without privileges when others do the same at that moment.
 */
void precedence_yield(pid_t pid, int niceness);

#endif
