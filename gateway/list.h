#ifndef GATEWAY_LIST_H
#define GATEWAY_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* Ring of links embedded in their owners. Deadlines of one length are such a list: appended in order of time, so that
   only the front has to be looked at. A link in no list points to itself. */
struct list {
	struct list *prev, *next;
};

#define list_owner(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list *link)
{
	link->prev = link->next = link;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

/* Takes the link out of the list that it is in, if any. */
static inline void list_append(struct list *list, struct list *link)
{
	list_remove(link);
	link->prev = list->prev;
	link->next = list;
	list->prev->next = link;
	list->prev = link;
}

#endif
