#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include "common/buf.h"
#include "common/db.h"

struct arena;
struct gateway;
struct route;

/*
 * What the gateway has counted since it began, as Prometheus reads it (text exposition format 0.0.4). Names, labels and
 * bounds are what dashboards and alarms are made of: they stay. A label holds nothing of a request but its route.
 */
struct metrics;

/* Dies without memory. n_routes: of the table that is given to metrics_write_requests. */
struct metrics *metrics_new(size_t n_routes);

/* A request was answered. route: its row, n_routes = none. took_us: from its first line to its answer. */
void metrics_count(struct metrics *metrics, size_t route, unsigned status, int64_t took_us);
/* Requests by route and status, and how long they took; routes that nobody asked for are left out. */
void metrics_write_requests(struct buf *buf, const struct metrics *metrics, const struct route *rows, size_t n_rows);

/* All that there is to say. */
struct str metrics_text(const struct gateway *gateway, struct arena *arena);

/* At least once a second: looks into the database now and then for what the workers could not apply. */
void metrics_tick(struct gateway *gateway, int64_t now_us);
extern const struct statement metrics_statements[];
extern const size_t metrics_statement_count;

#endif
