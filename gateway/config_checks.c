#include "gateway/config_checks.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/catalog.h"
#include "common/config_doc.h"
#include "common/json.h"
#include "common/schema.h"
#include "gateway/config.h"
#include "gateway/ip_list.h"
#include "gateway/property_path.h"

#define MAX_NAME 255
#define MAX_DESCRIPTION 4000
#define MAX_URL 1000
#define MAX_POLICY_PATHS 20
#define MAX_MANDATORY_PATHS 100
#define MAX_SOURCES 1000
#define MAX_FILTERS 10
#define MAX_FILTER_VALUE 1000
#define MAX_NODES 1000
/* The largest event body that any workspace may allow. */
#define MAX_EVENT_BYTES 524288

static struct str child(struct problems *problems, struct str pointer, const char *name)
{
	return str_of(arena_printf(problems->arena, "%.*s/%s", STR_ARG(pointer), name));
}

static struct str item_pointer(struct problems *problems, struct str pointer, size_t index)
{
	return str_of(arena_printf(problems->arena, "%.*s/%zu", STR_ARG(pointer), index));
}

/* A string of 1 to max characters. */
static struct str required_text(const struct json *body, const char *name, size_t max, struct problems *problems)
{
	const struct json *value = json_get(body, str_of(name));
	struct str text = json_text(value), pointer = child(problems, STR(""), name);

	if (json_is_null(value))
		problems_add(problems, pointer, "%s is required", name);
	else if (!text.n || str_utf8_length(text) > max)
		problems_add(problems, pointer, "%s must be a string of 1 to %zu characters", name, max);
	return text;
}

/* A copy of an optional string, or null. */
static struct json *optional_text(
        struct arena *arena, const struct json *body, const char *name, size_t max, struct problems *problems)
{
	const struct json *value = json_get(body, str_of(name));

	if (json_is_null(value))
		return json_new(arena, JSON_NULL);
	if (!json_is(value, JSON_STRING) || str_utf8_length(value->text) > max)
		problems_add(problems, child(problems, STR(""), name),
		        "%s must be null or a string of at most %zu characters", name, max);
	return json_new_str(arena, json_text(value));
}

/* --- paths and ids ------------------------------------------------------------------------------------------------ */

static bool contains_text(const struct json *list, struct str text)
{
	for
		json_each(item, list) if (str_eq(json_text(item), text)) return true;
	return false;
}

/* Null and absent are the empty list; anything that is no short list is a fault and gives the empty list, too. */
static const struct json *optional_list(struct arena *arena, const struct json *body, const char *name,
        struct str pointer, size_t max, struct problems *problems)
{
	const struct json *list = json_get(body, str_of(name));

	if (json_is_null(list))
		return json_new(arena, JSON_ARRAY);
	if (json_is(list, JSON_ARRAY) && list->count <= max)
		return list;
	problems_add(problems, pointer, "%s must be a list of at most %zu elements", name, max);
	return json_new(arena, JSON_ARRAY);
}

static struct json *check_paths(struct arena *arena, const struct json *body, const char *name, struct str parent,
        size_t max, const struct json *extended, struct problems *problems)
{
	struct str pointer = child(problems, parent, name);
	const struct json *sent = optional_list(arena, body, name, pointer, max, problems);
	struct json *paths = json_new(arena, JSON_ARRAY);
	size_t index = 0;

	for
		json_each(item, sent)
		{
			struct str path = json_text(item), place = item_pointer(problems, pointer, index++);
			if (!path.p || !property_path_is_scalar(path, extended))
				problems_add(problems, place,
				        "not the path of a string or number property of the workspace, like externalId "
				        "or base.contacts.email");
			else if (contains_text(paths, path))
				problems_add(problems, place, "the property is in the list twice");
			else
				json_append(paths, json_new_str(arena, path));
		}
	return paths;
}

struct json *default_policy(struct arena *arena)
{
	struct json *policy = json_new(arena, JSON_OBJECT);

