#include "common/arena.h"
#include "common/buf.h"
#include "common/catalog.h"
#include "common/clock.h"
#include "gateway/customer_access.h"
#include "gateway/handlers.h"
#include "gateway/stat_series.h"

/* The analytics operations read the counters that stats-rollup keeps; those on one customer read its events. */

#define YEAR 12
#define NO_LIMIT 1200
#define BY_MODE                                                                                                        \
	{                                                                                                              \
		1 * YEAR, 5 * YEAR, 10 * YEAR                                                                          \
	}
#define SAME(months)                                                                                                   \
	{                                                                                                              \
		months, months, months                                                                                 \
	}

static request_result_fn answer_text, answer_series, answer_info, answer_nodes;

/* By number of the operation. */
static const struct stat_operation {
	const char *statement;
	bool has_range;
	struct stat_range_rule range;
	const char *kind_name;    /* a parameter with a choice of words, or NULL */
	const char *const *kinds; /* the first is the default; ends with NULL */
	int deleted_limit_months; /* where kind is DELETED */
	request_result_fn *answer;
	struct stat_series series; /* of answer_series; mode and days are the request's */
	bool by_category;          /* points have event types; their series are the categories */
} operations[] = {
        [1] = {.statement = "stat_categories",
                .answer = answer_series,
                .series = {.texts = true},
                .by_category = true,
                .has_range = true,
                .range = {.has_mode = true, .mode = STAT_DAILY, .default_months = YEAR, .limit_months = BY_MODE}},
        [2] = {.statement = "stat_buying",
                .answer = answer_text,
                .has_range = true,
                .range = {.default_months = YEAR, .limit_months = SAME(NO_LIMIT)}},
        [3] = {.statement = "stat_total", .answer = answer_info},
        [4] = {.statement = "stat_nodes", .answer = answer_nodes},
        [5] = {.statement = "stat_snapshot", .answer = answer_text},
        [6] = {.statement = "stat_added",
                .answer = answer_series,
                .series = {.category = {"addedCustomers", 14}},
                .has_range = true,
                .range = {.has_mode = true, .mode = STAT_MONTHLY, .default_months = YEAR, .limit_months = BY_MODE}},
        [7] = {.statement = "stat_channels", .answer = answer_text},
        [8] = {.statement = "stat_updated_customers",
                .answer = answer_series,
                .series = {.category = {"customers", 9}},
                .has_range = true,
                .range = {.default_months = 1, .limit_months = SAME(YEAR)},
                .kind_name = "type",
                .kinds = (const char *const[]){"ADDED", "UPDATED", "DELETED", NULL},
                .deleted_limit_months = 1},
        [9] = {.statement = "stat_updated_events",
                .answer = answer_series,
                .has_range = true,
                .range = {.default_months = 1, .limit_months = SAME(YEAR)},
                .kind_name = "type",
                .kinds = (const char *const[]){"ADDED", "UPDATED", "DELETED", NULL},
                .deleted_limit_months = 1},
        [10] = {.statement = "stat_types",
                .answer = answer_series,
                .series = {.has_context = true},
                .has_range = true,
                .range = {.default_months = 1, .limit_months = SAME(YEAR)},
                .kind_name = "context",
                .kinds = (const char *const[]){"ALL", "WEB", "MOBILE", "ECOMMERCE", "RETAIL", "SOCIAL",
                        "DIGITAL_CAMPAIGN", "CONTACT_CENTER", "IOT", "OTHER", NULL}},
        [11] = {.statement = "stat_purchases",
                .answer = answer_text,
                .has_range = true,
                .range = {.default_months = 1, .limit_months = SAME(NO_LIMIT)},
                .kind_name = "type",
                .kinds = (const char *const[]){"ALL", "ECOMMERCE", "RETAIL", NULL}},
        [12] = {.statement = "stat_ecommerce",
                .answer = answer_text,
                .has_range = true,
                .range = {.default_months = 1, .limit_months = SAME(NO_LIMIT)}},
        [13] = {.statement = "stat_web",
                .answer = answer_text,
                .has_range = true,
                .range = {.default_months = 1, .limit_months = SAME(NO_LIMIT)}},
};

/* One request. */
struct stats {
	const struct stat_operation *operation;
	struct stat_range range;
	const char *kind;
	const struct config_node *node; /* the one asked for, or NULL */
	struct uuid customer;
	struct db_array nodes;
	struct page page;
};

static struct stats *begin(struct request *request)
{
	struct stats *stats = arena_zalloc(request_arena(request), sizeof(*stats));

	stats->operation = &operations[request_route(request)->operation];
	db_array_init(&stats->nodes, request_arena(request), DB_UUID);
	request_set_state(request, stats);
	return stats;
}

/* --- what is asked for --- */

