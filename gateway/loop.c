#include "gateway/loop.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MAX_EVENTS 64

int loop_new(void)
{
	int loop = epoll_create1(EPOLL_CLOEXEC);

	if (loop < 0)
		log_die("loop", "epoll_create1: %s", strerror(errno));
	return loop;
}

void loop_watch(int loop, struct loop_source *source, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};
	int operation = source->fd == fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (source->fd == fd && source->events == events)
		return;
	if (source->fd >= 0 && source->fd != fd)
		loop_forget(loop, source);
	if (epoll_ctl(loop, operation, fd, &event))
		log_die("loop", "epoll_ctl: %s", strerror(errno));
	source->fd = fd;
	source->events = events;
}

void loop_forget(int loop, struct loop_source *source)
{
	if (source->fd >= 0)
		epoll_ctl(loop, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
	source->events = 0;
}

int64_t loop_wait(int loop, int timeout_ms)
{
	struct epoll_event events[MAX_EVENTS];
	int64_t began_us = clock_monotonic_us();
	int n = epoll_wait(loop, events, MAX_EVENTS, timeout_ms);
	int64_t waited_us = clock_monotonic_us() - began_us;

	if (n < 0 && errno != EINTR)
		log_die("loop", "epoll_wait: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		struct loop_source *source = events[i].data.ptr;
		if (source->fd >= 0)
			source->ready(source->context, events[i].events);
	}
	return waited_us;
}

void loop_drain(int fd)
{
	char bytes[256];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}
