/* Rows of bulk jobs: what a header and a row become, without tables. */

#include "common/arena.h"
#include "common/buf.h"
#include "common/event.h"
#include "unit.h"
#include "workers/bulk_processor/row.h"

static const struct uuid node = {{0xb0, [6] = 0x40, [8] = 0x80}};
static const struct uuid job = {{0x01, 0x9a, [6] = 0x70, [8] = 0x80, [15] = 7}};
static const struct uuid workspace = {{0xa0, [6] = 0x40, [8] = 0x80}};
#define NODE_TEXT "b0000000-0000-4000-8000-000000000000"
#define CUSTOMER_TEXT "d0000000-0000-4000-8000-000000000001"

static const char extended_text[] = "{\"customer\":{\"points\":{\"type\":\"integer\"},\"vip\":{\"type\":\"boolean\"},"
                                    "\"note\":{\"type\":\"string\"},"
                                    "\"sizes\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
                                    "\"car\":{\"type\":\"object\",\"properties\":{\"doors\":{\"type\":\"number\"}}},"
                                    "\"boat\":{\"type\":\"object\",\"properties\":{\"sails\":{\"type\":\"number\"}},"
                                    "\"contactlabProperties\":{\"enabled\":false}}}}";

static const struct json *find_extended(const void *context, struct str set)
{
	return json_get(context, set);
}

/* --- headers --- */

static const struct {
	const char *name;
	enum bulk_entity entity;
	const char *type; /* of the form */
	const char *header;
	const char *fault; /* part of the sentence; NULL = none */
} headers[] = {
        {"customers", BULK_CUSTOMER, NULL, "id,externalId,base.contacts.email,extended.car.doors,tags.manual", NULL},
        {"blanks around names", BULK_CUSTOMER, NULL, " externalId ,\tbase.dob", NULL},
        {"objects and lists", BULK_CUSTOMER, NULL, "base.address,base.subscriptions,consents", NULL},
        {"an object with references", BULK_CUSTOMER, NULL,
                "base.address.geo.lat,consents.marketing.automatic.email.status", NULL},
        {"an unknown property", BULK_CUSTOMER, NULL, "externalId,base.shoeSize", "base.shoeSize names nothing"},
        {"an undeclared extended property", BULK_CUSTOMER, NULL, "extended.nothing", "extended.nothing names nothing"},
        {"a member of a disabled property", BULK_CUSTOMER, NULL, "externalId,extended.boat.sails", NULL},
        {"another separator", BULK_CUSTOMER, NULL, "externalId;base.firstName", "is known: commas separate cells"},
        {"inside a scalar", BULK_CUSTOMER, NULL, "externalId.x", "names nothing"},
        {"inside a list", BULK_CUSTOMER, NULL, "base.subscriptions.id", "names nothing"},
        {"the same twice", BULK_CUSTOMER, NULL, "externalId,base.dob,externalId", "is there twice"},
        {"one inside another", BULK_CUSTOMER, NULL, "base.address.city,externalId,base.address", "exclude each other"},
        {"a common beginning", BULK_CUSTOMER, NULL, "base.firstName,base.lastName,extra", NULL},
        {"no name", BULK_CUSTOMER, NULL, "externalId,", "has no name"},
        {"no UTF-8", BULK_CUSTOMER, NULL, "externalId,\xff", "not UTF-8"},
        {"events", BULK_EVENT, "viewedPage", "customerId,context,date,properties.url,contextInfo.client.ip", NULL},
        {"events of many types", BULK_EVENT, NULL, "type,externalId,context,properties.anything", NULL},
        {"events with bring-back", BULK_EVENT, "viewedPage",
                "bringBackProperties.type,bringBackProperties.value,bringBackProperties.nodeId,sessionId", NULL},
        {"events with an unknown property", BULK_EVENT, "viewedPage", "customerId,properties.colour",
                "properties.colour names nothing"},
        {"events with an unknown member", BULK_EVENT, "viewedPage", "customerId,colour", "colour names nothing"},
        {"events with unknown tracking", BULK_EVENT, "viewedPage", "tracking.colour", "names nothing"},
        {"a prefix alone", BULK_EVENT, "viewedPage", "properties.", "names nothing"},
};

