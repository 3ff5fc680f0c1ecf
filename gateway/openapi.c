#include "gateway/openapi.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/catalog.h"
#include "common/err.h"
#include "common/json.h"
#include "common/log.h"
#include "gateway/openapi_schemas.h"

#include <ctype.h>
#include <stdlib.h>

/* The document is some 200 KiB of text. */
#define ARENA_BYTES ((size_t)64 * 1024 * 1024)
#define COMPONENTS "#/components/schemas/"

static struct json *text(struct arena *arena, const char *words)
{
	return json_new_str(arena, str_of(words));
}

static struct json *object_in(struct arena *arena, struct json *parent, const char *key)
{
	struct json *child = json_get(parent, str_of(key));

	return child ? child : json_set(parent, str_of(key), json_new(arena, JSON_OBJECT));
}

/* JSON text of this program. */
static struct json *parsed(struct arena *arena, const char *name, struct str json)
{
	struct err err = {0};
	struct json *value = json_parse(arena, json, &err);

	if (!value)
		log_die("openapi", "schema %s: %s", name, err.message);
	return value;
}

static struct json *reference(struct arena *arena, const char *name)
{
	struct json *value = json_new(arena, JSON_OBJECT);

	json_set(value, STR("$ref"), text(arena, arena_printf(arena, COMPONENTS "%s", name)));
	return value;
}

/* --- schemas --- */

/* Keys of the catalog's documents that mean nothing here. */
static bool is_left_out(struct str key)
{
	static const char *const names[] = {"$schema", "$id", "definitions", "contactlabProperties"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_is(key, names[i]))
			return true;
	}
	return str_starts(key, STR("x-"));
}

/* "common.json#/definitions/Amount" names a component here; what a workspace declares itself is ExtendedValues. */
static struct json *convert_reference(struct arena *arena, struct str target)
{
	const char *name = memrchr(target.p, '/', target.n);
	struct str last = name ? (struct str){name + 1, (size_t)(target.p + target.n - name - 1)} : target;

	if (str_starts(target, STR("extended.json#")))
		last = STR("ExtendedValues");
	return text(arena, arena_printf(arena, COMPONENTS "%.*s", STR_ARG(last)));
}

/* Date-times leave as 2026-01-31T12:00:00.000+0000, which client libraries need and RFC 3339, that is "date-time", does
   not know; on the way in more forms are read. */
static bool is_date_time(const struct json *item)
{
	return str_is(item->key, "format") && str_is(json_text(item), "date-time");
}

/* Objects that may be [] as well, which PHP makes of one without members: that is taken, but not told, since generators
   of clients make no type of either. */
static void leave_empty_list_out(struct arena *arena, struct json *schema)
{
	const struct json *kinds = json_member(schema, "type"), *most = json_member(schema, "maxItems");
	struct json *others = json_new(arena, JSON_ARRAY);
	int64_t n;

	if (!json_is(kinds, JSON_ARRAY) || !json_to_i64(most, &n) || n)
		return;
	for
		json_each(kind, kinds) if (!str_is(json_text(kind), "array"))
		        json_append(others, json_copy(arena, kind, false));
	json_set(schema, STR("type"), others);
	json_remove(schema, STR("maxItems"));
}

/* A catalog schema as a component: draft 7 and OpenAPI 3.1 agree on everything that the catalog uses. in_names: the
   keys are names of properties, not keywords. */
static struct json *convert(struct arena *arena, const struct json *value, bool in_names)
{
	struct json *copy = json_new(arena, value->type);

	copy->text = value->text;
	for
		json_each(item, value)
		{
			if (value->type == JSON_ARRAY) {
				json_append(copy, convert(arena, item, false));
			} else if (in_names || !(is_left_out(item->key) || is_date_time(item))) {
				bool names = !in_names && str_is(item->key, "properties");
				bool is_reference = !in_names && str_is(item->key, "$ref") && item->type == JSON_STRING;
				json_add(copy, item->key,
				        is_reference ? convert_reference(arena, item->text)
				                     : convert(arena, item, names));
			}
		}
	if (!in_names && copy->type == JSON_OBJECT)
		leave_empty_list_out(arena, copy);
	return copy;
}

static const struct json *catalog_or_die(const char *name)
{
	const struct json *document = catalog_document(str_of(name));

	if (!document)
		log_die("openapi", "the catalog has no %s", name);
	return document;
}

/* A shared definition without what it requires: items whose id comes from the path or is made by the server. It has no
   title: generators of clients name types by titles, and two of one name are none. */
static void add_without_required(struct arena *arena, struct json *schemas, const struct json *source, const char *name)
{
	struct json *schema = convert(arena, source, false);

	json_remove(schema, STR("required"));
	json_remove(schema, STR("title"));
	json_set(schemas, str_of(name), schema);
}

