#ifndef GATEWAY_PENDING_H
#define GATEWAY_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;

/*
 * Requests that wait for something outside, by number. A number is given out once in the life of a process: whatever
 * comes late (a delivery report, a reply, rows) for a request that has been answered finds nothing, and nothing is used
 * after its end.
 */
struct pending;

struct pending *pending_new(size_t capacity);
void pending_free(struct pending *pending);

/* A new number, never 0; 0 when `capacity` requests wait already. */
uint64_t pending_add(struct pending *pending, struct request *request);
/* The request that waits under this number, or NULL. */
struct request *pending_find(const struct pending *pending, uint64_t number);
/* Forgets the number; any number may be given. */
void pending_remove(struct pending *pending, uint64_t number);
size_t pending_count(const struct pending *pending);

#endif
