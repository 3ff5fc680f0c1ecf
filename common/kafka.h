#ifndef COMMON_KAFKA_H
#define COMMON_KAFKA_H

#include "common/command.h"
#include "common/settings.h"

#include <librdkafka/rdkafka.h>

/*
 * The few things this project does with librdkafka 2.0.2, with the settings that it needs (no Nagle, idempotence). No
 * pause, no seek, no transactions, no waiting on destroy: those are the bad areas of that version.
 */

/* Topics by role; the name is prefix + role name. */
enum topic {
	TOPIC_CUSTOMER_COMMANDS,
	TOPIC_EVENT_COMMANDS,
	TOPIC_CONFIG_COMMANDS,
	TOPIC_CHANGES,
	TOPIC_BULK_JOBS,
	TOPIC_REPLIES,
	TOPIC_COUNT
};

const char *topic_role_name(enum topic topic);
/* The log may have holes where a later record of the same key took an earlier one's place. */
bool topic_is_compacted(enum topic topic);
/* Partition of `changes` and `bulk-jobs` that a workspace's records are in. */
uint32_t workspace_partition(const struct uuid *workspace, uint32_t n_partitions);
/* Writes the full name into out. */
void topic_name(const struct settings *settings, enum topic topic, char out[256]);

struct kafka_producer;

struct kafka_delivery {
	rd_kafka_resp_err_t error; /* NO_ERROR: every in-sync replica has it */
	bool persisted_unknown;    /* the broker may have it or not (answer 504, never "failed") */
	int32_t partition;
	int64_t offset; /* negative: not told */
};

/* Called from kafka_producer_poll for each message sent with an opaque. */
typedef void kafka_delivered_fn(void *context, void *opaque, const struct kafka_delivery *delivery);

enum kafka_sending {
	KAFKA_SEND_TOGETHER, /* records come one by one, from many who wait: a request to the broker for those of half a
	                        millisecond, or a whole one */
	KAFKA_SEND_AT_ONCE,  /* records come in batches */
};

/* Dies with a clear message when a setting is refused. A fatal producer error later ends the process (crash-only). */
struct kafka_producer *kafka_producer_new(
        const struct settings *settings, enum kafka_sending sending, kafka_delivered_fn *delivered, void *context);

/* Copies the value. False with ERR_UNAVAILABLE when the queue is full or the topic unknown. opaque NULL = nobody asks.
 */
bool kafka_send(struct kafka_producer *producer, enum topic topic, uint32_t partition, const struct uuid *key,
        struct str value, void *opaque, struct err *err) must_check;

/* Serves delivery reports; returns their number. Never blocks when timeout_ms is 0. */
int kafka_producer_poll(struct kafka_producer *producer, int timeout_ms);
/* Readable fd when delivery reports wait; drain it with kafka_producer_poll until it returns 0. */
int kafka_producer_fd(struct kafka_producer *producer);
/* Waits until all is delivered or the deadline has passed; true when nothing is left. */
bool kafka_producer_flush(struct kafka_producer *producer, int timeout_ms);
/* Fetches the topic's metadata (the first send otherwise waits up to a second); returns its partitions, 0 on failure.
 */
uint32_t kafka_partition_count(struct kafka_producer *producer, enum topic topic, int timeout_ms);

/*
 * The offset behind the last record of a partition. Asked over the producer's connection: a consumer's own waits behind
 * its long-polling Fetch, half a second for each partition. False when no broker tells within timeout_ms.
 */
bool kafka_log_end(struct kafka_producer *producer, enum topic topic, int32_t partition, int timeout_ms,
        int64_t *ret_offset) must_check;

/* The first offset that a partition still holds, and the one behind its last record. */
bool kafka_log_range(struct kafka_producer *producer, enum topic topic, int32_t partition, int timeout_ms,
        int64_t *ret_first, int64_t *ret_end) must_check;

/*
 * Sets what every consumer of this project needs; used by the worker runtime and the gateway's reply reader. With a
 * fetch_wait_ms the broker keeps a fetch for so long unless it has a good piece to give: records that come one by one
 * otherwise cost a request each. It asks again as often while nothing comes. 0: records are given as they come.
 */
rd_kafka_t *kafka_consumer_new(const struct settings *settings, const char *group, const char *instance,
        int64_t fetch_wait_ms,
        void (*rebalance)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *), void *context);

/* Creates missing topics with the stated partitions, retention and replication; leaves existing ones alone. */
bool kafka_create_topics(const struct settings *settings, int timeout_ms, struct err *err) must_check;

#endif
