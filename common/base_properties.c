#include "common/base_properties.h"

#include "common/json.h"

#define NAME(text)                                                                                                     \
	{                                                                                                              \
		(text), sizeof(text) - 1                                                                               \
	}

const struct base_property base_properties[BASE_PROPERTY_COUNT] = {
        {.name = NAME("pictureUrl"), .label = NAME("Address of a picture of the person")},
        {.name = NAME("title"), .label = NAME("Academic or professional title")},
        {.name = NAME("prefix"), .label = NAME("Form of address in front of the name")},
        {.name = NAME("firstName"), .label = NAME("First name")},
        {.name = NAME("lastName"), .label = NAME("Last name")},
        {.name = NAME("middleName"), .label = NAME("Middle name")},
        {.name = NAME("gender"), .label = NAME("Gender")},
        {.name = NAME("dob"), .label = NAME("Date of birth")},
        {.name = NAME("locale"), .label = NAME("Language and country")},
        {.name = NAME("timezone"), .label = NAME("Time zone")},
        {.name = NAME("contacts"), .label = NAME("Ways to reach the person")},
        {.name = NAME("contacts.email"), .label = NAME("E-mail address")},
        {.name = NAME("contacts.fax"), .label = NAME("Fax number")},
        {.name = NAME("contacts.mobilePhone"), .label = NAME("Mobile phone number")},
        {.name = NAME("contacts.phone"), .label = NAME("Phone number")},
        {.name = NAME("contacts.otherContacts"), .label = NAME("Further contacts")},
        {.name = NAME("contacts.mobileDevices"), .label = NAME("Mobile devices that take messages")},
        {.name = NAME("address"), .label = NAME("Postal address")},
        {.name = NAME("address.street"), .label = NAME("Street and number")},
        {.name = NAME("address.city"), .label = NAME("City")},
        {.name = NAME("address.country"), .label = NAME("Country")},
        {.name = NAME("address.province"), .label = NAME("Province")},
        {.name = NAME("address.region"), .label = NAME("Region")},
        {.name = NAME("address.zip"), .label = NAME("Postal code")},
        {.name = NAME("address.geo"), .label = NAME("Place on the map")},
        {.name = NAME("address.geo.lat"), .label = NAME("Latitude in degrees")},
        {.name = NAME("address.geo.lon"), .label = NAME("Longitude in degrees")},
        {.name = NAME("credential"), .label = NAME("Account of the person")},
        {.name = NAME("credential.username"), .label = NAME("Name of the account")},
        {.name = NAME("credential.password"), .label = NAME("Password of the account")},
        {.name = NAME("educations"), .label = NAME("Schools that the person attended")},
        {.name = NAME("likes"), .label = NAME("Things that the person likes")},
        {.name = NAME("jobs"), .label = NAME("Jobs of the person")},
        {.name = NAME("socialProfile"), .label = NAME("Accounts in social networks")},
        {.name = NAME("socialProfile.facebook"), .label = NAME("Facebook account")},
        {.name = NAME("socialProfile.google"), .label = NAME("Google account")},
        {.name = NAME("socialProfile.instagram"), .label = NAME("Instagram account")},
        {.name = NAME("socialProfile.linkedin"), .label = NAME("LinkedIn account")},
        {.name = NAME("socialProfile.qzone"), .label = NAME("Qzone account")},
        {.name = NAME("socialProfile.twitter"), .label = NAME("Twitter account")},
        {.name = NAME("subscriptions"), .label = NAME("Subscriptions of the person")},
};

const struct base_property *base_property_find(struct str name)
{
	for (size_t i = 0; i < BASE_PROPERTY_COUNT; i++)
		if (str_eq(base_properties[i].name, name))
			return &base_properties[i];
	return NULL;
}

/* True when name is group or lies below it. */
static bool is_within(struct str name, struct str group)
{
	return str_starts(name, group) && (name.n == group.n || name.p[group.n] == '.');
}

bool base_property_is_disabled(const struct json *disabled, struct str name)
{
	if (!disabled)
		return false;
	for
		json_each(item, disabled) if (is_within(name, json_text(item))) return true;
	return false;
}

struct json *base_property_switch(struct arena *arena, const struct json *disabled, struct str name, bool enabled)
{
	struct json *list = json_new(arena, JSON_ARRAY);

	for (size_t i = 0; i < BASE_PROPERTY_COUNT; i++) {
		struct str other = base_properties[i].name;
		bool off = base_property_is_disabled(disabled, other);
		if (is_within(other, name))
			off = !enabled;
		else if (enabled && is_within(name, other))
			off = false;
		if (off)
			json_append(list, json_new_str(arena, other));
	}
	return list;
}

/* The property's place in the schema, and its name there; NULL for places below a $ref (coordinates of a map point). */
static struct json *find_place(struct json *schema, struct str name, struct str *ret_last)
{
	struct json *place = json_member(json_member(json_member(schema, "properties"), "base"), "properties");
	struct str step;

	while (place && str_split(&name, '.', &step)) {
		*ret_last = step;
		if (!name.p)
			return json_get(place, step) ? place : NULL;
		place = json_member(json_get(place, step), "properties");
	}
	return NULL;
}

static bool is_object_schema(const struct json *schema)
{
	return json_member(schema, "properties") != NULL;
}

static struct json *type_list(struct arena *arena, struct str type)
{
	struct json *list = json_new(arena, JSON_ARRAY);

	json_append(list, json_new_str(arena, type));
	json_append(list, json_new_str(arena, STR("null")));
	return list;
}

static struct json *off_schema(struct arena *arena, const struct json *schema)
{
	struct json *off = json_new(arena, JSON_OBJECT);

	json_add(off, STR("title"), json_new_str(arena, json_text(json_member(schema, "title"))));
	if (json_member(schema, "items")) {
		json_add(off, STR("type"), type_list(arena, STR("array")));
		json_add(off, STR("maxItems"), json_new_i64(arena, 0));
		return off;
	}
	json_add(off, STR("type"), json_new_str(arena, STR("null")));
	return off;
}

void base_properties_restrict(struct arena *arena, struct json *customer_schema, const struct json *disabled)
{
	for (size_t i = 0; i < BASE_PROPERTY_COUNT; i++) {
		struct str name = base_properties[i].name, last;
		if (!base_property_is_disabled(disabled, name))
			continue;
		if (is_within(name, STR("address.geo")))
			name = STR("address.geo");
		struct json *place = find_place(customer_schema, name, &last);
		const struct json *schema = place ? json_get(place, last) : NULL;
		/* the members of a group are off one by one: an object that holds only nulls still passes */
		if (schema && !is_object_schema(schema))
			json_set(place, last, off_schema(arena, schema));
	}
}

void base_properties_describe(struct arena *arena, struct json *customer_schema, const struct json *disabled)
{
	for (size_t i = 0; i < BASE_PROPERTY_COUNT; i++) {
		const struct base_property *property = &base_properties[i];
		struct str last;
		struct json *place = find_place(customer_schema, property->name, &last);
		if (!place)
			continue;
		struct json *facts = json_new(arena, JSON_OBJECT);
		json_add(facts, STR("label"), json_new_str(arena, property->label));
		json_add(facts, STR("enabled"),
		        json_new_bool(arena, !base_property_is_disabled(disabled, property->name)));
		json_set(json_get(place, last), STR("contactlabProperties"), facts);
	}
}
