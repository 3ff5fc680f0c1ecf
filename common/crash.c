#include "common/crash.h"

#ifdef CONTACTHUB_CRASH_POINTS

#include "common/log.h"

#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void note(const char *name)
{
	const char *path = getenv("CONTACTHUB_CRASH_LOG");
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
	char line[128];
	size_t n = strlen(name);

	if (fd < 0 || n > sizeof(line) - 2)
		return;
	memcpy(line, name, n);
	line[n] = '\n';
	if (write(fd, line, n + 1) < 0)
		log_event(LOG_WARN, "crash", "cannot note a crash point");
	close(fd);
}

void crash_point(const char *name)
{
	const char *odds = getenv("CONTACTHUB_CRASH_ODDS");
	uint32_t n = odds ? (uint32_t)strtoul(odds, NULL, 10) : 0;

	if (!n || randombytes_uniform(n))
		return;
	note(name);
	kill(getpid(), SIGKILL);
}

#else

typedef int crash_points_are_not_compiled;

#endif
