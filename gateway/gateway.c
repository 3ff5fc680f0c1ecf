#include "gateway/gateway.h"

#include "common/clock.h"
#include "common/leaks.h"
#include "common/log.h"
#include "gateway/admission.h"
#include "gateway/auth.h"
#include "gateway/config_feed.h"
#include "gateway/handlers.h"
#include "gateway/http.h"
#include "gateway/loop.h"
#include "gateway/metrics.h"
#include "gateway/openapi.h"
#include "gateway/pending.h"
#include "gateway/pgpool.h"
#include "gateway/replies.h"
#include "gateway/request_state.h"
#include "gateway/router.h"
#include "gateway/tenants.h"
#include "gateway/upload.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_US 50000
#define METADATA_MS 5000
/* Blocks from this size on go back to the system as soon as they are freed. glibc's own threshold grows with what is
   freed: after a burst of large answers a gigabyte stayed. */
#define LARGE_BLOCK_BYTES (256 * 1024)
/* Of smaller blocks glibc gives back what lies at the heap's end alone, and one that is in use there may keep hundreds
   of megabytes. So often it is asked what is free, and told to give it back when that is more than SPARE_BYTES: 60 us
   for each megabyte that comes back. */
#define SPARE_EVERY_US (5 * INT64_C(1000000))
#define SPARE_BYTES ((size_t)48 * 1024 * 1024)
/* How long a stop takes those in who have come: under load others always do. */
#define CALLERS_US (INT64_C(1000000) / 2)
/* How long it waits for what is in work. */
#define STOP_US (10 * INT64_C(1000000))
/* The same for answers to what is in work even then. */
#define GIVE_UP_US (1 * INT64_C(1000000))
#define FLUSH_MS 2000

/* What only the loop knows. */
struct running {
	struct gateway gateway;
	int loop;
	struct loop_source signals, delivery;
	bool stop;
	int64_t ticked_us, trimmed_us;
};

bool gateway_kafka_is_up(const struct gateway *gateway)
{
	return gateway->replies && replies_are_up(gateway->replies);
}

bool gateway_pg_is_up(const struct gateway *gateway)
{
	return pgpool_is_up(gateway->pool);
}

bool gateway_is_ready(const struct gateway *gateway)
{
	return !gateway->stopping && config_feed_is_loaded(gateway->config_feed) && gateway_kafka_is_up(gateway) &&
	       gateway_pg_is_up(gateway);
}

/* --- the loop --- */

static void on_signal(void *context, uint32_t events)
{
	struct running *running = context;

	(void)events;
	loop_drain(running->signals.fd);
	running->stop = true;
}

/* Delivery reports; the wake-up is given only when there were none before, so all are taken. */
static void on_delivery(void *context, uint32_t events)
{
	struct running *running = context;

	(void)events;
	loop_drain(running->delivery.fd);
	while (kafka_producer_poll(running->gateway.producer, 0) > 0)
		;
}

static void trim_heap(struct running *running, int64_t now_us)
{
	if (now_us - running->trimmed_us < SPARE_EVERY_US)
		return;
	running->trimmed_us = now_us;
	if (mallinfo2().fordblks >= SPARE_BYTES)
		malloc_trim(0);
}

static void tick(struct running *running, int64_t now_us)
{
	struct gateway *gateway = &running->gateway;

	running->ticked_us = now_us;
	pgpool_tick(gateway->pool, now_us);
	config_feed_tick(gateway->config_feed, now_us);
	if (gateway->replies)
		replies_tick(gateway->replies, now_us);
	http_tick(gateway->http, now_us);
	admission_tick(gateway->admission, gateway->refusals.idle_us, now_us);
	refusals_tick(&gateway->refusals, now_us);
	metrics_tick(gateway, now_us);
	known_years_tick(gateway, now_us);
	trim_heap(running, now_us);
}

/* One turn: wait, take what came from PostgreSQL and Kafka, then serve HTTP once for all of it. */
static void turn(struct running *running)
{
	int64_t now_us = clock_monotonic_us();
	int64_t wait_us = running->ticked_us + TICK_US - now_us;
	int most_ms = wait_us <= 0 ? 0 : (int)((wait_us + 999) / 1000);
	int wait_ms = http_wait_ms(running->gateway.http, most_ms);

	running->gateway.refusals.idle_us += loop_wait(running->loop, wait_ms);
	now_us = clock_monotonic_us();
	if (now_us - running->ticked_us >= TICK_US)
		tick(running, now_us);
	http_run(running->gateway.http);
	pgpool_flush(running->gateway.pool);
}

/* --- start --- */

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void watch_signals(struct running *running)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		log_die("start", "signalfd: %s", strerror(errno));
	running->signals = (struct loop_source){.ready = on_signal, .context = running, .fd = -1};
	loop_watch(running->loop, &running->signals, fd, EPOLLIN);
}

static void start_producer(struct running *running)
{
	struct gateway *gateway = &running->gateway;

	gateway->producer = kafka_producer_new(gateway->settings, KAFKA_SEND_TOGETHER, step_delivered, gateway);
	running->delivery = (struct loop_source){.ready = on_delivery, .context = running, .fd = -1};
	loop_watch(running->loop, &running->delivery, kafka_producer_fd(gateway->producer), EPOLLIN);
}

