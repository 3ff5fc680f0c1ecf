#include "common/customer.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/key_table.h"

#include <stdlib.h>

#define NAMED(text) .name = {text, sizeof(text) - 1}, .quoted = {",\"" text "\":", sizeof(text) + 3}
#define VALUE(text)                                                                                                    \
	{                                                                                                              \
		NAMED(text), .kind = CUSTOMER_VALUE                                                                    \
	}
#define TIME(text)                                                                                                     \
	{                                                                                                              \
		NAMED(text), .kind = CUSTOMER_TIME                                                                     \
	}
#define LIST(text)                                                                                                     \
	{                                                                                                              \
		NAMED(text), .kind = CUSTOMER_LIST                                                                     \
	}
#define OBJECT(text, of)                                                                                               \
	{                                                                                                              \
		NAMED(text), .kind = CUSTOMER_OBJECT, .members = (of), .n_members = ARRAY_LEN(of)                      \
	}
#define ITEMS(text, of)                                                                                                \
	{                                                                                                              \
		NAMED(text), .kind = CUSTOMER_ITEMS, .members = (of), .n_members = ARRAY_LEN(of)                       \
	}

static const struct customer_shape contacts_members[] = {
        VALUE("email"),
        VALUE("fax"),
        VALUE("mobilePhone"),
        VALUE("phone"),
        LIST("otherContacts"),
        LIST("mobileDevices"),
};
static const struct customer_shape geo_members[] = {VALUE("lat"), VALUE("lon")};
static const struct customer_shape address_members[] = {
        VALUE("street"),
        VALUE("city"),
        VALUE("country"),
        VALUE("province"),
        VALUE("region"),
        VALUE("zip"),
        OBJECT("geo", geo_members),
};
static const struct customer_shape credential_members[] = {VALUE("password"), VALUE("username")};
static const struct customer_shape education_members[] = {
        VALUE("id"),
        VALUE("schoolType"),
        VALUE("schoolName"),
        VALUE("schoolConcentration"),
        VALUE("startYear"),
        VALUE("endYear"),
        VALUE("isCurrent"),
};
static const struct customer_shape like_members[] = {
        VALUE("id"), VALUE("category"), VALUE("name"), TIME("createdTime")};
static const struct customer_shape social_members[] = {
        VALUE("facebook"),
        VALUE("google"),
        VALUE("instagram"),
        VALUE("linkedin"),
        VALUE("qzone"),
        VALUE("twitter"),
};
static const struct customer_shape job_members[] = {
        VALUE("id"),
        VALUE("companyIndustry"),
        VALUE("companyName"),
        VALUE("jobTitle"),
        VALUE("startDate"),
        VALUE("endDate"),
        VALUE("isCurrent"),
};
static const struct customer_shape subscribe_members[] = {VALUE("ip"), VALUE("userAgent")};
static const struct customer_shape unsubscribe_members[] = {
        VALUE("ip"),
        VALUE("userAgent"),
        VALUE("campaignId"),
        VALUE("campaignMessageId"),
};
static const struct customer_shape subscription_members[] = {
        VALUE("id"),
        VALUE("name"),
        VALUE("type"),
        VALUE("kind"),
        VALUE("subscribed"),
        TIME("startDate"),
        TIME("endDate"),
        VALUE("subscriberId"),
        TIME("registeredAt"),
        TIME("updatedAt"),
        OBJECT("subscribeContext", subscribe_members),
        OBJECT("unsubscribeContext", unsubscribe_members),
        /* older clients send it; the present contract does not know it */
        {NAMED("preferences"), .kind = CUSTOMER_LIST, .only_if_set = true},
};
static const struct customer_shape base_members[] = {
        VALUE("pictureUrl"),
        VALUE("title"),
        VALUE("prefix"),
        VALUE("firstName"),
        VALUE("lastName"),
        VALUE("middleName"),
        VALUE("gender"),
        VALUE("dob"),
        VALUE("locale"),
        VALUE("timezone"),
        OBJECT("contacts", contacts_members),
        OBJECT("address", address_members),
        OBJECT("credential", credential_members),
        ITEMS("educations", education_members),
        ITEMS("likes", like_members),
        OBJECT("socialProfile", social_members),
        ITEMS("jobs", job_members),
        {NAMED("subscriptions"), .kind = CUSTOMER_SUBSCRIPTIONS, .members = subscription_members,
                .n_members = ARRAY_LEN(subscription_members)},
};