struct desk {
	struct arena *arena;
	struct row_rules rules;
	struct csv_row header;
	struct json *body; /* JSON of the last row's command */
};

static void lay(struct desk *desk, enum bulk_entity entity, enum bulk_operation operation, const char *type)
{
	static const struct str unique[] = {{"base.contacts.email", 19}};
	struct err err = {0};

	arena_reset(desk->arena);
	desk->rules = (struct row_rules){.job = job,
	        .workspace = workspace,
	        .node = node,
	        .operation = operation,
	        .entity = entity,
	        .event_type = type ? event_type_find(str_of(type)) : NULL,
	        .workspace_partition = 3,
	        .event_partitions = 8,
	        .policy = {.unique = unique, .n_unique = 1},
	        .tracking = schema_compile(
	                desk->arena, catalog_resolve(STR("common.json#/definitions/Tracking")), NULL, NULL, &err)};
	const struct json *extended = json_parse(desk->arena, str_of(extended_text), &err);
	desk->rules.schemas = schema_set_new(
	        desk->arena, &(struct schema_declarations){.extended = find_extended, .context = extended});
	for (size_t i = 0; i < EVENT_TYPE_COUNT; i++)
		desk->rules.event_bytes[i] = 65535;
}

static bool read_header(struct desk *desk, const char *text, struct err *err)
{
	assert_int_equal(csv_next(desk->arena, str_of(text), true, true, &desk->header), CSV_ROW);
	return columns_read(desk->arena, desk->rules.schemas, desk->rules.entity, desk->rules.event_type, &desk->header,
	        &desk->rules.columns, err);
}

static void headers_are_read(void **state)
{
	struct desk desk = {.arena = arena_new(64 * 1024 * 1024)};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		struct err err = {0};
		lay(&desk, headers[i].entity, BULK_UPSERT, headers[i].type);
		bool good = read_header(&desk, headers[i].header, &err);
		if (good != !headers[i].fault || (!good && !strstr(err.message, headers[i].fault)))
			CASE_FAIL(headers[i].name, "read: %d, \"%s\"", good, err.message);
	}
	arena_free(desk.arena);
}

/* --- rows --- */

