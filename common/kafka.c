#include "common/kafka.h"

#include "common/hash.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/eventfd.h>

/* What the topics need when they are created. Partitions and retention come from settings. */
static const struct topic_row {
	const char *role;
	bool keeps_log; /* the log that replay reads: retention from the setting */
	bool compacted; /* keeps the last record of each key */
	const char *retention_ms;
} topic_rows[TOPIC_COUNT] = {
        [TOPIC_CUSTOMER_COMMANDS] = {.role = "customer-commands", .keeps_log = true},
        [TOPIC_EVENT_COMMANDS] = {.role = "event-commands", .keeps_log = true},
        [TOPIC_CONFIG_COMMANDS] = {.role = "config-commands", .keeps_log = true},
        [TOPIC_CHANGES] = {.role = "changes", .compacted = true, .retention_ms = "-1"},
        /* the files of jobs: in the tables soon, kept for a week in case of an outage */
        [TOPIC_BULK_JOBS] = {.role = "bulk-jobs", .retention_ms = "604800000"},
        [TOPIC_REPLIES] = {.role = "replies", .retention_ms = "600000"},
};

struct kafka_producer {
	rd_kafka_t *client;
	rd_kafka_queue_t *queue;
	int event_fd;
	rd_kafka_topic_t *topics[TOPIC_COUNT];
	kafka_delivered_fn *delivered;
	void *context;
};

const char *topic_role_name(enum topic topic)
{
	return topic_rows[topic].role;
}

bool topic_is_compacted(enum topic topic)
{
	return topic_rows[topic].compacted;
}

uint32_t workspace_partition(const struct uuid *workspace, uint32_t n_partitions)
{
	return (uint32_t)(hash_bytes(workspace->b, sizeof(workspace->b), 0) % n_partitions);
}

void topic_name(const struct settings *settings, enum topic topic, char out[256])
{
	snprintf(out, 256, "%s%s", settings->topic_prefix, topic_rows[topic].role);
}

struct property {
	const char *name;
	const char *value;
};

static const struct property client_properties[] = {
        {"socket.nagle.disable", "true"},
        {"reconnect.backoff.ms", "50"},
        {"reconnect.backoff.max.ms", "500"},
        {"log.connection.close", "false"},
};

static const struct property producer_properties[] = {
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"compression.codec", "none"},
        {"message.timeout.ms", "10000"},
        {"queue.buffering.max.messages", "100000"},
        {"queue.buffering.max.kbytes", "65536"},
        {"message.max.bytes", "2097152"},
        /* the application's queue has the reports; nobody needs their payload */
        {"delivery.report.only.error", "false"},
};

/* The broker pays by the request, and takes those of a connection one by one: either what comes within a time goes in
 * one (a millisecond where it is idle: librdkafka's poll counts in these), or what comes while one is on its way goes
 * in the next. */
static const struct property sending_properties[][2] = {
        [KAFKA_SEND_TOGETHER] = {{"linger.ms", "0.5"}, {"max.in.flight", "5"}},
        [KAFKA_SEND_AT_ONCE] = {{"linger.ms", "0"}, {"max.in.flight", "1"}},
};

static const struct property consumer_properties[] = {
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        /* a gap must stop the worker, never be skipped */
        {"auto.offset.reset", "error"},
        {"check.crcs", "true"},
        {"fetch.wait.max.ms", "500"},
        {"fetch.error.backoff.ms", "20"},
        /* What waits, with what one fetch brings of all partitions, bounds the memory of a worker that catches up. It
           is many batches, so that the next fetch comes in time (keep_fetching in worker.c). */
        {"queued.min.messages", "20000"},
        {"queued.max.messages.kbytes", "8192"},
        {"fetch.message.max.bytes", "524288"},
        {"partition.assignment.strategy", "range"},
        {"session.timeout.ms", "30000"},
        {"enable.partition.eof", "false"},
        {"allow.auto.create.topics", "false"},
};

static void set_property(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[256];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
		log_die("kafka", "librdkafka refuses %s: %s", name, why);
}

