#include "common/clock.h"
#include "deploy/ctl/ctl.h"
#include "deploy/ctl/migrate.h"

#include <unistd.h>

#define TOPICS_TRY_MS 5000
#define TOPICS_PAUSE_US 200000

bool ctl_migrate(struct ctl *ctl, struct err *err)
{
	if (!*ctl->settings.pg)
		return err_set(err, ERR_INVALID, "CONTACTHUB_PG is not set: it names the database");
	return arguments_done(&ctl->arguments, err) && migrate(&ctl->settings, stdout, err);
}

/* A young broker answers late, or not at all at first. */
static bool create_topics(const struct settings *settings, int64_t timeout_ms, struct err *err)
{
	int64_t deadline_us = clock_monotonic_us() + timeout_ms * 1000;

	for (;;) {
		int64_t left_ms = (deadline_us - clock_monotonic_us()) / 1000;
		if (kafka_create_topics(settings, (int)(left_ms < TOPICS_TRY_MS ? left_ms : TOPICS_TRY_MS), err))
			return true;
		if (clock_monotonic_us() + TOPICS_PAUSE_US >= deadline_us)
			return false;
		usleep(TOPICS_PAUSE_US);
	}
}

bool ctl_topics(struct ctl *ctl, struct err *err)
{
	int64_t timeout_ms;

	if (!arguments_number(&ctl->arguments, "timeout-ms", 60000, 1, 3600000, &timeout_ms, err) ||
	        !arguments_done(&ctl->arguments, err))
		return false;
	if (!*ctl->settings.kafka)
		return err_set(err, ERR_INVALID, "CONTACTHUB_KAFKA is not set: it names the Kafka brokers");
	if (!create_topics(&ctl->settings, timeout_ms, err))
		return err_wrap(err, "the topics could not be created");
	for (int i = 0; i < TOPIC_COUNT; i++) {
		char name[256];
		topic_name(&ctl->settings, (enum topic)i, name);
		puts(name);
	}
	return true;
}

bool ctl_settings(struct ctl *ctl, struct err *err)
{
	if (!arguments_done(&ctl->arguments, err))
		return false;
	settings_print_markdown(stdout);
	return true;
}