static const struct {
	const char *name;
	enum bulk_entity entity;
	enum bulk_operation operation;
	const char *header, *row;
	const char *why; /* part of the reason; NULL = the row is good */
	enum command_type type;
	unsigned flags; /* besides KEYED and BULK */
	enum row_lookup lookup;
	const char *body; /* JSON; NULL = not looked at */
} rows[] = {
        {"a customer", BULK_CUSTOMER, BULK_UPSERT, "externalId,base.firstName", "1,Ann", NULL, COMMAND_CUSTOMER_POST, 0,
                LOOKUP_NONE, "{\"externalId\":\"1\",\"base\":{\"firstName\":\"Ann\"}}"},
        {"a new customer", BULK_CUSTOMER, BULK_INSERT, "externalId", "1", NULL, COMMAND_CUSTOMER_POST,
                COMMAND_INSERT_ONLY, LOOKUP_NONE, "{\"externalId\":\"1\"}"},
        {"a customer by id", BULK_CUSTOMER, BULK_UPSERT, "id,base.firstName", CUSTOMER_TEXT ",Ann", NULL,
                COMMAND_CUSTOMER_PATCH, 0, LOOKUP_NONE, "{\"base\":{\"firstName\":\"Ann\"}}"},
        {"an empty id", BULK_CUSTOMER, BULK_UPSERT, "id,base.firstName", ",Ann", NULL, COMMAND_CUSTOMER_POST, 0,
                LOOKUP_NONE, "{\"base\":{\"firstName\":\"Ann\"}}"},
        {"an id that is none", BULK_CUSTOMER, BULK_UPSERT, "id", "x", "customer not found x", 0, 0, LOOKUP_NONE, NULL},
        {"a new customer with an id", BULK_CUSTOMER, BULK_INSERT, "id", CUSTOMER_TEXT, "takes no id", 0, 0, LOOKUP_NONE,
                NULL},
        {"empty cells are absent", BULK_CUSTOMER, BULK_UPSERT, "externalId,base.firstName,base.contacts.email",
                "1,,\"\"", NULL, COMMAND_CUSTOMER_POST, 0, LOOKUP_NONE, "{\"externalId\":\"1\"}"},
        {"both halves of a place unset it", BULK_CUSTOMER, BULK_UPSERT,
                "externalId,base.address.geo.lat,base.address.city,base.address.geo.lon", "1,null,Rome,null", NULL,
                COMMAND_CUSTOMER_POST, 0, LOOKUP_NONE,
                "{\"externalId\":\"1\",\"base\":{\"address\":{\"geo\":null,\"city\":\"Rome\"}}}"},
        {"half of a place", BULK_CUSTOMER, BULK_UPSERT, "base.address.geo.lat,base.address.geo.lon", "1.5,",
                "/base/address/geo/lon: is required", 0, 0, LOOKUP_NONE, NULL},
        {"a coordinate alone unset", BULK_CUSTOMER, BULK_UPSERT, "base.address.geo.lat", "null",
                "/base/address/geo/lon: is required", 0, 0, LOOKUP_NONE, NULL},
        {"half of a place unset", BULK_CUSTOMER, BULK_UPSERT, "base.address.geo.lat,base.address.geo.lon", "null,2",
                "/base/address/geo/lat: must be a number", 0, 0, LOOKUP_NONE, NULL},
        {"nothing of a disabled property", BULK_CUSTOMER, BULK_UPSERT, "externalId,extended.boat.sails", "1,", NULL,
                COMMAND_CUSTOMER_POST, 0, LOOKUP_NONE, "{\"externalId\":\"1\"}"},
        {"something of a disabled property", BULK_CUSTOMER, BULK_UPSERT, "externalId,extended.boat.sails", "1,2",
                "/extended/boat/sails: must be null", 0, 0, LOOKUP_NONE, NULL},
        {"null unsets", BULK_CUSTOMER, BULK_UPSERT, "base.firstName,base.lastName,base.contacts", "null,\"null\",null",
                NULL, COMMAND_CUSTOMER_POST, 0, LOOKUP_NONE,
                "{\"base\":{\"firstName\":null,\"lastName\":\"null\",\"contacts\":null}}"},
        {"types of the schema", BULK_CUSTOMER, BULK_UPSERT,
                "extended.points,extended.vip,extended.note,extended.sizes,extended.car.doors",
                "12,TRUE,7,\"[\"\"S\"\"]\",1e1", NULL, COMMAND_CUSTOMER_POST, 0, LOOKUP_NONE,
                "{\"extended\":{\"points\":12,\"vip\":true,\"note\":\"7\",\"sizes\":[\"S\"],\"car\":{\"doors\":1e1}}}"},
        {"a number that is none", BULK_CUSTOMER, BULK_UPSERT, "extended.points", "twelve", "/extended/points", 0, 0,
                LOOKUP_NONE, NULL},
        {"an integer that is none", BULK_CUSTOMER, BULK_UPSERT, "extended.points", "1.5", "/extended/points", 0, 0,
                LOOKUP_NONE, NULL},
        {"a boolean that is none", BULK_CUSTOMER, BULK_UPSERT, "extended.vip", "yes", "/extended/vip", 0, 0,
                LOOKUP_NONE, NULL},
        {"a list that is none", BULK_CUSTOMER, BULK_UPSERT, "tags.manual", "[1",
                "/tags/manual: the cell must hold JSON", 0, 0, LOOKUP_NONE, NULL},
        {"a list of other things", BULK_CUSTOMER, BULK_UPSERT, "extended.sizes", "[1]", "/extended/sizes", 0, 0,
                LOOKUP_NONE, NULL},
        {"a date that is none", BULK_CUSTOMER, BULK_UPSERT, "base.dob", "1980-02-30", "/base/dob", 0, 0, LOOKUP_NONE,
                NULL},
        {"subscriptions and consents", BULK_CUSTOMER, BULK_UPSERT,
                "base.subscriptions,consents.marketing.automatic.sms.status",
                "\"[{\"\"id\"\":\"\"n\"\",\"\"subscribed\"\":true}]\",false", NULL, COMMAND_CUSTOMER_POST, 0,
                LOOKUP_NONE,
                "{\"base\":{\"subscriptions\":[{\"id\":\"n\",\"subscribed\":true}]},\"consents\":{\"marketing\":"
                "{\"automatic\":{\"sms\":{\"status\":false}}}}}"},
        {"the job's node", BULK_CUSTOMER, BULK_UPSERT, "nodeId,externalId", NODE_TEXT ",1", NULL, COMMAND_CUSTOMER_POST,
                0, LOOKUP_NONE, "{\"externalId\":\"1\"}"},
        {"another node", BULK_CUSTOMER, BULK_UPSERT, "nodeId,externalId", CUSTOMER_TEXT ",1", "/nodeId", 0, 0,
                LOOKUP_NONE, NULL},
        {"too few cells", BULK_CUSTOMER, BULK_UPSERT, "externalId,base.dob", "1", "1 cells, the header 2", 0, 0,
                LOOKUP_NONE, NULL},
        {"no UTF-8", BULK_CUSTOMER, BULK_UPSERT, "externalId", "\xff", "not UTF-8", 0, 0, LOOKUP_NONE, NULL},
        {"a quote at a wrong place", BULK_CUSTOMER, BULK_UPSERT, "externalId", "a\"b", "a quote", 0, 0, LOOKUP_NONE,
                NULL},
        {"a deletion by id", BULK_CUSTOMER, BULK_DELETE, "id,externalId", CUSTOMER_TEXT ",1", NULL,
                COMMAND_CUSTOMER_DELETE, 0, LOOKUP_NONE, NULL},
        {"a deletion by unique properties", BULK_CUSTOMER, BULK_DELETE, "base.contacts.email,externalId", "a@b.c,1",
                NULL, COMMAND_CUSTOMER_DELETE, 0, LOOKUP_KEY, NULL},
        {"a deletion by external id", BULK_CUSTOMER, BULK_DELETE, "base.contacts.email,externalId", ",1", NULL,
                COMMAND_CUSTOMER_DELETE, 0, LOOKUP_EXTERNAL_ID, NULL},
        {"a deletion of nobody", BULK_CUSTOMER, BULK_DELETE, "base.firstName", "Ann", "names no customer", 0, 0,
                LOOKUP_NONE, NULL},
        {"an event of a customer", BULK_EVENT, BULK_INSERT, "customerId,context,properties.url",
                CUSTOMER_TEXT ",WEB,http://a", NULL, COMMAND_EVENT_POST, 0, LOOKUP_CUSTOMER,
                "{\"properties\":{\"url\":\"http://a\"},\"contextInfo\":{},\"tracking\":null}"},
        {"nothing to unset in a new event", BULK_EVENT, BULK_UPSERT,
                "id,customerId,context,type,properties.orderId,properties.amount.total,contextInfo.client.ip,"
                "tracking.ga.utm_source",
                "null," CUSTOMER_TEXT ",WEB,completedOrder,17,null,null,null", NULL, COMMAND_EVENT_POST, 0,
                LOOKUP_CUSTOMER, "{\"properties\":{\"orderId\":\"17\"},\"contextInfo\":{},\"tracking\":null}"},
        {"an event of an external id", BULK_EVENT, BULK_UPSERT, "externalId,context", "7,WEB", NULL, COMMAND_EVENT_POST,
                COMMAND_BRING_BACK, LOOKUP_BINDING, NULL},
        {"an event of a session", BULK_EVENT, BULK_INSERT, "sessionId,context,type", "7,WEB,loggedIn", NULL,
                COMMAND_EVENT_POST, COMMAND_BRING_BACK | COMMAND_SESSION_BIND, LOOKUP_NONE, NULL},
        {"an event as the API says it", BULK_EVENT, BULK_INSERT,
                "bringBackProperties.type,bringBackProperties.value,bringBackProperties.nodeId,context",
                "EXTERNAL_ID,7," NODE_TEXT ",WEB", NULL, COMMAND_EVENT_POST, COMMAND_BRING_BACK, LOOKUP_BINDING, NULL},
        {"an event of another node", BULK_EVENT, BULK_INSERT,
                "bringBackProperties.value,bringBackProperties.nodeId,context", "7," CUSTOMER_TEXT ",WEB",
                "/bringBackProperties/nodeId", 0, 0, LOOKUP_NONE, NULL},
        {"an event of nobody", BULK_EVENT, BULK_INSERT, "externalId,context", ",WEB", "/customerId", 0, 0, LOOKUP_NONE,
                NULL},
        {"an event of two", BULK_EVENT, BULK_INSERT, "externalId,sessionId,context", "1,2,WEB", "exclude each other", 0,
                0, LOOKUP_NONE, NULL},
        {"an event without a context", BULK_EVENT, BULK_INSERT, "externalId", "1", "/context", 0, 0, LOOKUP_NONE, NULL},
        {"an event of an unknown type", BULK_EVENT, BULK_INSERT, "externalId,context,type", "1,WEB,x", "/type", 0, 0,
                LOOKUP_NONE, NULL},
        {"wrong properties", BULK_EVENT, BULK_INSERT, "externalId,context,type,properties.amount.total",
                "1,ECOMMERCE,completedOrder,much", "/properties/amount/total", 0, 0, LOOKUP_NONE, NULL},
        {"types of the row's event", BULK_EVENT, BULK_INSERT,
                "externalId,context,type,properties.orderId,properties.amount.total",
                "1,ECOMMERCE,completedOrder,17,12.50", NULL, COMMAND_EVENT_POST, COMMAND_BRING_BACK, LOOKUP_BINDING,
                "{\"properties\":{\"orderId\":\"17\",\"amount\":{\"total\":12.50}},\"contextInfo\":{},\"tracking\":"
                "null}"},
        {"a wrong date", BULK_EVENT, BULK_INSERT, "externalId,context,date", "1,WEB,yesterday", "/date", 0, 0,
                LOOKUP_NONE, NULL},
        {"an event by id", BULK_EVENT, BULK_UPSERT, "id,properties.url", CUSTOMER_TEXT ",http://a", NULL,
                COMMAND_EVENT_PATCH, COMMAND_IF_DIFFERENT, LOOKUP_EVENT, NULL},
        {"an event by id alone", BULK_EVENT, BULK_UPSERT, "id,properties.amount.total,contextInfo.store,type",
                CUSTOMER_TEXT ",12.5,\"{\"\"id\"\":\"\"s\"\"}\",", NULL, COMMAND_EVENT_PATCH, COMMAND_IF_DIFFERENT,
                LOOKUP_EVENT, NULL},
        {"an event by id and external id", BULK_EVENT, BULK_UPSERT, "id,externalId,sessionId", CUSTOMER_TEXT ",7,null",
                NULL, COMMAND_EVENT_PATCH, COMMAND_IF_DIFFERENT, LOOKUP_EVENT, NULL},
        {"an event by id and session", BULK_EVENT, BULK_UPSERT, "id,externalId,sessionId", CUSTOMER_TEXT ",,7", NULL,
                COMMAND_EVENT_PATCH, COMMAND_IF_DIFFERENT, LOOKUP_EVENT, NULL},
        {"a new event with an id", BULK_EVENT, BULK_INSERT, "id,context", CUSTOMER_TEXT ",WEB", "takes no id", 0, 0,
                LOOKUP_NONE, NULL},
        {"an event's deletion", BULK_EVENT, BULK_DELETE, "id", CUSTOMER_TEXT, NULL, COMMAND_EVENT_DELETE, 0,
                LOOKUP_EVENT, NULL},
        {"an event's deletion without an id", BULK_EVENT, BULK_DELETE, "id,context", ",WEB", "names no event", 0, 0,
                LOOKUP_NONE, NULL},
};