static void read_kind(struct request *request, struct stats *stats, struct problems *problems)
{
	const struct stat_operation *operation = stats->operation;
	char path[32];

	if (!operation->kind_name)
		return;
	struct str text = request_param(request, operation->kind_name);
	stats->kind = operation->kinds[0];
	if (!text.n)
		return;
	for (size_t i = 0; operation->kinds[i]; i++) {
		if (!str_is(text, operation->kinds[i]))
			continue;
		stats->kind = operation->kinds[i];
		return;
	}
	snprintf(path, sizeof(path), "/%s", operation->kind_name);
	problems_add(problems, str_of(path), "is not one of the values that this operation knows");
}

/* False when it has been answered. */
static bool read_asked(struct request *request, struct stats *stats)
{
	struct problems *problems = arena_alloc(request_arena(request), sizeof(*problems));
	struct stat_range_rule rule = stats->operation->range;

	problems_init(problems, request_arena(request));
	read_kind(request, stats, problems);
	if (stats->kind && !strcmp(stats->kind, "DELETED"))
		for (size_t i = 0; i < ARRAY_LEN(rule.limit_months); i++)
			rule.limit_months[i] = stats->operation->deleted_limit_months;
	if (stats->operation->has_range)
		stat_range_read(&rule, request_param(request, "start"), request_param(request, "end"),
		        request_param(request, "mode"), clock_wall_us(), &stats->range, problems);
	if (!problems->n)
		return true;
	request_fail_problems(request, STR("The parameters are not valid"), problems);
	return false;
}

/* The node asked for, or the entry nodes that the caller may read: with aggregate nodes customers would count twice. */
static bool read_nodes(struct request *request, struct stats *stats)
{
	const struct config_workspace *workspace = request_workspace(request);
	struct str node_id = request_param(request, "nodeId");

	if (node_id.n) {
		if (!request_node_access(request, node_id, false, &stats->node))
			return false;
		db_array_uuid(&stats->nodes, &stats->node->id);
		return true;
	}
	for (size_t i = 0; i < config_node_count(workspace); i++) {
		const struct config_node *node = config_node_at(workspace, i);
		if (!node->aggregate && request_may_use_node(request, &node->id, false))
			db_array_uuid(&stats->nodes, &node->id);
	}
	return true;
}

static void send_query(struct request *request, struct stats *stats)
{
	struct db_params *params = request_params(request);

	db_param_array(params, &stats->nodes);
	db_param_i64(params, stats->range.start_us);
	db_param_i64(params, stats->range.end_us);
	db_param_text(params, stats->kind ? str_of(stats->kind) : STR("ALL"));
	db_param_uuid(params, &stats->customer);
	request_query(request, stats->operation->statement, NULL, params, stats->operation->answer);
}

/* --- answers --- */

static void add_parameter(struct buf *buf, const char *name, const char *value)
{
	buf_printf(buf, "%s\"%s\":\"%s\"", buf->p[buf->n - 1] == '{' ? "" : ",", name, value);
}

static void write_parameters(struct buf *buf, const struct stats *stats)
{
	char text[TIME_TEXT_BYTES + 1], id[UUID_TEXT_BYTES + 1];

	buf_add_literal(buf, "{\"parameters\":{");
	if (stats->operation->has_range) {
		time_format(stats->range.start_us, text);
		add_parameter(buf, "start", text);
		time_format(stats->range.end_us, text);
		add_parameter(buf, "end", text);
	}
	if (stats->operation->range.has_mode)
		add_parameter(buf, "mode", stat_mode_names[stats->range.mode]);
	if (stats->node) {
		uuid_format(&stats->node->id, id);
		add_parameter(buf, "nodeId", id);
	}
	if (stats->kind)
		add_parameter(buf, stats->operation->kind_name, stats->kind);
	buf_add_literal(buf, "}");
}

static void begin_body(struct request *request, struct buf *body, size_t bytes)
{
	buf_init(body, request_arena(request), bytes + 512);
	write_parameters(body, request_state(request));
	buf_add_literal(body, ",\"data\":");
}

static void end_body(struct request *request, struct buf *body)
{
	buf_add_char(body, '}');
	request_answer(request, 200, buf_str(body));
}

static void answer_text(struct request *request, const PGresult *rows)
{
	struct str data = db_text(rows, 0, 0);
	struct buf body;

	begin_body(request, &body, data.n);
	buf_add_str(&body, data);
	end_body(request, &body);
}

/* Columns of a series' rows; the range stands in every row, and the only row has no day when nothing was counted. */
enum { ROW_FIRST, ROW_LAST, ROW_CATEGORY, ROW_CONTEXT, ROW_DAY, ROW_N };

static struct str category_of(const struct stat_operation *operation, struct str label)
{
	const struct event_type *type = operation->by_category ? event_type_find(label) : NULL;

	return type ? type->category : label;
}