static void add_catalog_schemas(struct arena *arena, struct json *schemas)
{
	static const char *const items[][2] = {{"Education", "EducationUpdate"}, {"Job", "JobUpdate"},
	        {"Like", "LikeUpdate"}, {"Subscription", "SubscriptionUpdate"}};
	const struct json *definitions = json_member(catalog_or_die("common.json"), "definitions");
	const struct json *customer = catalog_or_die("customer.json");

	for
		json_each(definition, definitions)
		        json_set(schemas, definition->key, convert(arena, definition, false));
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		add_without_required(arena, schemas, json_get(definitions, str_of(items[i][0])), items[i][1]);
	json_remove(json_set(schemas, STR("Customer"), convert(arena, customer, false)), STR("title"));
	json_set(schemas, STR("CustomerCreate"), reference(arena, "Customer"));
	add_without_required(arena, schemas, customer, "CustomerUpdate");
	json_set(schemas, STR("CustomerPatch"), reference(arena, "CustomerUpdate"));
}

/* The other one of two alternatives, where one is null; NULL when they are otherwise. */
static const struct json *other_than_null(const struct json *alternatives)
{
	if (!json_is(alternatives, JSON_ARRAY) || alternatives->count != 2)
		return NULL;
	if (str_is(json_text(json_member(alternatives->first, "type")), "null"))
		return alternatives->last;
	return str_is(json_text(json_member(alternatives->last, "type")), "null") ? alternatives->first : NULL;
}

static const struct json *referenced(const struct json *schemas, const struct json *schema)
{
	struct str target = json_text(json_member(schema, "$ref")), prefix = STR(COMPONENTS);

	return str_starts(target, prefix) ? json_get(schemas, (struct str){target.p + prefix.n, target.n - prefix.n})
	                                  : NULL;
}

/* What the schema takes, or null. */
static void add_null(struct arena *arena, struct json *schema)
{
	struct json *types = json_new(arena, JSON_ARRAY), *values = json_member(schema, "enum");

	json_append(types, json_copy(arena, json_member(schema, "type"), false));
	json_append(types, text(arena, "null"));
	json_set(schema, STR("type"), types);
	if (values)
		json_append(values, json_new(arena, JSON_NULL));
}

/* "One of null and a reference" becomes what is referenced, of a type or null. */
static void join_null(struct arena *arena, const struct json *schemas, struct json *schema)
{
	static const char *const keywords[] = {"oneOf", "anyOf"};

	for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
		const struct json *other = other_than_null(json_get(schema, str_of(keywords[i])));
		const struct json *found = referenced(schemas, other);
		if (!found || !json_is(json_member(found, "type"), JSON_STRING))
			continue;
		json_remove(schema, str_of(keywords[i]));
		for
			json_each(member, found) if (!json_get(schema, member->key))
			        json_set(schema, member->key, json_copy(arena, member, false));
		add_null(arena, schema);
	}
}

/* An object of which nothing is told has any members. */
static void tell_free_form(struct arena *arena, struct json *schema)
{
	const struct json *types = json_member(schema, "type");
	bool is_object = str_is(json_text(types), "object");

	if (json_is(types, JSON_ARRAY))
		for
			json_each(type, types) is_object = is_object || str_is(json_text(type), "object");
	if (is_object && !json_member(schema, "properties") && !json_member(schema, "additionalProperties"))
		json_set(schema, STR("additionalProperties"), json_new_bool(arena, true));
}

/* Generators of Java clients make code that does not compile of a type that is null alone and of an object of which
   nothing is told: the same is said here in words that they understand. */
static void suit_generators(struct arena *arena, const struct json *schemas, struct json *value)
{
	if (value->type == JSON_OBJECT) {
		join_null(arena, schemas, value);
		tell_free_form(arena, value);
	}
	for
		json_each(item, value) suit_generators(arena, schemas, item);
}

static void add_schemas(struct arena *arena, struct json *document)
{
	struct json *schemas = object_in(arena, object_in(arena, document, "components"), "schemas");
	struct str text_of_own = {(const char *)openapi_schemas, openapi_schemas_bytes};
	const struct json *own = parsed(arena, "openapi_schemas.json", text_of_own);

	add_catalog_schemas(arena, schemas);
	for
		json_each(schema, own) json_set(schemas, schema->key, json_copy(arena, schema, false));
	suit_generators(arena, schemas, schemas);
}

/* --- operations --- */

/* "getCustomer_79" from the title and the number. */
static struct json *operation_id(struct arena *arena, const struct route *route)
{
	struct buf name;
	bool capital = false;