static struct row make(struct desk *desk, size_t i, bool resend)
{
	struct row row = {.line = 5, .resend = resend};
	struct csv_row cells;
	struct err err = {0};
	struct str raw = str_of(rows[i].row);

	lay(desk, rows[i].entity, rows[i].operation, strstr(rows[i].header, ",type") ? NULL : "viewedPage");
	if (!read_header(desk, rows[i].header, &err))
		CASE_FAIL(rows[i].name, "the header: %s", err.message);
	assert_int_equal(csv_next(desk->arena, raw, false, true, &cells), CSV_ROW);
	row_make(desk->arena, &desk->rules, &cells, raw, &row);
	return row;
}

static struct str body_json(const struct row *row)
{
	struct event_body body;
	struct err err = {0};

	if (row->topic != TOPIC_EVENT_COMMANDS)
		return row->command.body;
	assert_true(event_body_decode(row->command.body, &body, &err));
	return body.json;
}

static void check_body(struct desk *desk, size_t i, const struct row *row)
{
	struct err err = {0};
	struct str text = body_json(row);
	const struct json *body = json_parse(desk->arena, text, &err);
	const struct json *expected = json_parse(desk->arena, str_of(rows[i].body), &err);

	if (!body || !expected || !json_equal(body, expected))
		CASE_FAIL(rows[i].name, "the body %.*s is not %s", STR_ARG(text), rows[i].body);
}

