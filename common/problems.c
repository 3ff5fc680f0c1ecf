#include "common/problems.h"

#include "common/arena.h"

#include <stdarg.h>
#include <stdio.h>

/* A fault is one sentence; a longer one is cut. */
#define MESSAGE_BYTES 400
/* A name that the client made up may be as long as the body, and be in the path of every fault. */
#define PATH_BYTES 1000

void problems_init(struct problems *problems, struct arena *arena)
{
	problems->arena = arena;
	problems->n = 0;
}

void problems_add(struct problems *problems, struct str path, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	struct problem *problem;
	va_list args;
	int n;

	if (problems->n == PROBLEMS_MAX)
		return;
	va_start(args, format);
	n = vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	problem = &problems->items[problems->n++];
	problem->message = arena_str(
	        problems->arena, str_utf8_cut((struct str){message, n < 0 ? 0 : strlen(message)}, sizeof(message) - 4));
	problem->path = arena_str(problems->arena, path.p ? str_utf8_cut(path, PATH_BYTES) : STR(""));
	problem->code = STR_NONE;
}
