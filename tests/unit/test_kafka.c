#include "tests/unit/unit.h"

#include "common/clock.h"
#include "common/kafka.h"
#include "common/log.h"

#include <stdlib.h>

#define PATIENCE_MS 300

static void nobody_delivers(void *context, void *opaque, const struct kafka_delivery *delivery)
{
	(void)context, (void)opaque, (void)delivery;
}

/* A worker that asked for ever would do none of its other work, and hear no signal. */
static void the_end_of_a_log_is_not_waited_for_without_a_broker(void **state)
{
	/* stays until the end: ending one may hang in librdkafka 2.0.2 */
	static struct kafka_producer *producer;
	struct settings settings;
	int64_t first, end;

	(void)state;
	setenv("CONTACTHUB_KAFKA", "127.0.0.1:1", 1);
	assert_true(settings_load(&settings));
	producer = kafka_producer_new(&settings, KAFKA_SEND_AT_ONCE, nobody_delivers, NULL);
	int64_t began_us = clock_monotonic_us();
	assert_false(kafka_log_end(producer, TOPIC_CHANGES, 0, PATIENCE_MS, &end));
	assert_false(kafka_log_range(producer, TOPIC_CHANGES, 0, PATIENCE_MS, &first, &end));
	assert_in_range(clock_monotonic_us() - began_us, 0, 10 * PATIENCE_MS * 1000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_end_of_a_log_is_not_waited_for_without_a_broker),
	};

	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
