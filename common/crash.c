#include "common/crash.h"

#ifdef CONTACTHUB_CRASH_POINTS

#include "common/log.h"

#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Windows that few visit are to be hit as well: the first hit is so many times as likely. */
#define FIRST_HIT 100

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

/* By any process, as the log tells. */
static bool was_hit(const char *name)
{
	const char *path = getenv("CONTACTHUB_CRASH_LOG");
	FILE *log = path ? fopen(path, "re") : NULL;
	char line[128];
	bool found = false;

	while (log && !found && fgets(line, sizeof(line), log)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strcmp(line, name);
	}
	if (log)
		fclose(log);
	return found;
}

void crash_point(const char *name)
{
	const char *odds = getenv("CONTACTHUB_CRASH_ODDS");
	uint32_t n = odds ? (uint32_t)strtoul(odds, NULL, 10) : 0;

	if (!n || (randombytes_uniform(n) && (randombytes_uniform(n / FIRST_HIT + 1) || was_hit(name))))
		return;
	note(name);
	kill(getpid(), SIGKILL);
}

#else

typedef int crash_points_are_not_compiled;

#endif
