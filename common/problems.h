#ifndef COMMON_PROBLEMS_H
#define COMMON_PROBLEMS_H

#include "common/str.h"

struct arena;

/* More faults than this are not collected: the body names the first ones. */
#define PROBLEMS_MAX 50

/* One entry of `errors` in an error body. All strings live in the arena of the list. */
struct problem {
	struct str message;
	struct str path; /* JSON pointer; a very long one is cut */
	struct str code; /* or absent: written as null */
};

struct problems {
	struct arena *arena;
	size_t n;
	struct problem items[PROBLEMS_MAX];
};

void problems_init(struct problems *problems, struct arena *arena);

/* Copies the path; formats the message. Beyond PROBLEMS_MAX the entry is dropped. */
void problems_add(struct problems *problems, struct str path, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#endif