static const struct customer_shape consent_members[] = {VALUE("status"), VALUE("limitation"), VALUE("objection")};
static const struct customer_shape disclaimer_members[] = {TIME("date"), VALUE("version")};
static const struct customer_shape traditional_members[] = {
        OBJECT("telephonic", consent_members),
        OBJECT("papery", consent_members),
};
static const struct customer_shape automatic_members[] = {
        OBJECT("sms", consent_members),
        OBJECT("email", consent_members),
        OBJECT("push", consent_members),
        OBJECT("im", consent_members),
        OBJECT("telephonic", consent_members),
};
static const struct customer_shape marketing_members[] = {
        OBJECT("traditional", traditional_members),
        OBJECT("automatic", automatic_members),
};
static const struct customer_shape profiling_members[] = {
        OBJECT("classic", consent_members),
        OBJECT("online", consent_members),
};
static const struct customer_shape soft_spam_members[] = {
        OBJECT("email", consent_members),
        OBJECT("papery", consent_members),
};
static const struct customer_shape transfer_members[] = {
        OBJECT("profiling", consent_members),
        OBJECT("marketing", consent_members),
};
static const struct customer_shape consents_members[] = {
        OBJECT("disclaimer", disclaimer_members),
        OBJECT("marketing", marketing_members),
        OBJECT("profiling", profiling_members),
        OBJECT("softSpam", soft_spam_members),
        OBJECT("thirdPartyTransfer", transfer_members),
};
static const struct customer_shape tags_members[] = {LIST("auto"), LIST("manual")};

enum { MEMBER_EXTERNAL_ID, MEMBER_BASE, MEMBER_CONSENTS, MEMBER_EXTENDED, MEMBER_EXTRA, MEMBER_TAGS, MEMBER_ENABLED };

static const struct customer_shape document_members[] = {
        [MEMBER_EXTERNAL_ID] = VALUE("externalId"),
        [MEMBER_BASE] = {NAMED("base"), .kind = CUSTOMER_OBJECT, .always = true, .members = base_members,
                .n_members = ARRAY_LEN(base_members)},
        [MEMBER_CONSENTS] = OBJECT("consents", consents_members),
        [MEMBER_EXTENDED] = {NAMED("extended"), .kind = CUSTOMER_FREE},
        [MEMBER_EXTRA] = VALUE("extra"),
        [MEMBER_TAGS] = OBJECT("tags", tags_members),
        [MEMBER_ENABLED] = VALUE("enabled"),
};

const struct customer_shape customer_shape = {
        .kind = CUSTOMER_OBJECT, .members = document_members, .n_members = ARRAY_LEN(document_members)};

const struct customer_shape *customer_shape_member(const struct customer_shape *shape, struct str name)
{
	if (!shape)
		return NULL;
	for (size_t i = 0; i < shape->n_members; i++)
		if (str_eq(shape->members[i].name, name))
			return &shape->members[i];
	return NULL;
}

/* Documents */

struct json *customer_doc_read(
        struct arena *arena, struct str doc, struct str external_id, bool enabled, struct err *err)
{
	struct json *value = json_parse(arena, doc, err);

	if (!value)
		return NULL;
	if (value->type != JSON_OBJECT) {
		err_set(err, ERR_INTERNAL, "a stored customer is not an object");
		return NULL;
	}
	if (external_id.p)
		json_add(value, STR("externalId"), json_new_str(arena, external_id));
	json_add(value, STR("enabled"), json_new_bool(arena, enabled));
	return value;
}

static bool has_own_column(struct str name)
{
	return str_eq(name, STR("externalId")) || str_eq(name, STR("enabled"));
}

struct str customer_doc_write(struct arena *arena, const struct json *doc)
{
	struct buf buf;
	char before = '{';

	buf_init(&buf, arena, 512);
	for
		json_each(member, doc)
		{
			if (has_own_column(member->key))
				continue;
			buf_add_char(&buf, before);
			json_write_string(&buf, member->key);
			buf_add_char(&buf, ':');
			json_write(&buf, member);
			before = ',';
		}
	if (before == '{')
		buf_add_char(&buf, '{');
	buf_add_char(&buf, '}');
	return buf_str(&buf);
}

struct str customer_external_id(const struct customer *customer)
{
	return json_text(json_member(customer->doc, "externalId"));
}

bool customer_enabled(const struct customer *customer)
{
	return !json_is(json_member(customer->doc, "enabled"), JSON_FALSE);
}

static size_t number_bytes(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == 'e' || text.p[i] == 'E')
			return text.n + (size_t)labs(strtol(text.p + i + 1, NULL, 10));
	return text.n;
}

size_t customer_doc_bytes(const struct json *doc)
{
	size_t n = doc->key.n + 4; /* quotes, colon, comma */

	if (doc->type == JSON_NUMBER)
		return n + number_bytes(doc->text);
	if (doc->type == JSON_STRING)
		return n + 2 + doc->text.n;
	for
		json_each(child, doc) n += customer_doc_bytes(child);
	return n + 4;
}

/* Selection of fields */