	json_add(policy, STR("properties"), json_new(arena, JSON_ARRAY));
	json_add(policy, STR("caseSensitive"), json_new_bool(arena, true));
	return policy;
}

struct json *check_policy(struct arena *arena, const struct json *body, struct str pointer,
        const struct json *customer_extended, struct problems *problems)
{
	const struct json *sensitive = json_member(body, "caseSensitive");
	struct json *policy = default_policy(arena);

	if (json_is_null(body))
		return policy;
	if (!json_is(body, JSON_OBJECT)) {
		problems_add(problems, pointer, "the policy must be an object");
		return policy;
	}
	json_set(policy, STR("properties"),
	        check_paths(arena, body, "properties", pointer, MAX_POLICY_PATHS, customer_extended, problems));
	if (!json_is_null(sensitive) && !json_is(sensitive, JSON_TRUE) && !json_is(sensitive, JSON_FALSE))
		problems_add(
		        problems, child(problems, pointer, "caseSensitive"), "caseSensitive must be true or false");
	if (!json_is_null(sensitive))
		json_set(policy, STR("caseSensitive"), json_new_bool(arena, json_is_true(sensitive)));
	return policy;
}

bool policy_equal(const struct json *a, const struct json *b)
{
	return json_equal(json_member(a, "properties"), json_member(b, "properties")) &&
	       json_is_true(json_member(a, "caseSensitive")) == json_is_true(json_member(b, "caseSensitive"));
}

