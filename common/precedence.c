#include "common/precedence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* The kernel takes one such change in a tenth of a second from users without privileges. */
#define TRIES 3
#define PAUSE_US (100 * 1000)

static void yield_session(pid_t pid, int niceness)
{
	char path[64], text[16];
	int n = snprintf(text, sizeof(text), "%d", niceness);

	snprintf(path, sizeof(path), "/proc/%d/autogroup", (int)pid);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	for (int i = 1; write(fd, text, (size_t)n) < 0 && errno == EAGAIN && i < TRIES; i++)
		usleep(PAUSE_US);
	close(fd);
}

void precedence_yield(pid_t pid, int niceness)
{
	if (setpriority(PRIO_PROCESS, (id_t)pid, niceness) == 0)
		yield_session(pid, niceness);
}
