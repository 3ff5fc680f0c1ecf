#include "gateway/metrics.h"

#include "common/log.h"
#include "gateway/admission.h"
#include "gateway/gateway.h"
#include "gateway/http.h"
#include "gateway/pgpool.h"
#include "gateway/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define LOOK_EVERY_US (10 * INT64_C(1000000))
#define US_PER_S 1e6

/* What the API answers with, and the rest under 0. */
static const unsigned statuses[] = {
        200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 409, 413, 415, 423, 429, 431, 500, 503, 504, 0};
#define STATUSES ARRAY_LEN(statuses)

/* Upper bounds of the histogram's buckets; what takes longer is in the last one. */
static const int64_t bounds_us[] = {
        1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000};
#define BOUNDS ARRAY_LEN(bounds_us)

struct counts {
	uint64_t by_status[STATUSES];
	uint64_t by_time[BOUNDS + 1];
	uint64_t n, sum_us;
};

struct metrics {
	int64_t looked_us;
	int64_t dead_letters; /* -1 = not known */
	size_t n_routes;
	struct counts counts[]; /* by route, then those without one */
};

const struct statement metrics_statements[] = {
        {.name = "metrics_dead_letters", .sql = "SELECT count(*) FROM dead_letters WHERE rerun_us IS NULL"},
};
const size_t metrics_statement_count = ARRAY_LEN(metrics_statements);

/* --- counting --- */

struct metrics *metrics_new(size_t n_routes)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics) + (n_routes + 1) * sizeof(metrics->counts[0]));

	if (!metrics)
		log_die("memory", "out of memory");
	metrics->n_routes = n_routes;
	metrics->dead_letters = -1;
	return metrics;
}

static size_t place_of_status(unsigned status)
{
	size_t i = 0;

	while (i < STATUSES - 1 && statuses[i] != status)
		i++;
	return i;
}

static size_t place_of_time(int64_t took_us)
{
	size_t i = 0;

	while (i < BOUNDS && took_us > bounds_us[i])
		i++;
	return i;
}

void metrics_count(struct metrics *metrics, size_t route, unsigned status, int64_t took_us)
{
	struct counts *counts = &metrics->counts[route < metrics->n_routes ? route : metrics->n_routes];

	counts->by_status[place_of_status(status)]++;
	counts->by_time[place_of_time(took_us)]++;
	counts->n++;
	counts->sum_us += (uint64_t)(took_us > 0 ? took_us : 0);
}

/* --- requests --- */

static void write_head(struct buf *buf, const char *name, const char *type, const char *help)
{
	buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The labels of a route, without the braces. */
static void write_route(struct buf *buf, const struct route *route)
{
	if (route)
		buf_printf(buf, "method=\"%s\",path=\"%s\"", route->method, route->path);
	else
		buf_add_literal(buf, "method=\"\",path=\"\"");
}

static void write_statuses(struct buf *buf, const struct route *route, const struct counts *counts)
{
	for (size_t i = 0; i < STATUSES; i++) {
		if (!counts->by_status[i])
			continue;
		buf_add_literal(buf, "contacthub_requests_total{");
		write_route(buf, route);
		buf_printf(buf, ",status=\"%.0u\"} %llu\n", statuses[i], (unsigned long long)counts->by_status[i]);
	}
}

static void write_times(struct buf *buf, const struct route *route, const struct counts *counts)
{
	unsigned long long n = 0;

	for (size_t i = 0; counts->n && i <= BOUNDS; i++) {
		n += counts->by_time[i];
		buf_add_literal(buf, "contacthub_request_seconds_bucket{");
		write_route(buf, route);
		if (i < BOUNDS)
			buf_printf(buf, ",le=\"%g\"} %llu\n", (double)bounds_us[i] / US_PER_S, n);
		else
			buf_printf(buf, ",le=\"+Inf\"} %llu\ncontacthub_request_seconds_sum{", n);
	}
	if (!counts->n)
		return;
	write_route(buf, route);
	buf_printf(buf, "} %.6f\ncontacthub_request_seconds_count{", (double)counts->sum_us / US_PER_S);
	write_route(buf, route);
	buf_printf(buf, "} %llu\n", n);
}

void metrics_write_requests(struct buf *buf, const struct metrics *metrics, const struct route *rows, size_t n_rows)
{
	write_head(buf, "contacthub_requests_total", "counter",
	        "Requests that were answered; without a path: those of no operation.");
	for (size_t i = 0; i <= n_rows && i <= metrics->n_routes; i++)
		write_statuses(buf, i < n_rows ? &rows[i] : NULL, &metrics->counts[i]);
	write_head(buf, "contacthub_request_seconds", "histogram", "Time from a request's first line to its answer.");
	for (size_t i = 0; i <= n_rows && i <= metrics->n_routes; i++)
		write_times(buf, i < n_rows ? &rows[i] : NULL, &metrics->counts[i]);
}

/* --- the process and what it needs --- */

static double cpu_seconds(const struct gateway *gateway)
{
	struct rusage used;

	(void)gateway;
	getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / US_PER_S;
}

static double resident_bytes(const struct gateway *gateway)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long n_pages = 0;

	(void)gateway;
	if (file) {
		if (fscanf(file, "%*d %ld", &n_pages) != 1)
			n_pages = 0;
		fclose(file);
	}
	return (double)n_pages * (double)sysconf(_SC_PAGESIZE);
}