static void rows_become_commands(void **state)
{
	struct desk desk = {.arena = arena_new(64 * 1024 * 1024)};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct row row = make(&desk, i, false);
		struct str why = arena_str(desk.arena, row.why);
		if (!why.p != !rows[i].why || (why.p && !strstr(why.p, rows[i].why)))
			CASE_FAIL(rows[i].name, "\"%.*s\"", STR_ARG(why));
		if (why.p)
			continue;
		if (row.command.type != rows[i].type || row.lookup != rows[i].lookup ||
		        row.command.flags != (rows[i].flags | COMMAND_KEYED | COMMAND_BULK))
			CASE_FAIL(rows[i].name, "type %d, look-up %d, flags %x", row.command.type, row.lookup,
			        row.command.flags);
		if (rows[i].body)
			check_body(&desk, i, &row);
		assert_true(uuid_eq(&row.command.node, &node));
		assert_true(row.topic == TOPIC_EVENT_COMMANDS || row.partition == 3);
	}
	arena_free(desk.arena);
}

/* What was sent before is made again, whatever has changed since, and is the same command. */
static void rows_that_were_sent_are_made_again(void **state)
{
	struct desk desk = {.arena = arena_new(64 * 1024 * 1024)};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct row first = make(&desk, i, false);
		struct uuid id = first.command.id, entity = first.command.entity;
		uint64_t fingerprint = first.command.fingerprint;
		bool good = !first.why.p;
		struct row again = make(&desk, i, true);
		assert_true(uuid_eq(&again.command.id, &id) && again.command.fingerprint == fingerprint);
		if (good && (again.why.p || !uuid_eq(&again.command.entity, &entity)))
			CASE_FAIL(rows[i].name, "is another command: %.*s", STR_ARG(again.why));
	}
	/* a schema that says no by now is not asked */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcmp(rows[i].name, "a date that is none"))
			assert_null(make(&desk, i, true).why.p);
	arena_free(desk.arena);
}

