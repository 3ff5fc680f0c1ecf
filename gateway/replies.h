#ifndef GATEWAY_REPLIES_H
#define GATEWAY_REPLIES_H

#include "common/db.h"
#include "gateway/gateway.h"

struct request;

/*
 * Where workers' answers come in: this gateway's own partition of the replies topic, read from the end that it had
 * before the first request was taken. Replies for another boot id (the process before us, or one that shares the
 * partition) are dropped. A reply that is late is looked for in command_results: its worker may have died between
 * COMMIT and sending.
 *
 * A small record to ourselves every two seconds proves producer, broker and consumer; it is the first thing sent, so
 * that the first client does not wait for the producer's set-up.
 */
struct replies;

/* Blocks until the brokers have told the end of the partition or seconds have passed (NULL). */
struct replies *replies_new(struct gateway *gateway, int loop);
uint32_t replies_partition(const struct replies *replies);
/* Own records have come back lately. */
bool replies_are_up(const struct replies *replies);

/* The request waits for a reply; after a while, and again and again, its row in command_results is looked for. */
void replies_expect(struct replies *replies, struct request *request);
/* Looks at once. */
void replies_look(struct replies *replies, struct request *request);

/* At least ten times a second. Ends the process when the consumer has gone silent: a new one works again. */
void replies_tick(struct replies *replies, int64_t now_us);

/* A delivery report with this opaque is for our own record. Numbers of waiting requests are larger. */
#define REPLIES_OPAQUE 1
void replies_delivered(struct replies *replies, bool good);

extern const struct statement reply_statements[];
extern const size_t reply_statement_count;

#endif