struct customer_fields {
	struct str name; /* first: the key in the table around it */
	bool whole;      /* everything below is selected */
	struct key_table below;
};

static struct customer_fields *field_new(struct arena *arena, struct str name)
{
	struct customer_fields *field = arena_alloc(arena, sizeof(*field));

	field->name = name;
	field->whole = false;
	key_table_init(&field->below, arena, 0);
	return field;
}

static struct customer_fields *field_below(struct arena *arena, struct customer_fields *parent, struct str name)
{
	struct str *found = key_table_find(&parent->below, name);

	if (!found)
		found = key_table_add(&parent->below, &field_new(arena, name)->name);
	return (struct customer_fields *)found;
}

const struct customer_fields *customer_fields_parse(struct arena *arena, struct str text)
{
	struct customer_fields *root;
	struct str path, name;

	if (!text.p)
		return NULL;
	root = field_new(arena, STR_NONE);
	while (str_split(&text, ',', &path)) {
		struct customer_fields *field = root;

		path = str_trim(path);
		while (str_split(&path, '.', &name))
			field = field_below(arena, field, name);
		field->whole = true;
	}
	return root;
}

/* What is selected below a member: `all` stands for everything, NULL for nothing. */
static const struct customer_fields all = {.whole = true};

static const struct customer_fields *select_member(const struct customer_fields *fields, struct str name)
{
	return fields->whole ? &all : (const struct customer_fields *)key_table_find(&fields->below, name);
}

/* Rendering */

static void render_member(struct buf *buf, const struct json *value, const struct customer_shape *shape,
        const struct customer_fields *fields);

static void render_object(struct buf *buf, const struct json *value, const struct customer_shape *shape,
        const struct customer_fields *fields)
{
	size_t start = buf->n;

	for (size_t i = 0; i < shape->n_members; i++) {
		const struct customer_shape *member = &shape->members[i];
		const struct customer_fields *selected = select_member(fields, member->name);
		const struct json *found = selected ? json_get(value, member->name) : NULL;

		if (!found && member->only_if_set)
			continue;
		buf_add_str(buf, member->quoted);
		render_member(buf, found, member, selected);
	}
	buf->p[start] = '{'; /* over the first comma */
	buf_add_char(buf, '}');
}

static void render_free(struct buf *buf, const struct json *value, const struct customer_fields *fields);

static void render_free_list(struct buf *buf, const struct json *list, const struct customer_fields *fields)
{
	buf_add_char(buf, '[');
	for
		json_each(item, list)
		{
			if (item != list->first)
				buf_add_char(buf, ',');
			render_free(buf, item, fields);
		}
	buf_add_char(buf, ']');
}

/* Members of the workspace's choice: only those that are there. */
static void render_free(struct buf *buf, const struct json *value, const struct customer_fields *fields)
{
	char before = '{';

	if (value->type == JSON_ARRAY && !fields->whole) {
		render_free_list(buf, value, fields);
		return;
	}
	if (fields->whole || value->type != JSON_OBJECT) {
		json_write(buf, value);
		return;
	}
	for
		json_each(member, value)
		{
			const struct customer_fields *selected = select_member(fields, member->key);

			if (!selected)
				continue;
			buf_add_char(buf, before);
			json_write_string(buf, member->key);
			buf_add_char(buf, ':');
			render_free(buf, member, selected);
			before = ',';
		}
	if (before == '{')
		buf_add_char(buf, '{');
	buf_add_char(buf, '}');
}

static void render_items(struct buf *buf, const struct json *list, const struct customer_shape *shape,
        const struct customer_fields *fields)
{
	buf_add_char(buf, '[');
	for
		json_each(item, list)
		{
			if (item != list->first)
				buf_add_char(buf, ',');
			render_object(buf, item, shape, fields);
		}
	buf_add_char(buf, ']');
}

static void render_absent(struct buf *buf, const struct customer_shape *shape)
{
	if (shape->kind == CUSTOMER_OBJECT && shape->always)
		render_object(buf, NULL, shape, &all);
	else if (shape->kind >= CUSTOMER_LIST)
		buf_add_literal(buf, "[]");
	else
		buf_add_literal(buf, "null");
}

static void render_member(struct buf *buf, const struct json *value, const struct customer_shape *shape,
        const struct customer_fields *fields)
{
	if (!value) {
		render_absent(buf, shape);
		return;
	}
	switch (shape->kind) {
	case CUSTOMER_OBJECT:
		render_object(buf, value, shape, fields);
		break;
	case CUSTOMER_FREE:
	case CUSTOMER_LIST:
		render_free(buf, value, fields);
		break;
	case CUSTOMER_ITEMS:
	case CUSTOMER_SUBSCRIPTIONS:
		render_items(buf, value, shape, fields);
		break;
	case CUSTOMER_VALUE:
	case CUSTOMER_TIME:
		json_write(buf, value);
		break;
	}
}

