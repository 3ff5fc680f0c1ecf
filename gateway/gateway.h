#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "common/kafka.h"
#include "common/settings.h"
#include "gateway/config.h"
#include "gateway/known_years.h"
#include "gateway/refusals.h"

struct admission;
struct auth;
struct config_feed;
struct http;
struct metrics;
struct pending;
struct pgpool;
struct replies;
struct router;
struct tenants;

/*
 * The gateway process: one thread, one event loop (gateway_run). Parts are made at start in the order below and live as
 * long as the process. Handlers read settings, config, partitions; everything else belongs to the gateway's own
 * modules.
 */
struct gateway {
	const struct settings *settings;
	struct config *config;
	struct config_feed *config_feed;
	struct kafka_producer *producer;
	uint32_t partitions[TOPIC_COUNT];
	struct pgpool *pool;
	struct pending *pending;
	struct replies *replies;
	struct router *router;
	struct auth *auth;
	struct tenants *tenants;
	struct admission *admission;
	struct refusals refusals;
	struct known_years years;
	struct http *http;
	struct metrics *metrics;
	struct str openapi; /* the served document */
	uint64_t boot; /* random per process: tells our replies from those of the process that had the partition before
	                */
	bool stopping; /* no new connections; answers close theirs */
};

/* True when requests can be served: configuration loaded, own records come back from Kafka, PostgreSQL answers. */
bool gateway_kafka_is_up(const struct gateway *gateway);
bool gateway_pg_is_up(const struct gateway *gateway);
bool gateway_is_ready(const struct gateway *gateway);

/* Runs until SIGTERM or SIGINT; returns the exit status. */
int gateway_run(const struct settings *settings);

#endif
