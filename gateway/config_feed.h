#ifndef GATEWAY_CONFIG_FEED_H
#define GATEWAY_CONFIG_FEED_H

#include "common/db.h"
#include "gateway/gateway.h"

struct request;

/* Keeps the configuration in memory up to date: asks for "everything after seq" four times a second, and at once when
   somebody needs more than is there. */
struct config_feed;

struct config_feed *config_feed_new(struct gateway *gateway);
/* At least ten times a second. */
void config_feed_tick(struct config_feed *feed, int64_t now_us);
/* All that there was at start has been applied. */
bool config_feed_is_loaded(const struct config_feed *feed);
/* Calls step_config_arrived(request) when everything up to held.seq has been applied. */
void config_feed_await(struct config_feed *feed, struct request *request);

extern const struct statement config_feed_statements[];
extern const size_t config_feed_statement_count;

#endif