static void start_pool(struct running *running)
{
	static struct statement_table tables[16];
	struct gateway *gateway = &running->gateway;
	size_t n = 0;

	tables[n++] = (struct statement_table){config_feed_statements, config_feed_statement_count};
	tables[n++] = (struct statement_table){reply_statements, reply_statement_count};
	tables[n++] = (struct statement_table){customer_statements, customer_statement_count};
	tables[n++] = (struct statement_table){customer_search_statements, customer_search_statement_count};
	tables[n++] = (struct statement_table){event_statements, event_statement_count};
	tables[n++] = (struct statement_table){known_years_statements, known_years_statement_count};
	tables[n++] = (struct statement_table){node_statements, node_statement_count};
	tables[n++] = (struct statement_table){stat_statements, stat_statement_count};
	tables[n++] = (struct statement_table){update_statements, update_statement_count};
	tables[n++] = (struct statement_table){aggregate_statements, aggregate_statement_count};
	tables[n++] = (struct statement_table){bulk_statements, bulk_statement_count};
	tables[n++] = (struct statement_table){metrics_statements, metrics_statement_count};
	gateway->pool = pgpool_new(gateway->settings, running->loop, gateway->pending, tables, n);
}

static void make_parts(struct running *running)
{
	struct gateway *gateway = &running->gateway;

	randombytes_buf(&gateway->boot, sizeof(gateway->boot));
	gateway->boot |= 1; /* 0 means "nobody waits" */
	gateway->auth = auth_new(gateway->settings);
	gateway->router = router_new(routes, route_count);
	gateway->openapi = openapi_build(routes, route_count);
	gateway->config = config_new();
	gateway->pending = pending_new((size_t)gateway->settings->max_in_flight + 1 + UPLOADS_AT_ONCE);
	gateway->tenants = tenants_new();
	gateway->admission = admission_new(gateway->settings, route_count);
	gateway->metrics = metrics_new(route_count);
	gateway->http = http_new(gateway, running->loop);
	start_pool(running);
	gateway->config_feed = config_feed_new(gateway);
	start_producer(running);
}

/* Blocks for up to METADATA_MS per topic; nobody is served yet. */
static bool learn_partitions(struct gateway *gateway)
{
	for (int topic = 0; topic < TOPIC_COUNT; topic++) {
		gateway->partitions[topic] = kafka_partition_count(gateway->producer, (enum topic)topic, METADATA_MS);
		if (gateway->partitions[topic] == 0) {
			log_event(LOG_WARN, "start", "Kafka does not answer or has no topic %s",
			        topic_role_name((enum topic)topic));
			return false;
		}
	}
	return true;
}

/* Waits for what serving needs; false when a signal came first. */
static bool prepare(struct running *running)
{
	while (!running->stop && !config_feed_is_loaded(running->gateway.config_feed))
		turn(running);
	while (!running->stop && !learn_partitions(&running->gateway)) {
		for (int64_t until_us = clock_monotonic_us() + 1000000;
		        clock_monotonic_us() < until_us && !running->stop;)
			turn(running);
	}
	if (running->stop)
		return false;
	running->gateway.replies = replies_new(&running->gateway, running->loop);
	return true;
}

/* --- stop --- */

/* Whose connection stands already has perhaps sent a request: it would be broken with the end of listening. */
static void turn_until_all_have_come(struct running *running)
{
	int64_t until_us = clock_monotonic_us() + CALLERS_US;

	while (http_has_callers(running->gateway.http) && clock_monotonic_us() < until_us)
		turn(running);
}

/* What an idle connection's client has sent is known after a turn. */
static void turn_until_quiet(struct running *running, int64_t most_us)
{
	int64_t until_us = clock_monotonic_us() + most_us;

	do
		turn(running);
	while (!http_is_quiet(running->gateway.http) && clock_monotonic_us() < until_us);
}

/* No new connections; what is in work gets its answer, if only that nobody knows its outcome. librdkafka 2.0.2 may hang
 * while it is taken apart, so it is not.
 */
static _Noreturn void stop(struct running *running)
{
	struct gateway *gateway = &running->gateway;

	gateway->stopping = true;
	turn_until_all_have_come(running);
	http_stop_listening(gateway->http);
	turn_until_quiet(running, STOP_US);
	http_give_up(gateway->http);
	turn_until_quiet(running, GIVE_UP_US);
	bool flushed = kafka_producer_flush(gateway->producer, FLUSH_MS);
	log_event(LOG_INFO, "stop", "stopped with %zu requests in work, %s", admission_in_work(gateway->admission),
	        flushed ? "nothing left to send" : "records left to send");
	leaks_look();
	_exit(0);
}

int gateway_run(const struct settings *settings)
{
	static struct running running;

	if (sodium_init() < 0)
		log_die("start", "libsodium cannot start");
	mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
	running.gateway.settings = settings;
	running.loop = loop_new();
	raise_file_limit();
	watch_signals(&running);
	make_parts(&running);
	if (prepare(&running)) {
		http_listen(running.gateway.http);
		log_event(LOG_INFO, "start", "listening on %s port %lld", settings->listen_host,
		        (long long)settings->listen_port);
	}
	while (!running.stop)
		turn(&running);
	stop(&running);
}
