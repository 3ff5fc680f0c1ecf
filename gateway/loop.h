#ifndef GATEWAY_LOOP_H
#define GATEWAY_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* What the event loop watches: a descriptor and who is told when it is ready (events as in epoll). The source must live
   as long as it is watched. */
struct loop_source {
	void (*ready)(void *context, uint32_t events);
	void *context;
	int fd; /* -1 = not watched */
	uint32_t events;
};

int loop_new(void);
/* Watches fd, or changes what is waited for. Dies when the kernel refuses: out of memory or a mistake of the program.
 */
void loop_watch(int loop, struct loop_source *source, int fd, uint32_t events);
void loop_forget(int loop, struct loop_source *source);
/* Waits for at most timeout_ms, then tells every ready source; the microseconds that it waited. */
int64_t loop_wait(int loop, int timeout_ms);

/* For descriptors that only wake us: reads them empty. */
void loop_drain(int fd);

#endif