static void answer_series(struct request *request, const PGresult *rows)
{
	const struct stats *stats = request_state(request);
	struct arena *arena = request_arena(request);
	struct stat_series series = stats->operation->series;
	size_t n = db_is_null(rows, 0, ROW_DAY) ? 0 : (size_t)PQntuples(rows);
	struct stat_point *points = arena_zalloc(arena, (n + 1) * sizeof(*points));
	struct buf body;

	series.mode = stats->range.mode;
	series.first = (int32_t)db_i64(rows, 0, ROW_FIRST);
	series.last = (int32_t)db_i64(rows, 0, ROW_LAST);
	for (size_t i = 0; i < n; i++) {
		int row = (int)i;
		points[i] =
		        (struct stat_point){.category = category_of(stats->operation, db_text(rows, row, ROW_CATEGORY)),
		                .context = db_text(rows, row, ROW_CONTEXT),
		                .day = (int32_t)db_i64(rows, row, ROW_DAY),
		                .n = db_i64(rows, row, ROW_N)};
	}
	begin_body(request, &body, 64UL * 1024);
	stat_series_write(&body, arena, &series, points, n);
	end_body(request, &body);
}

/* Operations 5 to 13. */
void stats_get(struct request *request)
{
	struct stats *stats = begin(request);

	if (read_nodes(request, stats) && read_asked(request, stats))
		send_query(request, stats);
}

static void of_customer(struct request *request, const struct uuid *customer, const struct config_node *node)
{
	struct stats *stats = begin(request);

	if (!node) {
		customer_not_found(request);
		return;
	}
	stats->customer = *customer;
	if (read_asked(request, stats))
		send_query(request, stats);
}

/* Operations 1 and 2. */
void customer_stats_get(struct request *request)
{
	customer_find_node(request, false, of_customer);
}

static void add_text_member(struct json *object, struct arena *arena, struct str name, struct str value)
{
	json_add(object, name, json_new_str(arena, value));
}

static void answer_info(struct request *request, const PGresult *rows)
{
	static const struct str names[] = {{"id", 2}, {"name", 4}, {"status", 6}};
	struct arena *arena = request_arena(request);
	const struct json *doc = config_workspace_doc(request_workspace(request));
	struct json *info = json_new(arena, JSON_OBJECT);

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		add_text_member(info, arena, names[i], json_text(json_get(doc, names[i])));
	uint64_t customers = 0;

	str_to_u64(db_text(rows, 0, 0), INT64_MAX, &customers);
	json_add(info, STR("customers"), json_new_i64(arena, (int64_t)customers));
	request_answer_json(request, 200, info);
}

void stats_info(struct request *request)
{
	struct stats *stats = begin(request);

	if (read_nodes(request, stats))
		send_query(request, stats);
}

static void answer_nodes(struct request *request, const PGresult *rows)
{
	const struct stats *stats = request_state(request);
	const struct config_workspace *workspace = request_workspace(request);
	struct arena *arena = request_arena(request);
	struct err err = {0};
	struct json *counts = json_parse(arena, arena_str(arena, db_text(rows, 0, 0)), &err);
	struct json *elements = json_new(arena, JSON_ARRAY);
	int64_t seen = 0, first = stats->page.number * stats->page.size;

	for (size_t i = 0; i < config_node_count(workspace); i++) {
		const struct config_node *node = config_node_at(workspace, i);
		char id[UUID_TEXT_BYTES + 1];
		if (!request_may_use_node(request, &node->id, false))
			continue;
		if (seen++ < first || seen > first + stats->page.size)
			continue;
		uuid_format(&node->id, id);
		const struct json *count = json_get(counts, str_of(id));
		struct json *element = json_new(arena, JSON_OBJECT);
		add_text_member(element, arena, STR("id"), arena_str(arena, str_of(id)));
		add_text_member(element, arena, STR("name"), node->name);
		add_text_member(element, arena, STR("type"), node->aggregate ? STR("AGGREGATE") : STR("ENTRY"));
		json_add(element, STR("customers"), count ? json_copy(arena, count, false) : json_new_i64(arena, 0));
		json_add(element, STR("plan"), json_new_bool(arena, false));
		json_add(element, STR("send"), json_new(arena, JSON_NULL));
		json_append(elements, element);
	}
	request_answer_page(request, &stats->page, seen, elements);
}

#define NODES_DEFAULT_SIZE 20
#define NODES_MAX_SIZE 50

void stats_nodes(struct request *request)
{
	struct stats *stats = begin(request);
	const struct config_workspace *workspace = request_workspace(request);

	if (!request_page(request, NODES_DEFAULT_SIZE, NODES_MAX_SIZE, &stats->page))
		return;
	for (size_t i = 0; i < config_node_count(workspace); i++)
		db_array_uuid(&stats->nodes, &config_node_at(workspace, i)->id);
	send_query(request, stats);
}