static void add_uuid_or_null(struct buf *buf, const struct uuid *id, bool selected)
{
	if (selected && !uuid_is_nil(id))
		json_write_uuid(buf, id);
	else
		buf_add_literal(buf, "null");
}

static void add_number(struct buf *buf, int64_t number, bool selected)
{
	if (selected)
		buf_add_number(buf, number);
	else
		buf_add_literal(buf, "null");
}

static void render_document_member(
        struct buf *buf, const struct json *doc, int index, const struct customer_fields *fields)
{
	const struct customer_shape *shape = &document_members[index];
	const struct customer_fields *selected = select_member(fields, shape->name);

	buf_add_str(buf, shape->quoted);
	render_member(buf, selected ? json_get(doc, shape->name) : NULL, shape, selected);
}

static void render_source_info(struct buf *buf, const struct customer *customer, const struct customer_fields *fields)
{
	const struct customer_fields *selected = select_member(fields, STR("sourceInfo"));

	buf_add_literal(buf, ",\"sourceInfo\":{\"registeredBy\":");
	add_uuid_or_null(buf, &customer->registered_by, selected && select_member(selected, STR("registeredBy")));
	buf_add_literal(buf, ",\"updatedBy\":");
	add_uuid_or_null(buf, &customer->updated_by, selected && select_member(selected, STR("updatedBy")));
	buf_add_literal(buf, "}");
}

/* A copy of the path down to the password without it; everything else is shared. */
static const struct json *without_password(struct arena *arena, const struct json *doc)
{
	const struct json *password = json_path(doc, STR("base.credential.password"));
	struct json *copy;

	if (!password)
		return doc;
	copy = json_copy(arena, doc, false);
	json_remove(json_path(copy, STR("base.credential")), STR("password"));
	return copy;
}

void customer_render(
        struct buf *buf, const struct customer *customer, const struct customer_fields *fields, bool hide_password)
{
	const struct json *doc = hide_password ? without_password(buf->arena, customer->doc) : customer->doc;

	if (!fields)
		fields = &all;
	buf_add_literal(buf, "{\"id\":");
	json_write_uuid(buf, &customer->id);
	buf_add_literal(buf, ",\"intId\":");
	add_number(buf, customer->int_id, select_member(fields, STR("intId")));
	render_document_member(buf, doc, MEMBER_EXTERNAL_ID, fields);
	buf_add_literal(buf, ",\"nodeId\":");
	add_uuid_or_null(buf, &customer->node, select_member(fields, STR("nodeId")));
	for (int i = MEMBER_BASE; i <= MEMBER_ENABLED; i++)
		render_document_member(buf, doc, i, fields);
	buf_add_literal(buf, ",\"registeredAt\":");
	json_write_time(buf, customer->registered_us);
	buf_add_literal(buf, ",\"updatedAt\":");
	json_write_time(buf, customer->updated_us);
	buf_add_literal(buf, ",\"version\":");
	add_number(buf, customer->version, select_member(fields, STR("version")));
	buf_add_literal(buf, ",\"deleted\":");
	add_number(buf, -1, select_member(fields, STR("deleted"))); /* -1: live */
	render_source_info(buf, customer, fields);
	buf_add_char(buf, '}');
}

/* Items */

static const struct {
	struct str name, list;
	const struct customer_shape shape;
} items[] = {
        [ITEM_EDUCATION] = {{"education", 9}, {"educations", 10}, ITEMS("educations", education_members)},
        [ITEM_JOB] = {{"job", 3}, {"jobs", 4}, ITEMS("jobs", job_members)},
        [ITEM_LIKE] = {{"like", 4}, {"likes", 5}, ITEMS("likes", like_members)},
        [ITEM_SUBSCRIPTION] = {{"subscription", 12}, {"subscriptions", 13},
                ITEMS("subscriptions", subscription_members)},
};

struct str customer_item_name(enum item_kind kind)
{
	return items[kind].name;
}

struct str customer_item_list(enum item_kind kind)
{
	return items[kind].list;
}

struct json *customer_item_find(const struct json *doc, enum item_kind kind, struct str id)
{
	const struct json *list = json_get(json_member(doc, "base"), items[kind].list);

	if (!json_is(list, JSON_ARRAY))
		return NULL;
	for
		json_each(item, list)
		{
			const struct json *item_id = json_member(item, "id");

			if (json_is(item_id, JSON_STRING) && str_eq(item_id->text, id))
				return item;
		}
	return NULL;
}

void customer_item_render(struct buf *buf, enum item_kind kind, const struct json *item)
{
	render_object(buf, item, &items[kind].shape, &all);
}