/* The row of that name, made and finished with the event that it names; what the latter took of the arena. */
static struct row change(struct desk *desk, const char *name, const struct event_row *event, size_t *ret_bytes)
{
	size_t i = 0;

	while (strcmp(rows[i].name, name) != 0)
		i++;
	struct row row = make(desk, i, false);
	row.event = event;
	row.n_found = 1;
	*ret_bytes = arena_used_bytes(desk->arena);
	row_finish(desk->arena, &desk->rules, &row);
	*ret_bytes = arena_used_bytes(desk->arena) - *ret_bytes;
	return row;
}

/* Cells are what the event's type and context say, which the row need not repeat. */
static void events_are_changed_by_their_own_types(void **state)
{
	struct desk desk = {.arena = arena_new(64 * 1024 * 1024)};
	struct event_row event = {.node = node,
	        .type = STR("completedOrder"),
	        .context = STR("RETAIL"),
	        .json = STR("{\"properties\":{\"orderId\":\"7\"},\"contextInfo\":{},\"tracking\":null}")};
	struct event_body body;
	struct err err = {0};
	size_t n_bytes;

	(void)state;
	struct row row = change(&desk, "an event by id alone", &event, &n_bytes);
	assert_null(row.why.p);
	assert_true(event_body_decode(row.command.body, &body, &err));
	assert_str(
	        body.json, "{\"properties\":{\"amount\":{\"total\":12.5}},\"contextInfo\":{\"store\":{\"id\":\"s\"}}}");
	event.context = STR("WEB");
	row = change(&desk, "an event by id alone", &event, &n_bytes);
	assert_non_null(row.why.p);
	assert_non_null(strstr(arena_str(desk.arena, row.why).p, "/contextInfo/store"));
	arena_free(desk.arena);
}

