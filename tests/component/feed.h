#ifndef TESTS_FEED_H
#define TESTS_FEED_H

#include "common/worker_batch.h"
#include "tests/component/component.h"

/*
 * A worker without a process and without Kafka: commands are queued and run as batches on a connection of its own. One
 * feed is used by one thread at a time.
 */
struct feed;

/* The state is the definition's, when it has one; see feed_db. */
struct feed *feed_open(struct component *component, const struct worker_definition *definition);
void feed_close(struct feed *feed);
struct db *feed_db(struct feed *feed);
void feed_set_state(struct feed *feed, void *state);

/* Copies the command; the caller stamps its time. */
void feed_add(struct feed *feed, const struct command *command);
size_t feed_queued(const struct feed *feed);

/* Runs what is queued in batches of `size` (0 = all in one). The test fails when one fails. */
void feed_run(struct feed *feed, size_t size);
/* At most `n` queued commands, as one batch. */
void feed_run_some(struct feed *feed, size_t n);

/* One background step of the definition. */
void feed_background(struct feed *feed);
/* The same, for one that may fail: false when it was rolled back. */
bool feed_try_background(struct feed *feed);
/* One whose process has been overtaken by another: it must fail, whatever it did, and leave nothing. */
void feed_overtaken_background(struct feed *feed);

/* Called before COMMIT of each batch, when the handler is through; NULL = none. */
void feed_before_commit(struct feed *feed, void (*call)(void *context), void *context);

#endif