static struct json *check_priority(struct arena *arena, const struct json *body,
        const struct config_workspace *workspace, struct problems *problems)
{
	struct str pointer = STR("/sourcePriority");
	const struct json *sent = optional_list(arena, body, "sourcePriority", pointer, MAX_SOURCES, problems);
	struct json *ids = json_new(arena, JSON_ARRAY);
	size_t index = 0;

	for
		json_each(item, sent)
		{
			struct str place = item_pointer(problems, pointer, index++);
			struct uuid id;
			if (!uuid_parse(json_text(item), &id) || !config_source_find(workspace, &id))
				problems_add(problems, place, "not the id of a source of the workspace");
			else
				json_append(ids, json_new_str(arena, config_id_text(arena, &id)));
		}
	return ids;
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

static void check_own_id(const struct json *body, const struct uuid *id, bool required, struct problems *problems)
{
	const struct json *sent = json_member(body, "id");
	struct uuid own;

	if (json_is_null(sent) && required)
		problems_add(problems, STR("/id"), "id is required");
	else if (!json_is_null(sent) && (!uuid_parse(json_text(sent), &own) || !uuid_eq(&own, id)))
		problems_add(problems, STR("/id"), "the id cannot be changed");
}

static bool names_no_property(const struct json *policy)
{
	const struct json *properties = json_member(policy, "properties");

	return json_is(properties, JSON_ARRAY) && !properties->count;
}

struct json *check_entry_node(struct arena *arena, const struct json *body, const struct uuid *id,
        const struct json *stored, const struct config_workspace *workspace, struct problems *problems)
{
	const struct json *extended = config_extended(workspace, STR("customer"));
	const struct json *policy = json_member(body, "uniqueCustomer"), *image = json_member(body, "imageUrl");
	struct json *doc = json_new(arena, JSON_OBJECT);

	if (stored)
		check_own_id(body, id, true, problems);
	if (stored && json_is_null(policy))
		problems_add(problems, STR("/uniqueCustomer"), "uniqueCustomer is required");
	if (names_no_property(policy) && !names_no_property(json_member(stored, "uniqueCustomer")))
		problems_add(problems, STR("/uniqueCustomer/properties"), "properties must name at least one property");
	if (json_is(image, JSON_STRING) && !schema_format_matches(STR("uri"), image->text))
		problems_add(problems, STR("/imageUrl"), "imageUrl must be a URL");
	json_add(doc, STR("id"), json_new_str(arena, config_id_text(arena, id)));
	json_add(doc, STR("nodeType"), json_new_str(arena, STR("ENTRY")));
	json_add(doc, STR("name"), json_new_str(arena, required_text(body, "name", MAX_NAME, problems)));
	json_add(doc, STR("description"), optional_text(arena, body, "description", MAX_DESCRIPTION, problems));
	json_add(doc, STR("imageUrl"), optional_text(arena, body, "imageUrl", MAX_URL, problems));
	json_add(doc, STR("uniqueCustomer"), check_policy(arena, policy, STR("/uniqueCustomer"), extended, problems));
	json_add(doc, STR("sourcePriority"), check_priority(arena, body, workspace, problems));
	json_add(doc, STR("mandatoryProperties"),
	        check_paths(arena, body, "mandatoryProperties", STR(""), MAX_MANDATORY_PATHS, extended, problems));
	return problems->n ? NULL : doc;
}

/* --- aggregate nodes -----------------------------------------------------------------------------------------------
 */

static struct json *check_entry_nodes(struct arena *arena, const struct json *body,
        const struct config_workspace *workspace, struct problems *problems)
{
	struct str pointer = STR("/entryNodes");
	const struct json *sent = optional_list(arena, body, "entryNodes", pointer, MAX_NODES, problems);
	struct json *ids = json_new(arena, JSON_ARRAY);
	size_t index = 0;

	if (json_is_null(json_member(body, "entryNodes")) || (!sent->count && !problems->n))
		problems_add(problems, pointer, "entryNodes must name at least one entry node");
	for
		json_each(item, sent)
		{
			struct str place = item_pointer(problems, pointer, index++);
			const struct config_node *node = NULL;
			struct uuid id;
			if (uuid_parse(json_text(item), &id))
				node = config_node_find(workspace, &id);
			if (!node || node->aggregate)
				problems_add(problems, place, "not the id of an entry node of the workspace");
			else if (contains_text(ids, config_id_text(arena, &id)))
				problems_add(problems, place, "the node is in the list twice");
			else
				json_append(ids, json_new_str(arena, config_id_text(arena, &id)));
		}
	return ids;
}

/* Unlike those of an entry node, the properties are compared without regard to case unless it is asked for; in a PUT
   what is not sent stays. */
static struct json *check_matching(struct arena *arena, const struct json *body, const struct json *stored,
        const struct config_workspace *workspace, struct problems *problems)
{
	const struct json *sent = json_member(body, "matchingProperties");
	struct str pointer = STR("/matchingProperties");
	size_t before = problems->n;
	struct json *matching =
	        check_policy(arena, sent, pointer, config_extended(workspace, STR("customer")), problems);

	if (problems->n == before && !json_member(matching, "properties")->count)
		problems_add(problems, child(problems, pointer, "properties"),
		        "matchingProperties must name at least one property");
	if (json_is_null(json_member(sent, "caseSensitive")))
		json_set(matching, STR("caseSensitive"),
		        json_new_bool(arena, json_is_true(json_member(stored, "caseSensitive"))));
	return matching;
}

/* The definition of a node, which is given once. */
static void keep_definition(struct arena *arena, struct json *doc, const struct json *body, const struct json *present,
        const struct config_workspace *workspace, struct problems *problems)
{
	const struct json *nodes = json_member(body, "entryNodes"), *matching = json_member(body, "matchingProperties");
	const struct json *stored_nodes = json_member(present, "entryNodes");
	const struct json *stored_matching = json_member(present, "matchingProperties");

	if (!json_is_null(nodes) && !json_equal(check_entry_nodes(arena, body, workspace, problems), stored_nodes))
		problems_add(problems, STR("/entryNodes"), "entryNodes cannot be changed");
	if (!json_is_null(matching) &&
	        !policy_equal(check_matching(arena, body, stored_matching, workspace, problems), stored_matching))
		problems_add(problems, STR("/matchingProperties"), "matchingProperties cannot be changed");
	json_add(doc, STR("entryNodes"), json_copy(arena, stored_nodes, false));
	json_add(doc, STR("matchingProperties"), json_copy(arena, stored_matching, false));
}

static bool is_pattern(struct str name)
{
	static const char *const patterns[] = {"START_WITH", "END_WITH", "CONTAINS", "EQUALS"};

	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		if (str_is(name, patterns[i]))
			return true;
	return false;
}

/* A filter hits any of the tags; nobody is matched by these. */
static bool may_be_filtered(struct str path, const struct json *extended)
{
	static const char *const others[] = {"extra", "tags.auto", "tags.manual"};

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (str_is(path, others[i]))
			return true;
	return property_path_is_scalar(path, extended);
}

static struct json *check_filter(struct arena *arena, const struct json *sent, struct str pointer,
        const struct json *extended, struct problems *problems)
{
	struct str property = json_text(json_member(sent, "property")), value = json_text(json_member(sent, "value"));
	struct str pattern = json_text(json_member(sent, "pattern"));
	struct json *filter = json_new(arena, JSON_OBJECT);

	if (!property.p || !may_be_filtered(property, extended))
		problems_add(problems, child(problems, pointer, "property"),
		        "not the path of a string or number property of the workspace, nor extra, tags.auto or "
		        "tags.manual");
	if (!value.n || str_utf8_length(value) > MAX_FILTER_VALUE)
		problems_add(problems, child(problems, pointer, "value"),
		        "value must be a string of 1 to %d characters", MAX_FILTER_VALUE);
	if (!is_pattern(pattern))
		problems_add(problems, child(problems, pointer, "pattern"),
		        "pattern must be START_WITH, END_WITH, CONTAINS or EQUALS");
	json_add(filter, STR("property"), json_new_str(arena, property));
	json_add(filter, STR("value"), json_new_str(arena, value));
	json_add(filter, STR("pattern"), json_new_str(arena, pattern));
	return filter;
}

static struct json *check_filters(
        struct arena *arena, const struct json *body, const struct json *extended, struct problems *problems)
{
	struct str pointer = STR("/exclusionFilters");
	const struct json *sent = optional_list(arena, body, "exclusionFilters", pointer, MAX_FILTERS, problems);
	struct json *filters = json_new(arena, JSON_ARRAY);
	size_t index = 0;

	for
		json_each(item, sent)
		{
			struct str place = item_pointer(problems, pointer, index++);
			json_append(filters, check_filter(arena, item, place, extended, problems));
		}
	return filters;
}

struct json *check_aggregate_node(struct arena *arena, const struct json *body, const struct uuid *id,
        const struct json *present, const struct config_workspace *workspace, struct problems *problems)
{
	const struct json *extended = config_extended(workspace, STR("customer"));
	const struct json *stored = json_member(present, "exclusionFilters");
	struct json *doc = json_new(arena, JSON_OBJECT);

	check_own_id(body, id, false, problems);
	json_add(doc, STR("id"), json_new_str(arena, config_id_text(arena, id)));
	json_add(doc, STR("nodeType"), json_new_str(arena, STR("AGGREGATE")));
	json_add(doc, STR("name"), json_new_str(arena, required_text(body, "name", MAX_NAME, problems)));
	json_add(doc, STR("description"), optional_text(arena, body, "description", MAX_DESCRIPTION, problems));
	json_add(doc, STR("imageUrl"), optional_text(arena, body, "imageUrl", MAX_URL, problems));
	if (present) {
		keep_definition(arena, doc, body, present, workspace, problems);
	} else {
		json_add(doc, STR("entryNodes"), check_entry_nodes(arena, body, workspace, problems));
		json_add(doc, STR("matchingProperties"), check_matching(arena, body, NULL, workspace, problems));
	}
	if (stored && !json_member(body, "exclusionFilters"))
		json_add(doc, STR("exclusionFilters"), json_copy(arena, stored, false));
	else
		json_add(doc, STR("exclusionFilters"), check_filters(arena, body, extended, problems));
	return problems->n ? NULL : doc;
}

bool aggregate_state_next(
        struct str present, bool locked, const struct json *wanted, struct str *ret_next, struct err *err)
{
	struct str name = json_text(wanted);

	*ret_next = present;
	if (json_is_null(wanted) || str_eq(name, present) ||
	        (locked && str_is(present, "ACTIVE") && str_is(name, "LOCKED")))
		return true;
	if (str_is(name, "ACTIVE") && str_is(present, "NEW")) {
		*ret_next = name;
		return true;
	}
	if (str_is(name, "NEW") || str_is(name, "ACTIVE") || str_is(name, "LOCKED") || str_is(name, "REMOVED"))
		return err_set(
		        err, ERR_CONFLICT, "the state of an aggregate node can be changed from NEW to ACTIVE only");
	err_set(err, ERR_INVALID, "state must be NEW, ACTIVE, LOCKED or REMOVED");
	err_set_pointer(err, STR("/state"));
	return false;
}

/* --- sources ------------------------------------------------------------------------------------------------------ */

static struct str check_provider(const struct json *body, const struct json *present, struct problems *problems)
{
	const struct json *sent = json_member(body, "provider");
	struct str stored = json_text(json_member(present, "provider"));
	const struct source_provider *provider = source_provider_find(json_text(sent));

	if (present) {
		if (!json_is_null(sent) && !str_eq(json_text(sent), stored))
			problems_add(problems, STR("/provider"), "the provider cannot be changed");
		return stored;
	}
	if (json_is_null(sent))
		return STR("API");
	if (!provider)
		problems_add(problems, STR("/provider"), "the provider must be API, CONTACTSEND or CONTACTPLAN");
	else if (!provider->creatable)
		problems_add(problems, STR("/provider"), "sources of the provider %s can no longer be created",
		        provider->id);
	return json_text(sent);
}

static struct json *check_source_nodes(struct arena *arena, const struct json *body,
        const struct config_workspace *workspace, struct str *ret_unknown_node, struct problems *problems)
{
	const struct json *sent = optional_list(arena, body, "nodes", STR("/nodes"), MAX_NODES, problems);
	struct json *ids = json_new(arena, JSON_ARRAY);

	if (!sent->count && !problems->n)
		problems_add(problems, STR("/nodes"), "nodes must name at least one node");
	for
		json_each(item, sent)
		{
			struct str place = item_pointer(problems, STR("/nodes"), ids->count);
			struct uuid id;
			if (!json_is(item, JSON_STRING))
				problems_add(problems, place, "the id of a node is a string");
			else if (!uuid_parse(item->text, &id) || !config_node_find(workspace, &id))
				*ret_unknown_node = item->text;
			else if (!contains_text(ids, config_id_text(arena, &id)))
				json_append(ids, json_new_str(arena, config_id_text(arena, &id)));
		}
	return ids;
}

/* A PUT that does not name them neither enables a disabled source again nor opens it to other addresses. */
static const struct json *sent_or_present(const struct json *body, const struct json *present, struct str name)
{
	const struct json *sent = json_get(body, name);

	return sent ? sent : json_get(present, name);
}

static struct json *check_source_properties(
        struct arena *arena, const struct json *properties, struct str provider, struct problems *problems)
{
	const struct json *ips = json_member(properties, "allowedIPs");

	if (json_is_null(properties))
		return json_new(arena, JSON_OBJECT);
	if (!json_is(properties, JSON_OBJECT))
		problems_add(problems, STR("/properties"), "properties must be an object");
	else if (str_is(provider, "API") && !json_is_null(ips) &&
	         (!json_is(ips, JSON_STRING) || !ip_list_is_valid(ips->text)))
		problems_add(problems, STR("/properties/allowedIPs"),
		        "allowedIPs must be a string of IP addresses and ranges like 192.0.2.0/24, separated by "
		        "commas");
	return json_copy(arena, properties, false);
}

struct json *check_source(struct arena *arena, const struct json *body, const struct uuid *id,
        const struct json *present, const struct config_workspace *workspace, struct str *ret_unknown_node,
        struct problems *problems)
{
	const struct json *enabled = sent_or_present(body, present, STR("enabled"));
	const struct json *properties = sent_or_present(body, present, STR("properties"));
	struct json *doc = json_new(arena, JSON_OBJECT);
	struct str provider = check_provider(body, present, problems);

	if (present)
		check_own_id(body, id, false, problems);
	if (!json_is_null(enabled) && !json_is(enabled, JSON_TRUE) && !json_is(enabled, JSON_FALSE))
		problems_add(problems, STR("/enabled"), "enabled must be true or false");
	json_add(doc, STR("id"), json_new_str(arena, config_id_text(arena, id)));
	json_add(doc, STR("provider"), json_new_str(arena, provider));
	json_add(doc, STR("name"), json_new_str(arena, required_text(body, "name", MAX_NAME, problems)));
	json_add(doc, STR("description"), optional_text(arena, body, "description", MAX_DESCRIPTION, problems));
	json_add(doc, STR("enabled"), json_new_bool(arena, json_is_null(enabled) || json_is_true(enabled)));
	json_add(doc, STR("properties"), check_source_properties(arena, properties, provider, problems));
	json_add(doc, STR("nodes"), check_source_nodes(arena, body, workspace, ret_unknown_node, problems));
	return problems->n ? NULL : doc;
}

/* --- workspaces and small documents ---------------------------------------------------------------------------------
 */

bool check_number(const struct json *body, struct str name, int64_t min, int64_t max, int64_t *ret_value,
        struct problems *problems)
{
	int64_t value;

	if (json_to_i64(json_get(body, name), &value) && value >= min && value <= max) {
		*ret_value = value;
		return true;
	}
	problems_add(problems, child(problems, STR(""), name.p), "%.*s must be a whole number from %lld to %lld",
	        STR_ARG(name), (long long)min, (long long)max);
	return false;
}

bool check_bool(const struct json *body, struct str name, bool *ret_value, struct problems *problems)
{
	const struct json *value = json_get(body, name);

	*ret_value = json_is_true(value);
	if (json_is(value, JSON_TRUE) || json_is(value, JSON_FALSE))
		return true;
	problems_add(problems, child(problems, STR(""), name.p), "%.*s must be true or false", STR_ARG(name));
	return false;
}

bool check_workspace(const struct json *body, struct new_workspace *ret_new, struct problems *problems)
{
	ret_new->name = required_text(body, "name", MAX_NAME, problems);
	ret_new->slug = required_text(body, "slug", MAX_NAME, problems);
	ret_new->shard = required_text(body, "shard", MAX_NAME, problems);
	if (ret_new->shard.n && !config_shard_exists(ret_new->shard))
		problems_add(problems, STR("/shard"), "there is no shard of that name");
	return check_number(body, STR("groupPk"), 0, INT64_MAX, &ret_new->group, problems) && !problems->n;
}

static bool check_size(const struct json *member, int64_t *ret_bytes, struct problems *problems)
{
	struct buf place;

	buf_init(&place, problems->arena, 64);
	json_pointer_add(&place, member->key);
	struct str pointer = buf_str(&place);

	if (!event_type_find(member->key)) {
		problems_add(problems, pointer, "not an event type");
		return false;
	}
	if (json_to_i64(json_member(member, "maxBytes"), ret_bytes) && *ret_bytes >= 1 && *ret_bytes <= MAX_EVENT_BYTES)
		return true;
	problems_add(problems, child(problems, pointer, "maxBytes"), "maxBytes must be a whole number from 1 to %d",
	        MAX_EVENT_BYTES);
	return false;
}

struct json *check_payload_size(struct arena *arena, const struct json *body, struct problems *problems)
{
	struct json *doc = json_new(arena, JSON_OBJECT);

	for
		json_each(member, body)
		{
			int64_t max_bytes;
			if (!check_size(member, &max_bytes, problems))
				continue;
			struct json *limit = json_add(doc, member->key, json_new(arena, JSON_OBJECT));
			json_add(limit, STR("maxBytes"), json_new_i64(arena, max_bytes));
		}
	return problems->n ? NULL : doc;
}