/* Why the row of that name cannot change an event that was brought back by this. */
static const char *why_not(struct desk *desk, const char *name, enum event_bind bind, const char *value)
{
	struct event_row event = {.node = node,
	        .type = STR("viewedPage"),
	        .context = STR("WEB"),
	        .json = STR("{\"properties\":{\"url\":\"u\"},\"contextInfo\":{},\"tracking\":null}"),
	        .bind = bind,
	        .bind_value = str_of(value)};
	size_t n_bytes;
	struct row row = change(desk, name, &event, &n_bytes);

	return row.why.p ? arena_str(desk->arena, row.why).p : "";
}

static void events_keep_what_they_were_brought_back_by(void **state)
{
	struct desk desk = {.arena = arena_new(64 * 1024 * 1024)};
	const char *external = "an event by id and external id", *session = "an event by id and session";

	(void)state;
	assert_string_equal(why_not(&desk, external, EVENT_BIND_EXTERNAL_ID, "7"), "");
	assert_string_equal(
	        why_not(&desk, external, EVENT_BIND_EXTERNAL_ID, "8"), "/externalId: externalId cannot be changed");
	assert_string_equal(
	        why_not(&desk, external, EVENT_BIND_SESSION, "7"), "/externalId: externalId cannot be changed");
	assert_string_equal(why_not(&desk, external, EVENT_BIND_NONE, ""), "/externalId: externalId cannot be changed");
	assert_string_equal(why_not(&desk, session, EVENT_BIND_SESSION, "7"), "");
	assert_string_equal(
	        why_not(&desk, session, EVENT_BIND_EXTERNAL_ID, "7"), "/sessionId: sessionId cannot be changed");
	arena_free(desk.arena);
}

/* Many rows that change large events are in work at once. */
static void rows_of_large_events_take_little_memory(void **state)
{
	struct desk desk = {.arena = arena_new(64 * 1024 * 1024)};
	struct arena *arena = arena_new(1024 * 1024);
	struct event_row event = {.node = node, .type = STR("viewedPage"), .context = STR("WEB")};
	struct buf json;
	size_t n_bytes;

	(void)state;
	buf_init(&json, arena, 64 * 1024);
	buf_add_literal(&json, "{\"properties\":{\"colour\":1,\"extraProperties\":{\"a\":[0");
	while (json.n < 60000)
		buf_add_literal(&json, ",1");
	buf_add_literal(&json, "]}},\"contextInfo\":{},\"tracking\":null}");
	event.json = buf_str(&json);
	struct row row = change(&desk, "an event by id", &event, &n_bytes);
	assert_null(row.why.p); /* the event's own fault is forgiven */
	assert_true(n_bytes < 4 * json.n);
	arena_free(arena);
	arena_free(desk.arena);
}

static void ids_follow_from_job_and_line(void **state)
{
	struct uuid last = row_id(&job, 0, ROW_COMMAND);

	(void)state;
	assert_int_equal(last.b[6] >> 4, 8);
	assert_int_equal(last.b[8] >> 6, 2);
	for (int64_t line = 1; line < 1000; line++) {
		struct uuid id = row_id(&job, line, ROW_COMMAND), entity = row_id(&job, line, ROW_ENTITY);
		assert_true(uuid_compare(&last, &id) < 0);
		assert_false(uuid_eq(&id, &entity));
		assert_memory_equal(&id, &job, 6);
		last = id;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(headers_are_read),
	        cmocka_unit_test(rows_become_commands),
	        cmocka_unit_test(rows_that_were_sent_are_made_again),
	        cmocka_unit_test(events_are_changed_by_their_own_types),
	        cmocka_unit_test(events_keep_what_they_were_brought_back_by),
	        cmocka_unit_test(rows_of_large_events_take_little_memory),
	        cmocka_unit_test(ids_follow_from_job_and_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