static double connections(const struct gateway *gateway)
{
	return (double)http_connections(gateway->http);
}

static double kafka_up(const struct gateway *gateway)
{
	return gateway_kafka_is_up(gateway);
}

static double database_up(const struct gateway *gateway)
{
	return gateway_pg_is_up(gateway);
}

static double waiting(const struct gateway *gateway)
{
	return (double)admission_waiting(gateway->admission);
}

static double dead_letters(const struct gateway *gateway)
{
	return (double)gateway->metrics->dead_letters;
}

/* Those below 0 are not known. */
static const struct {
	const char *name, *type, *help;
	double (*read)(const struct gateway *gateway);
} values[] = {
        {"contacthub_kafka_up", "gauge", "1 while Kafka takes records and their answers come back.", kafka_up},
        {"contacthub_database_up", "gauge", "1 while PostgreSQL answers.", database_up},
        {"contacthub_dead_letters", "gauge",
                "Records that a worker could not apply and that were not sent again; looked at every 10 s.",
                dead_letters},
        {"contacthub_connections", "gauge", "Clients' connections, idle ones included.", connections},
        {"contacthub_requests_waiting", "gauge", "Requests that wait for a place in work.", waiting},
        {"process_cpu_seconds_total", "counter", "User and system time of the gateway.", cpu_seconds},
        {"process_resident_memory_bytes", "gauge", "Resident memory of the gateway.", resident_bytes},
};

static void write_values(struct buf *buf, const struct gateway *gateway)
{
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		double value = values[i].read(gateway);

		if (value < 0)
			continue;
		write_head(buf, values[i].name, values[i].type, values[i].help);
		buf_printf(buf, "%s %.16g\n", values[i].name, value);
	}
}

/* --- kinds of work --- */

static const struct {
	const char *name, *type, *help;
	size_t offset; /* in struct admission_state */
} lane_values[] = {
        {"contacthub_requests_in_work", "gauge", "Requests in work, by what they wait for.",
                offsetof(struct admission_state, in_work)},
        {"contacthub_requests_in_work_limit", "gauge", "So many may be in work at present.",
                offsetof(struct admission_state, limit)},
        {"contacthub_requests_put_off_total", "counter", "Requests that were put off with 503.",
                offsetof(struct admission_state, n_put_off)},
};

static void write_lanes(struct buf *buf, const struct admission *admission)
{
	for (size_t i = 0; i < ARRAY_LEN(lane_values); i++) {
		write_head(buf, lane_values[i].name, lane_values[i].type, lane_values[i].help);
		for (int lane = 0; lane < ADMISSION_LANES; lane++) {
			struct admission_state state = admission_look(admission, (enum admission_lane)lane);
			const size_t *value = (const void *)((const char *)&state + lane_values[i].offset);
			buf_printf(buf, "%s{kind=\"%s\"} %zu\n", lane_values[i].name,
			        admission_lane_name((enum admission_lane)lane), *value);
		}
	}
}

struct str metrics_text(const struct gateway *gateway, struct arena *arena)
{
	struct buf buf;

	buf_init(&buf, arena, (size_t)16 * 1024);
	write_values(&buf, gateway);
	write_lanes(&buf, gateway->admission);
	metrics_write_requests(&buf, gateway->metrics, routes, route_count);
	return buf_str(&buf);
}

/* --- the database --- */

static void take_dead_letters(void *context, uint64_t number, const PGresult *result, const struct err *err)
{
	struct metrics *metrics = context;

	(void)number;
	(void)err;
	metrics->dead_letters = result ? db_i64(result, 0, 0) : -1;
}

void metrics_tick(struct gateway *gateway, int64_t now_us)
{
	struct metrics *metrics = gateway->metrics;
	struct err err = {0};

	if (now_us - metrics->looked_us < LOOK_EVERY_US)
		return;
	metrics->looked_us = now_us;
	if (!pgpool_query(gateway->pool,
	            &(struct pgpool_query){
	                    .statement = "metrics_dead_letters", .on_result = take_dead_letters, .context = metrics},
	            &err))
		metrics->dead_letters = -1;
}
