#include "common/clock.h"
#include "common/kafka.h"
#include "common/log.h"
#include "tests/bench/raw.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * What librdkafka costs by itself: records of so many bytes produced with so many in flight, and consumed by a second
 * thread, with this project's own client settings. Usage: raw_kafka RECORDS BYTES IN_FLIGHT; CONTACTHUB_KAFKA names the
 * broker, CONTACTHUB_TOPIC_PREFIX topics that nobody else uses. Prints records, seconds, own CPU seconds.
 */
#define TOPIC_MS 10000
#define FETCH_AT_ONCE 1000
#define SILENCE_US (20 * INT64_C(1000000))

struct run {
	struct settings settings;
	struct kafka_producer *producer;
	rd_kafka_t *consumer;
	int64_t records, in_flight, consumed;
	char *record;
	size_t bytes;
	uint32_t partitions;
};

static void on_delivered(void *context, void *opaque, const struct kafka_delivery *delivery)
{
	struct run *run = context;

	(void)opaque;
	if (delivery->error)
		log_die("raw", "not delivered: %s", rd_kafka_err2str(delivery->error));
	run->in_flight--;
}

/* A topic that was made a moment ago has no leader yet. */
static int64_t end_of(struct run *run, int32_t partition)
{
	int64_t began_us = clock_monotonic_us(), end;

	while (!kafka_log_end(run->producer, TOPIC_EVENT_COMMANDS, partition, TOPIC_MS, &end)) {
		if (clock_monotonic_us() - began_us > SILENCE_US)
			log_die("raw", "Kafka does not tell the end of partition %d", partition);
		usleep(100000);
	}
	return end;
}

static void assign_ends(struct run *run)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)run->partitions);
	char name[256];

	topic_name(&run->settings, TOPIC_EVENT_COMMANDS, name);
	for (int32_t i = 0; i < (int32_t)run->partitions; i++)
		rd_kafka_topic_partition_list_add(list, name, i)->offset = end_of(run, i);
	if (rd_kafka_assign(run->consumer, list))
		log_die("raw", "cannot consume %s", name);
	rd_kafka_topic_partition_list_destroy(list);
}

static void *consume(void *context)
{
	static rd_kafka_message_t *messages[FETCH_AT_ONCE];
	struct run *run = context;
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(run->consumer);
	int64_t last_us = clock_monotonic_us();

	while (run->consumed < run->records) {
		ssize_t n = rd_kafka_consume_batch_queue(queue, 100, messages, FETCH_AT_ONCE);
		for (ssize_t i = 0; i < n; i++) {
			run->consumed += !messages[i]->err;
			rd_kafka_message_destroy(messages[i]);
		}
		last_us = n > 0 ? clock_monotonic_us() : last_us;
		if (clock_monotonic_us() - last_us > SILENCE_US)
			log_die("raw", "only %lld records came back", (long long)run->consumed);
	}
	rd_kafka_queue_destroy(queue);
	return NULL;
}

static void produce(struct run *run, int64_t most_in_flight)
{
	struct err err = {0};

	for (int64_t i = 0; i < run->records; i++) {
		while (run->in_flight >= most_in_flight)
			kafka_producer_poll(run->producer, 100);
		if (!kafka_send(run->producer, TOPIC_EVENT_COMMANDS, (uint32_t)i % run->partitions, NULL,
		            (struct str){run->record, run->bytes}, run, &err))
			log_die("raw", "%s", err.message);
		run->in_flight++;
	}
	if (!kafka_producer_flush(run->producer, TOPIC_MS))
		log_die("raw", "the broker does not acknowledge");
}

static void prepare(struct run *run)
{
	struct err err = {0};

	if (!settings_load(&run->settings))
		exit(1);
	settings_require(&run->settings, false, true);
	if (!kafka_create_topics(&run->settings, TOPIC_MS, &err))
		log_die("raw", "%s", err.message);
	run->producer = kafka_producer_new(&run->settings, KAFKA_SEND_TOGETHER, on_delivered, run);
	run->partitions = kafka_partition_count(run->producer, TOPIC_EVENT_COMMANDS, TOPIC_MS);
	if (!run->partitions)
		log_die("raw", "Kafka does not know the topic");
	run->consumer = kafka_consumer_new(&run->settings, "bench-raw", NULL, 0, NULL, NULL);
	run->record = calloc(1, run->bytes + 1);
	if (!run->record)
		log_die("memory", "out of memory");
	assign_ends(run);
}

int main(int argc, char **argv)
{
	struct run run = {0};
	pthread_t consumer;

	if (argc != 4)
		log_die("raw", "usage: raw_kafka RECORDS BYTES IN_FLIGHT");
	run.records = strtoll(argv[1], NULL, 10);
	run.bytes = strtoul(argv[2], NULL, 10);
	prepare(&run);
	int64_t began_us = clock_monotonic_us();
	double cpu_s = raw_cpu_s();
	if (pthread_create(&consumer, NULL, consume, &run))
		log_die("raw", "no thread");
	produce(&run, strtoll(argv[3], NULL, 10));
	pthread_join(consumer, NULL);
	printf("%lld %.6f %.6f\n", (long long)run.records, (double)(clock_monotonic_us() - began_us) / 1e6,
	        raw_cpu_s() - cpu_s);
	return 0;
}