	buf_init(&name, arena, 64);
	for (const char *p = route->title; *p; p++) {
		if (isalnum((unsigned char)*p)) {
			int c = name.n == 0 ? tolower((unsigned char)*p) : capital ? toupper((unsigned char)*p) : *p;
			buf_add_char(&name, (char)c);
		}
		capital = *p == ' ' || *p == '-';
	}
	buf_printf(&name, "_%d", route->operation);
	return json_new_str(arena, buf_str(&name));
}

static struct json *media(struct arena *arena, const char *type, const char *schema)
{
	struct json *content = json_new(arena, JSON_OBJECT);

	json_set(object_in(arena, content, type ? type : "application/json"), STR("schema"), reference(arena, schema));
	return content;
}

static struct json *path_param(struct arena *arena, struct str name)
{
	struct json *param = json_new(arena, JSON_OBJECT);

	json_set(param, STR("name"), json_new_str(arena, name));
	json_set(param, STR("in"), text(arena, "path"));
	json_set(param, STR("required"), json_new_bool(arena, true));
	json_set(param, STR("schema"), parsed(arena, "path", STR("{\"type\":\"string\",\"minLength\":1}")));
	return param;
}

static struct json *query_param(struct arena *arena, const struct route_param *row)
{
	struct json *param = json_new(arena, JSON_OBJECT);

	json_set(param, STR("name"), text(arena, row->name));
	json_set(param, STR("in"), text(arena, "query"));
	if (row->description)
		json_set(param, STR("description"), text(arena, row->description));
	json_set(param, STR("required"), json_new_bool(arena, row->required));
	json_set(param, STR("schema"), parsed(arena, row->name, str_of(row->schema)));
	return param;
}

static struct json *params_of(struct arena *arena, const struct route *route)
{
	struct json *params = json_new(arena, JSON_ARRAY);
	struct str rest = str_of(route->path + 1), segment;

	while (str_split(&rest, '/', &segment)) {
		if (segment.n < 3 || segment.p[0] != '{')
			continue;
		bool many = segment.p[segment.n - 2] == '+';
		json_append(params, path_param(arena, (struct str){segment.p + 1, segment.n - (many ? 3 : 2)}));
	}
	for (const struct route_param *row = route->params; row && row->name; row++)
		json_append(params, query_param(arena, row));
	if (strcmp(route->method, "GET") != 0) {
		struct json *key = json_new(arena, JSON_OBJECT);
		json_set(key, STR("$ref"), text(arena, "#/components/parameters/IdempotencyKey"));
		json_append(params, key);
	}
	return params;
}

/* Which failures an operation may answer; every one has the same body. */
static const struct failure {
	unsigned status;
	enum { ALWAYS, WITH_TOKEN, WITH_WORKSPACE, WITH_PATH_ID, WITH_BODY, WITH_WRITE, WITH_FLAG } when;
	enum route_flag flag;
	const char *description;
} failures[] = {
        {.status = 400, .when = ALWAYS, .description = "The request is not valid; errors names the places."},
        {.status = 401, .when = WITH_TOKEN, .description = "The token is missing or not valid."},
        {.status = 403,
                .when = WITH_TOKEN,
                .description = "The workspace is not the caller's, or the role does not allow it."},
        {.status = 404, .when = WITH_PATH_ID, .description = "What the path or body names does not exist."},
        {.status = 408, .when = WITH_BODY, .description = "The body did not arrive in time."},
        {.status = 409, .when = WITH_WRITE, .description = "The request conflicts with the present state."},
        {.status = 409,
                .when = WITH_FLAG,
                .flag = ROUTE_TOO_EARLY,
                .description = "What is asked for is not there yet: try again later."},
        {.status = 413,
                .when = WITH_BODY,
                .description = "The body is too large, or with it what the workspace would have."},
        {.status = 415, .when = WITH_BODY, .description = "The body has another content type."},
        {.status = 423,
                .when = WITH_FLAG,
                .flag = ROUTE_LOCKS,
                .description = "The profiles of the node are being made: try again later."},
        {.status = 429,
                .when = WITH_WORKSPACE,
                .description = "The workspace takes no more requests now; see Retry-After."},
        {.status = 503, .when = ALWAYS, .description = "The service takes no more requests now; see Retry-After."},
        {.status = 504,
                .when = WITH_WRITE,
                .description = "The outcome is not known yet; data.commandId names the command; see Retry-After."},
};