static void set_properties(rd_kafka_conf_t *conf, const struct property *properties, size_t n)
{
	for (size_t i = 0; i < n; i++)
		set_property(conf, properties[i].name, properties[i].value);
}

static void log_kafka(const rd_kafka_t *client, int level, const char *facility, const char *words)
{
	(void)client;
	log_event(level <= 3 ? LOG_WARN : LOG_DEBUG, "kafka", "%s: %s", facility, words);
}

/* How brokers are spoken to; what is empty is left to librdkafka. What the way of speaking makes no use of is refused:
   whoever sets a password believes that it is asked for. */
static void set_security(rd_kafka_conf_t *conf, const struct settings *settings)
{
	bool sasl = strcasestr(settings->kafka_security, "sasl"), ssl = strcasestr(settings->kafka_security, "ssl");
	const struct {
		const char *name, *variable, *value;
		bool is_used;
	} rows[] = {
	        {"security.protocol", "CONTACTHUB_KAFKA_SECURITY", settings->kafka_security, true},
	        {"ssl.ca.location", "CONTACTHUB_KAFKA_CA_FILE", settings->kafka_ca_file, ssl},
	        {"ssl.certificate.location", "CONTACTHUB_KAFKA_CERTIFICATE_FILE", settings->kafka_certificate_file,
	                ssl},
	        {"ssl.key.location", "CONTACTHUB_KAFKA_KEY_FILE", settings->kafka_key_file, ssl},
	        {"sasl.mechanism", "CONTACTHUB_KAFKA_SASL_MECHANISM", sasl ? settings->kafka_sasl_mechanism : "", true},
	        {"sasl.username", "CONTACTHUB_KAFKA_USER", settings->kafka_user, sasl},
	        {"sasl.password", "CONTACTHUB_KAFKA_PASSWORD", settings->kafka_password, sasl},
	};
	char why[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!*rows[i].value)
			continue;
		if (rd_kafka_conf_set(conf, rows[i].name, rows[i].value, why, sizeof(why)))
			log_die("settings", "%s: %s", rows[i].variable, why);
		if (!rows[i].is_used)
			log_die("settings", "%s is not used with CONTACTHUB_KAFKA_SECURITY=%s", rows[i].variable,
			        settings->kafka_security);
	}
}

static rd_kafka_conf_t *new_conf(const struct settings *settings)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	set_property(conf, "bootstrap.servers", settings->kafka);
	set_security(conf, settings);
	set_properties(conf, client_properties, ARRAY_LEN(client_properties));
	rd_kafka_conf_set_log_cb(conf, log_kafka);
	return conf;
}

static rd_kafka_t *new_client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
	char why[256];
	rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof(why));

	if (!client)
		log_die("kafka", "cannot make a Kafka client: %s", why);
	return client;
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
	struct kafka_producer *producer = opaque;

	(void)client;
	if (!message->_private)
		return;
	producer->delivered(producer->context, message->_private,
	        &(struct kafka_delivery){.error = message->err,
	                .persisted_unknown =
	                        message->err && rd_kafka_message_status(message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED,
	                .partition = message->partition,
	                .offset = message->offset});
}

/* An idempotent producer that lost its sequence can send nothing any more: the supervisor gives us a new one. */
static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
	(void)opaque;
	if (code == RD_KAFKA_RESP_ERR__FATAL) {
		char why[256];
		rd_kafka_fatal_error(client, why, sizeof(why));
		log_die("kafka", "fatal client error, restarting: %s", why);
	}
	log_event(LOG_DEBUG, "kafka", "%s", reason);
}

struct kafka_producer *kafka_producer_new(
        const struct settings *settings, enum kafka_sending sending, kafka_delivered_fn *delivered, void *context)
{
	struct kafka_producer *producer = calloc(1, sizeof(*producer));
	rd_kafka_conf_t *conf = new_conf(settings);

	if (!producer)
		log_die("memory", "out of memory");
	producer->delivered = delivered;
	producer->context = context;
	set_properties(conf, producer_properties, ARRAY_LEN(producer_properties));
	set_properties(conf, sending_properties[sending], ARRAY_LEN(sending_properties[sending]));
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_opaque(conf, producer);
	producer->client = new_client(RD_KAFKA_PRODUCER, conf);
	for (int i = 0; i < TOPIC_COUNT; i++) {
		char name[256];
		topic_name(settings, (enum topic)i, name);
		producer->topics[i] = rd_kafka_topic_new(producer->client, name, NULL);
	}
	producer->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	producer->queue = rd_kafka_queue_get_main(producer->client);
	/* librdkafka writes the payload; an eventfd takes 8 bytes */
	uint64_t one = 1;
	rd_kafka_queue_io_event_enable(producer->queue, producer->event_fd, &one, sizeof(one));
	return producer;
}

