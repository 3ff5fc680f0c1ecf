/* Has a race on purpose, of the kind that the suppressions must not hide: what a callback of ours does in a thread of
 * librdkafka. tests/tsan/run wants it to be reported. */
#include <stdio.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

static int lines;

static void count_line(const rd_kafka_t *client, int level, const char *facility, const char *words)
{
	(void)client;
	(void)level;
	(void)facility;
	(void)words;
	lines++;
}

int main(void)
{
	char why[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", why, sizeof(why));
	rd_kafka_conf_set(conf, "debug", "all", why, sizeof(why));
	rd_kafka_conf_set_log_cb(conf, count_line);
	if (!rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why)))
		return 2;
	for (int i = 0; i < 20; i++) {
		usleep(50 * 1000);
		lines++;
	}
	printf("%d\n", lines);
	fflush(stdout);
	_exit(0);
}