static bool applies(const struct failure *failure, const struct route *route)
{
	switch (failure->when) {
	case ALWAYS:
		return true;
	case WITH_TOKEN:
		return !(route->roles & ROLE_PUBLIC);
	case WITH_WORKSPACE:
		return strstr(route->path, "{workspaceId}") && !(route->flags & ROUTE_UNTHROTTLED);
	case WITH_PATH_ID:
		return strchr(route->path, '{');
	case WITH_BODY:
		return route->body != BODY_NONE;
	case WITH_WRITE:
		return strcmp(route->method, "GET") != 0;
	case WITH_FLAG:
		return route->flags & failure->flag;
	}
	return false;
}

static void add_response(struct arena *arena, struct json *responses, unsigned status, const char *description,
        const char *type, const char *schema)
{
	struct json *response = object_in(arena, responses, arena_printf(arena, "%u", status));

	json_set(response, STR("description"), text(arena, description));
	if (schema)
		json_set(response, STR("content"), media(arena, type, schema));
}

/* Health that is bad is told like the good. */
static const char *schema_of_failure(const struct route *route, unsigned status)
{
	bool is_health = status == 503 && route->response_schema && !strcmp(route->response_schema, "Health");

	return is_health ? route->response_schema : "Error";
}

static struct json *responses_of(struct arena *arena, const struct route *route)
{
	struct json *responses = json_new(arena, JSON_OBJECT);

	add_response(arena, responses, route->status, route->response_schema ? "Done." : "Done; the body is empty.",
	        route->response_type, route->response_schema);
	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		if (applies(&failures[i], route))
			add_response(arena, responses, failures[i].status, failures[i].description, NULL,
			        schema_of_failure(route, failures[i].status));
	}
	return responses;
}

static struct json *body_of(struct arena *arena, const struct route *route)
{
	struct json *body = json_new(arena, JSON_OBJECT);

	json_set(body, STR("required"), json_new_bool(arena, true));
	const char *type = route->body == BODY_MULTIPART ? "multipart/form-data" : NULL;
	json_set(body, STR("content"), media(arena, type, route->body_schema));
	return body;
}

static void add_operation(struct arena *arena, struct json *item, const struct route *route)
{
	char *method = arena_printf(arena, "%s", route->method);

	for (char *p = method; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	struct json *operation = object_in(arena, item, method);
	struct json *tags = json_set(operation, STR("tags"), json_new(arena, JSON_ARRAY));
	json_append(tags, text(arena, route->tag));
	json_set(operation, STR("summary"), text(arena, route->title));
	if (route->description)
		json_set(operation, STR("description"), text(arena, route->description));
	json_set(operation, STR("operationId"), operation_id(arena, route));
	json_set(operation, STR("parameters"), params_of(arena, route));
	if (route->body_schema)
		json_set(operation, STR("requestBody"), body_of(arena, route));
	json_set(operation, STR("responses"), responses_of(arena, route));
	if (route->roles & ROLE_PUBLIC)
		json_set(operation, STR("security"), json_new(arena, JSON_ARRAY));
}

/* "{path+}" is "{path}" in the document. */
static const char *document_path(struct arena *arena, const char *path)
{
	struct buf out;

	buf_init(&out, arena, 128);
	for (; *path; path++) {
		if (*path != '+')
			buf_add_char(&out, *path);
	}
	buf_add_char(&out, '\0');
	return out.p;
}

static const char frame[] =
        "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Contacthub API\",\"version\":\"1.299.1\",\"description\":"
        "\"Customers, events and their configuration.\"},\"servers\":[{\"url\":\"/hub/v1\"}],"
        "\"security\":[{\"token\":[]}],\"paths\":{},\"components\":{\"securitySchemes\":{\"token\":{\"type\":\"http\","
        "\"scheme\":\"bearer\",\"description\":\"Token of a source, or JWT of a user.\"}},"
        "\"parameters\":{\"IdempotencyKey\":{\"name\":\"Idempotency-Key\",\"in\":\"header\",\"required\":false,"
        "\"description\":\"A repeat with the same key and the same request gives the first result; with another "
        "request 409.\","
        "\"schema\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255,\"pattern\":\"^[\\\\x20-\\\\x7e]+$\"}}}}}";

struct str openapi_build(const struct route *rows, size_t n_rows)
{
	struct arena *arena = arena_new(ARENA_BYTES);
	struct json *document = parsed(arena, "frame", str_of(frame));
	struct json *paths = json_member(document, "paths");
	struct buf buf;

	add_schemas(arena, document);
	for (size_t i = 0; i < n_rows; i++)
		add_operation(arena, object_in(arena, paths, document_path(arena, rows[i].path)), &rows[i]);
	buf_init(&buf, arena, 256 * 1024);
	json_write(&buf, document);
	char *copy = malloc(buf.n);
	if (!copy)
		log_die("memory", "out of memory");
	memcpy(copy, buf.p, buf.n);
	struct str made = {copy, buf.n};
	arena_free(arena);
	return made;
}