bool kafka_send(struct kafka_producer *producer, enum topic topic, uint32_t partition, const struct uuid *key,
        struct str value, void *opaque, struct err *err)
{
	if (!rd_kafka_produce(producer->topics[topic], (int32_t)partition, RD_KAFKA_MSG_F_COPY, (void *)value.p,
	            value.n, key, key ? sizeof(*key) : 0, opaque))
		return true;
	return err_set(
	        err, ERR_UNAVAILABLE, "Kafka does not take the record: %s", rd_kafka_err2str(rd_kafka_last_error()));
}

int kafka_producer_poll(struct kafka_producer *producer, int timeout_ms)
{
	return rd_kafka_poll(producer->client, timeout_ms);
}

int kafka_producer_fd(struct kafka_producer *producer)
{
	return producer->event_fd;
}

bool kafka_producer_flush(struct kafka_producer *producer, int timeout_ms)
{
	return rd_kafka_flush(producer->client, timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

uint32_t kafka_partition_count(struct kafka_producer *producer, enum topic topic, int timeout_ms)
{
	const struct rd_kafka_metadata *metadata;
	uint32_t count = 0;

	if (rd_kafka_metadata(producer->client, 0, producer->topics[topic], &metadata, timeout_ms))
		return 0;
	if (metadata->topic_cnt == 1 && !metadata->topics[0].err)
		count = (uint32_t)metadata->topics[0].partition_cnt;
	rd_kafka_metadata_destroy(metadata);
	return count;
}

/* Not rd_kafka_query_watermark_offsets: without a broker it asks until one is back, whatever its timeout. */
static bool log_offset(struct kafka_producer *producer, enum topic topic, int32_t partition, int64_t which,
        int timeout_ms, int64_t *ret)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *asked =
	        rd_kafka_topic_partition_list_add(list, rd_kafka_topic_name(producer->topics[topic]), partition);

	asked->offset = which;
	bool good =
	        !rd_kafka_offsets_for_times(producer->client, list, timeout_ms) && !asked->err && asked->offset >= 0;
	*ret = asked->offset;
	rd_kafka_topic_partition_list_destroy(list);
	return good;
}

bool kafka_log_end(
        struct kafka_producer *producer, enum topic topic, int32_t partition, int timeout_ms, int64_t *ret_offset)
{
	return log_offset(producer, topic, partition, RD_KAFKA_OFFSET_END, timeout_ms, ret_offset);
}

bool kafka_log_range(struct kafka_producer *producer, enum topic topic, int32_t partition, int timeout_ms,
        int64_t *ret_first, int64_t *ret_end)
{
	return log_offset(producer, topic, partition, RD_KAFKA_OFFSET_BEGINNING, timeout_ms, ret_first) &&
	       kafka_log_end(producer, topic, partition, timeout_ms, ret_end);
}

static void set_fetch_wait(rd_kafka_conf_t *conf, int64_t wait_ms)
{
	char text[32];

	if (!wait_ms)
		return;
	snprintf(text, sizeof(text), "%" PRId64, wait_ms);
	set_property(conf, "fetch.wait.max.ms", text);
	set_property(conf, "fetch.min.bytes", "65536");
}

rd_kafka_t *kafka_consumer_new(const struct settings *settings, const char *group, const char *instance,
        int64_t fetch_wait_ms,
        void (*rebalance)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *), void *context)
{
	rd_kafka_conf_t *conf = new_conf(settings);

	set_properties(conf, consumer_properties, ARRAY_LEN(consumer_properties));
	set_fetch_wait(conf, fetch_wait_ms);
	set_property(conf, "group.id", group);
	if (instance)
		set_property(conf, "group.instance.id", instance);
	if (rebalance)
		rd_kafka_conf_set_rebalance_cb(conf, rebalance);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_opaque(conf, context);
	rd_kafka_t *client = new_client(RD_KAFKA_CONSUMER, conf);
	rd_kafka_poll_set_consumer(client);
	return client;
}

static int64_t partitions_of(const struct settings *settings, enum topic topic)
{
	switch (topic) {
	case TOPIC_EVENT_COMMANDS:
		return settings->event_partitions;
	case TOPIC_REPLIES:
		return settings->reply_partitions;
	default:
		return settings->customer_partitions;
	}
}

static rd_kafka_NewTopic_t *new_topic(const struct settings *settings, enum topic topic)
{
	const struct topic_row *row = &topic_rows[topic];
	char name[256], retention[32], why[256];

	topic_name(settings, topic, name);
	snprintf(retention, sizeof(retention), "%lld", (long long)settings->log_retention_ms);
	rd_kafka_NewTopic_t *request = rd_kafka_NewTopic_new(
	        name, (int)partitions_of(settings, topic), (int)settings->replication_factor, why, sizeof(why));
	if (!request)
		log_die("kafka", "cannot describe topic %s: %s", name, why);
	rd_kafka_NewTopic_set_config(request, "cleanup.policy", row->compacted ? "compact" : "delete");
	rd_kafka_NewTopic_set_config(request, "retention.ms", row->keeps_log ? retention : row->retention_ms);
	rd_kafka_NewTopic_set_config(request, "max.message.bytes", "2097152");
	if (settings->replication_factor >= 3)
		rd_kafka_NewTopic_set_config(request, "min.insync.replicas", "2");
	return request;
}

/* A topic that exists already is as good as one just made. */
static bool check_created(rd_kafka_event_t *event, struct err *err)
{
	const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
	size_t n = 0;

	if (!event || !result)
		return err_set(err, ERR_UNAVAILABLE, "Kafka did not answer in time");
	if (rd_kafka_event_error(event))
		return err_set(err, ERR_UNAVAILABLE, "Kafka: %s", rd_kafka_event_error_string(event));
	const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &n);
	for (size_t i = 0; i < n; i++) {
		rd_kafka_resp_err_t error = rd_kafka_topic_result_error(topics[i]);
		if (error && error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
			return err_set(err, ERR_UNAVAILABLE, "topic %s: %s", rd_kafka_topic_result_name(topics[i]),
			        rd_kafka_err2str(error));
	}
	return true;
}

/* What a client had to say last, "" when nothing: a request that it cannot send ends with no more than a timeout. */
struct complaint {
	char words[256];
};

static void on_complaint(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
	struct complaint *complaint = opaque;

	(void)client;
	if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		snprintf(complaint->words, sizeof(complaint->words), "%s", reason);
}

static rd_kafka_t *new_admin(const struct settings *settings, struct complaint *complaint)
{
	rd_kafka_conf_t *conf = new_conf(settings);

	rd_kafka_conf_set_error_cb(conf, on_complaint);
	rd_kafka_conf_set_opaque(conf, complaint);
	return new_client(RD_KAFKA_PRODUCER, conf);
}

bool kafka_create_topics(const struct settings *settings, int timeout_ms, struct err *err)
{
	struct complaint complaint = {""};
	rd_kafka_t *client = new_admin(settings, &complaint);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_NewTopic_t *topics[TOPIC_COUNT];

	rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, NULL, 0);
	rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, NULL, 0);
	for (int i = 0; i < TOPIC_COUNT; i++)
		topics[i] = new_topic(settings, (enum topic)i);
	rd_kafka_CreateTopics(client, topics, TOPIC_COUNT, options, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
	bool good = check_created(event, err);
	rd_kafka_poll(client, 0);
	if (!good && *complaint.words)
		err_wrap(err, "%s", complaint.words);
	if (event)
		rd_kafka_event_destroy(event);
	rd_kafka_NewTopic_destroy_array(topics, TOPIC_COUNT);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(client);
	return good;
}
