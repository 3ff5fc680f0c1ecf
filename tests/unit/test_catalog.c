#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/catalog.h"
#include "common/json.h"
#include "common/schema.h"
#include "tests/unit/parts.h"

/* Stands in for what a workspace adds: one number for each kind. */
static const struct json *resolve(void *context, struct str reference)
{
	if (str_starts(reference, STR("extended.json#/")))
		return context;
	return catalog_resolve(reference);
}

static struct schema *compile(struct arena *arena, const struct json *document)
{
	struct json *extended = json_parse(arena,
	        STR("{\"type\":[\"object\",\"null\"],\"additionalProperties\":false,"
	            "\"properties\":{\"points\":{\"type\":\"number\"}}}"),
	        NULL);
	struct err err;
	struct schema *schema = schema_compile(arena, document, resolve, extended, &err);

	if (!schema)
		fail_msg("%s %s", err.message, err.pointer);
	return schema;
}

static void every_document_compiles(void **state)
{
	assert_int_equal(catalog_count(), EVENT_TYPE_COUNT + EVENT_CONTEXT_COUNT + 2);
	for (size_t i = 0; i < catalog_count(); i++) {
		struct str name = catalog_name(i);
		const struct json *document = catalog_document(name);

		assert_non_null(document);
		assert_ptr_equal(document, catalog_document(name));
		assert_true(str_eq(json_text(json_member(document, "$id")), name));
		compile(*state, document);
		assert_true(i == 0 || str_compare(catalog_name(i - 1), name) < 0);
	}
}

static void every_definition_compiles(void **state)
{
	const struct json *definitions = json_member(catalog_document(STR("common.json")), "definitions");

	for
		json_each(definition, definitions) compile(*state, definition);
}

static void event_types_and_contexts_have_documents(void **state)
{
	const struct json *types = catalog_resolve(STR("common.json#/definitions/EventType/enum"));
	const struct json *contexts = catalog_resolve(STR("common.json#/definitions/EventContext/enum"));

	assert_int_equal(types->count, EVENT_TYPE_COUNT);
	for
		json_each(type, types)
		{
			const struct event_type *row = event_type_find(json_text(type));
			char *name = arena_printf(*state, "event.%.*s.json", STR_ARG(json_text(type)));

			assert_non_null(row);
			assert_true(str_eq(row->id, json_text(type)));
			assert_true(
			        str_eq(row->label, json_text(json_member(catalog_document(str_of(name)), "x-label"))));
			assert_in_range(row->retention_months, 3, 13);
			assert_true(row->category.n > 0);
		}
	assert_int_equal(contexts->count, EVENT_CONTEXT_COUNT);
	for
		json_each(context, contexts)
		{
			const struct event_context *row = event_context_find(json_text(context));
			char *name = arena_printf(*state, "context.%.*s.json", STR_ARG(json_text(context)));

			assert_non_null(row);
			assert_true(
			        str_eq(row->label, json_text(json_member(catalog_document(str_of(name)), "title"))));
		}
	assert_null(event_type_find(STR("completedorder")));
	assert_null(event_type_find(STR("")));
	assert_null(event_context_find(STR("web")));
}

static void unknown_names_resolve_to_nothing(void **state)
{
	static const char *const references[] = {"", "#", "other.json#/x", "common.json#/definitions/Nothing",
	        "common.json#/x/y", "extended.json#/event"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(references); i++)
		assert_null(catalog_resolve(str_of(references[i])));
	assert_null(catalog_document(STR("none.json")));
	assert_str(json_text(json_member(catalog_resolve(STR("common.json#/definitions/Amount")), "type")), "object");
}

/* Bodies as clients send them, and the first fault of bodies that are wrong. */
static const struct body_case {
	const char *reference; /* document, or document#/definitions/name */
	const char *body;
	const char *pointer, *message; /* NULL: valid */
} body_cases[] = {
        {"customer.json", "{\"nodeId\":\"n\"}", NULL, NULL},
        {"customer.json",
                "{\"id\":\"x\",\"intId\":1,\"externalId\":null,\"nodeId\":\"n\",\"base\":null,\"extended\":null,"
                "\"extra\":null,\"tags\":null,\"consents\":null,\"enabled\":true,\"registeredAt\":\"2016-01-01T00:00:"
                "00.000+0000\",\"updatedAt\":\"2016-01-01T00:00:00.000+0000\",\"version\":1,\"deleted\":-1,"
                "\"sourceInfo\":{\"registeredBy\":null,\"updatedBy\":\"s\"}}",
                NULL, NULL},
        {"customer.json",
                "{\"base\":{\"pictureUrl\":null,\"title\":null,\"prefix\":null,\"firstName\":null,\"lastName\":null,"
                "\"middleName\":null,\"gender\":null,\"dob\":null,\"locale\":null,\"timezone\":null,\"contacts\":null,"
                "\"address\":null,\"credential\":null,\"educations\":null,\"likes\":null,\"socialProfile\":null,"
                "\"jobs\":null,\"subscriptions\":null}}",
                NULL, NULL},
        {"customer.json",
                "{\"base\":{\"educations\":[],\"likes\":[],\"jobs\":[],\"subscriptions\":[],\"contacts\":{"
                "\"otherContacts\":[],\"mobileDevices\":null}},\"tags\":{\"auto\":[],\"manual\":null}}",
                NULL, NULL},
        {"customer.json",
                "{\"base\":{\"firstName\":\"Mario\",\"lastName\":\"Rossi\",\"dob\":\"1985-02-28\",\"locale\":\"it_IT\","
                "\"timezone\":\"Europe/"
                "Rome\",\"contacts\":{\"email\":\"@example.com\",\"phone\":\"1\",\"otherContacts\":[{\"name\":\"n\","
                "\"type\":\"MOBILE\",\"value\":\"1\"}],\"mobileDevices\":[{\"identifier\":\"i\",\"type\":null,"
                "\"notificationService\":\"APN\"}]},\"address\":{\"street\":\"via\",\"geo\":{\"lat\":45.4,\"lon\":9.1}}"
                ",\"credential\":{\"username\":\"u\",\"password\":\"p\"}}}",
                NULL, NULL},
        {"customer.json",
                "{\"base\":{\"educations\":[{\"id\":\"1\",\"schoolType\":\"COLLEGE\",\"startYear\":1994,\"isCurrent\":"
                "false}],\"likes\":[{\"id\":\"2\",\"createdTime\":\"2016-01-01T00:00:00+0000\"}],\"jobs\":[{\"id\":"
                "\"3\",\"startDate\":\"2016-01-01\",\"endDate\":null}],\"subscriptions\":[{\"id\":\"4\",\"kind\":"
                "\"SERVICE\",\"subscribed\":true,\"preferences\":[{\"key\":\"k\",\"value\":\"v\"}],"
                "\"subscribeContext\":{\"ip\":\"::1\",\"userAgent\":\"ua\"}}]}}",
                NULL, NULL},
        {"customer.json",
                "{\"consents\":{\"disclaimer\":{\"date\":\"2018-05-25T10:00:00Z\",\"version\":\"1\"},\"marketing\":{"
                "\"automatic\":{\"email\":{\"status\":true,\"objection\":null}},\"traditional\":null},\"softSpam\":{"
                "\"email\":{\"limitation\":true}}}}",
                NULL, NULL},
        {"customer.json", "{\"extended\":{\"points\":1.5}}", NULL, NULL},
        {"customer.json", "{\"id\":5}", "/id", "must be a string or null"},
        {"customer.json", "{\"name\":\"x\"}", "/name", "is not a known property"},
        {"customer.json", "{\"base\":{\"fistName\":\"x\"}}", "/base/fistName", "is not a known property"},
        {"customer.json", "{\"base\":{\"firstName\":5}}", "/base/firstName", "must be a string or null"},
        {"customer.json",
                "{\"base\":{\"firstName\":"
                "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}}",
                "/base/firstName", "must not be longer than 255 characters"},
        {"customer.json",
                "{\"base\":{\"address\":{\"street\":"
                "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}}}",
                "/base/address/street", "must not be longer than 500 characters"},
        {"customer.json",
                "{\"base\":{\"address\":{\"street\":"
                "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}}}",
                NULL, NULL},
        {"customer.json", "{\"base\":{\"contacts\":{\"email\":\"none\"}}}", "/base/contacts/email",
                "must be an e-mail address"},
        {"customer.json", "{\"base\":{\"dob\":\"1985-02-30\"}}", "/base/dob", "must be a date (yyyy-MM-dd)"},
        {"customer.json", "{\"base\":{\"locale\":\"Italian\"}}", "/base/locale",
                "does not have the form that is asked for"},
        {"customer.json", "{\"base\":{\"address\":{\"geo\":{\"lat\":91,\"lon\":0}}}}", "/base/address/geo/lat",
                "must be at most 90"},
        {"customer.json", "{\"base\":{\"address\":{\"geo\":{\"lat\":1}}}}", "/base/address/geo/lon", "is required"},
        {"customer.json", "{\"base\":{\"likes\":[{\"id\":\"1\"},{\"name\":\"x\"}]}}", "/base/likes/1/id",
                "is required"},
        {"customer.json", "{\"base\":{\"jobs\":{}}}", "/base/jobs", "must be an array or null"},
        {"customer.json", "{\"base\":{\"subscriptions\":[{\"id\":\"\"}]}}", "/base/subscriptions/0/id",
                "must not be shorter than 1 character"},
        {"customer.json", "{\"base\":{\"subscriptions\":[{\"id\":\"a\\u0001\"}]}}", "/base/subscriptions/0/id",
                "does not have the form that is asked for"},
        {"customer.json", "{\"base\":{\"subscriptions\":[{\"id\":\"a\",\"kind\":\"NEWS\"}]}}",
                "/base/subscriptions/0/kind", "is not one of DIGITAL_MESSAGE, SERVICE, OTHER, null"},
        {"customer.json", "{\"consents\":{\"marketing\":{\"automatic\":{\"email\":{\"status\":\"yes\"}}}}}",
                "/consents/marketing/automatic/email/status", "must be a boolean or null"},
        {"customer.json",
                "{\"tags\":{\"manual\":["
                "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\","
                "\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
                "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
                "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
                "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\"]}"
                "}",
                "/tags/manual", "must not have more than 1000 characters in total"},
        {"customer.json", "{\"tags\":{\"manual\":[1]}}", "/tags/manual/0", "must be a string"},
        {"customer.json", "{\"extended\":{\"unknown\":1}}", "/extended/unknown", "is not a known property"},
        {"customer.json", "[]", "", "must be an object"},
        {"customer.json", "{\"enabled\":\"true\"}", "/enabled", "must be a boolean or null"},
        {"event.completedOrder.json", "{}", NULL, NULL},
        {"event.completedOrder.json",
                "{\"orderId\":\"1\",\"type\":\"sale\",\"storeCode\":\"s\",\"paymentMethod\":\"cash\",\"amount\":{"
                "\"total\":19.99,\"revenue\":19.99,\"shipping\":0,\"tax\":0,\"discount\":0,\"local\":{\"currency\":"
                "\"EUR\",\"exchangeRate\":1}},\"products\":[{\"type\":\"sale\",\"id\":\"p\",\"sku\":\"s\",\"name\":"
                "\"n\",\"price\":19.99,\"quantity\":1,\"subtotal\":19.99,\"vendor\":null,\"category\":[\"a\",\"b\"],"
                "\"extended\":{\"points\":3}}]}",
                NULL, NULL},
        {"event.completedOrder.json", "{\"amount\":{\"total\":\"19.99\"}}", "/amount/total", "must be a number"},
        {"event.completedOrder.json", "{\"amount\":{\"local\":{\"currency\":\"LIRA\"}}}", "/amount/local/currency",
                "is not one of AED, AFN, ALL, AMD, ANG, AOA, ARS, AUD, AWG, AZN, BAM, BBD, BDT, BGN, BHD, BIF, BMD, "
                "BND, BOB, BRL, BSD, BTN, BWP, BYR, BZD, CAD, CDF, CHF, CLP, CNY, COP and 130 more"},
        {"event.completedOrder.json", "{\"type\":\"gift\"}", "/type", "is not one of sale, return, sale-return"},
        {"event.completedOrder.json", "{\"products\":[{\"sku\":\"a\"},{\"skew\":\"b\"}]}", "/products/1/skew",
                "is not a known property"},
        {"event.completedOrder.json", "{\"products\":[{\"extended\":{\"points\":\"x\"}}]}",
                "/products/0/extended/points", "must be a number"},
        {"event.completedOrder.json", "{\"products\":{}}", "/products", "must be an array"},
        {"event.abandonedCart.json",
                "{\"abandonedCartUrl\":\"http://a/"
                "b\",\"products\":[{\"orderLineId\":1,\"id\":\"x\",\"extended\":{\"points\":1}}]}",
                NULL, NULL},
        {"event.abandonedCart.json", "{\"products\":[{\"orderLineId\":1.5}]}", "/products/0/orderLineId",
                "must be an integer"},
        {"event.viewedPage.json", "{\"url\":\"http://www.example.com/\",\"title\":\"t\",\"pageTags\":[\"a\"]}", NULL,
                NULL},
        {"event.viewedPage.json", "{\"url\":\"not a url\"}", "/url", "must be a URI"},
        {"event.addedProduct.json",
                "{\"id\":\"1\",\"price\":9.5,\"quantity\":2,\"weight\":null,\"classifications\":[{\"key\":\"k\","
                "\"value\":\"v\"}]}",
                NULL, NULL},
        {"event.addedProduct.json", "{\"classifications\":[{\"key\":\"k\"}]}", "/classifications/0/value",
                "is required"},
        {"event.grantedCoupon.json", "{\"totalAmount\":5,\"startValidityDate\":\"2016-01-01\"}", NULL, NULL},
        {"event.grantedCoupon.json", "{\"startValidityDate\":\"2016-01-01\"}", "/totalAmount", "is required"},
        {"event.grantedCoupon.json", "{\"totalAmount\":-1,\"startValidityDate\":\"2016-01-01\"}", "/totalAmount",
                "must be at least 0"},
        {"event.addedReward.json", "{\"rewardAmount\":1,\"rewardTypeId\":\"x\"}", NULL, NULL},
        {"event.addedReward.json", "{\"rewardAmount\":1}", "/rewardTypeId", "is required"},
        {"event.removedReward.json", "{\"rewardAmount\":0,\"rewardTypeId\":\"x\"}", NULL, NULL},
        {"event.campaignSent.json",
                "{\"channel\":\"IM\",\"userdbId\":5,\"contents\":[{\"type\":\"IMG\",\"products\":[{\"id\":\"1\","
                "\"other\":1}]}]}",
                NULL, NULL},
        {"event.campaignSent.json", "{\"contents\":[{\"name\":\"x\"}]}", "/contents/0/type", "is required"},
        {"event.campaignOpened.json", "{\"channel\":\"IM\"}", "/channel", "is not one of SMS, EMAIL, PUSH, FAX"},
        {"event.eventInvited.json",
                "{\"eventDate\":\"2020-01-01T10:00:00+0100\",\"eventLocation\":{\"type\":\"STORE\",\"address\":{"
                "\"geo\":null},\"else\":1}}",
                NULL, NULL},
        {"event.eventInvited.json", "{\"eventLocation\":{\"address\":{\"geo\":{\"lat\":1,\"lon\":200}}}}",
                "/eventLocation/address/geo/lon", "must be at most 180"},
        {"event.eventParticipated.json", "{\"host\":{\"contacts\":{\"email\":\"a@b\"}}}", NULL, NULL},
        {"event.formCompiled.json", "{\"formId\":\"f\",\"data\":{\"any\":{\"thing\":1}}}", NULL, NULL},
        {"event.formCompiled.json", "{\"data\":\"x\"}", "/data", "must be an object"},
        {"event.surveyCompiled.json", "{\"anything\":\"goes\"}", NULL, NULL},
        {"event.searched.json", "{\"keyword\":\"k\",\"resultCount\":3}", NULL, NULL},
        {"event.searched.json", "{\"resultCount\":\"3\"}", "/resultCount", "must be an integer"},
        {"event.changedSetting.json", "{\"setting\":\"LANGUAGE\"}", NULL, NULL},
        {"context.WEB.json", "{}", NULL, NULL},
        {"context.WEB.json",
                "{\"client\":{\"userAgent\":\"ua\",\"ip\":\"127.0.0.1\"},\"user\":{\"id\":\"u\",\"externalId\":null}}",
                NULL, NULL},
        {"context.WEB.json", "{\"client\":{\"ip\":\"2001:db8::1\",\"localization\":{\"geo\":{\"lat\":1}}}}", NULL,
                NULL},
        {"context.WEB.json", "{\"client\":{\"ip\":\"localhost\"}}", "/client/ip", "must be an IP address"},
        {"context.WEB.json", "{\"user\":{\"firstName\":\"x\"}}", "/user/id", "is required"},
        {"context.WEB.json", "{\"store\":{}}", "/store", "is not a known property"},
        {"context.ECOMMERCE.json", "{\"store\":{\"id\":\"1\",\"type\":\"ECOMMERCE\"}}", NULL, NULL},
        {"context.ECOMMERCE.json", "{\"store\":{\"type\":\"SHOP\"}}", "/store/type",
                "is not one of AIRPORT, ECOMMERCE, FLAGSHIP, FREE-STANDING, MALL, OUTLET, RESORT, SIS, WAREHOUSE, "
                "NOT-DEFINED"},
        {"context.RETAIL.json", "{\"salesAssistant\":{\"id\":\"1\",\"firstName\":null}}", NULL, NULL},
        {"context.RETAIL.json", "{\"salesAssistant\":null}", NULL, NULL},
        {"context.MOBILE.json", "{\"device\":{\"model\":\"m\"}}", NULL, NULL},
        {"context.MOBILE.json", "{\"device\":{\"model\":null}}", "/device/model", "must be a string"},
        {"context.CONTACT_CENTER.json", "{\"client\":{\"userAgent\":null}}", NULL, NULL},
        {"context.DIGITAL_CAMPAIGN.json", "{\"client\":{\"userAgent\":null}}", NULL, NULL},
        {"context.IOT.json", "{\"client\":{\"userAgent\":null}}", NULL, NULL},
        {"context.OTHER.json", "{\"client\":{\"userAgent\":null}}", NULL, NULL},
        {"context.SOCIAL.json", "{\"client\":{\"userAgent\":null}}", NULL, NULL},
        {"common.json#/definitions/EventCreate",
                "{\"type\":\"viewedPage\",\"context\":\"WEB\",\"customerId\":\"c\",\"properties\":[],\"tracking\":null,"
                "\"bringBackProperties\":null}",
                NULL, NULL},
        {"common.json#/definitions/EventCreate",
                "{\"type\":\"viewedPage\",\"context\":\"WEB\",\"bringBackProperties\":{\"type\":\"SESSION_ID\","
                "\"value\":\"v\",\"nodeId\":\"n\"},\"date\":\"2016-01-01T00:00:00Z\",\"contextInfo\":{},\"properties\":"
                "{}}",
                NULL, NULL},
        {"common.json#/definitions/EventCreate", "{\"type\":\"seen\",\"context\":\"WEB\"}", "/type",
                "is not one of abandonedCart, abandonedSession, addedCompare, addedProduct, addedReward, "
                "addedWishlist, campaignBlacklisted, campaignBounced, campaignLinkClicked, campaignMarkedSpam and 38 "
                "more"},
        {"common.json#/definitions/EventCreate", "{\"type\":\"viewedPage\"}", "/context", "is required"},
        {"common.json#/definitions/EventCreate", "{\"type\":\"viewedPage\",\"context\":\"WEB\",\"properties\":[1]}",
                "/properties", "must be empty"},
        {"common.json#/definitions/EventCreate",
                "{\"type\":\"viewedPage\",\"context\":\"WEB\",\"bringBackProperties\":{\"type\":\"session\",\"value\":"
                "\"v\",\"nodeId\":\"n\"}}",
                "/bringBackProperties/type", "is not one of SESSION_ID, EXTERNAL_ID"},
        {"common.json#/definitions/Tracking", "{\"ga\":{\"utm_source\":\"s\"}}", NULL, NULL},
        {"common.json#/definitions/Tracking", "{\"ga\":{\"source\":\"s\"}}", "/ga/source", "is not a known property"},
};

static const struct json *find(struct str reference)
{
	return memchr(reference.p, '#', reference.n) ? catalog_resolve(reference) : catalog_document(reference);
}

static void check_case(struct arena *arena, const struct body_case *row)
{
	struct problems *problems = arena_alloc(arena, sizeof(*problems));
	const struct problem *first = &problems->items[0];
	const struct json *document = find(str_of(row->reference));
	struct err err;
	struct json *body = json_parse(arena, str_of(row->body), &err);

	if (!body || !document)
		CASE_FAIL(row->body, "%s", document ? err.message : row->reference);
	problems_init(problems, arena);
	schema_validate(compile(arena, document), body, STR(""), problems);
	if (!row->pointer && problems->n)
		CASE_FAIL(row->body, "%.*s: %.*s", STR_ARG(first->path), STR_ARG(first->message));
	if (row->pointer &&
	        (!problems->n || !str_is(first->path, row->pointer) || !str_is(first->message, row->message)))
		CASE_FAIL(row->body, "%zu faults, the first \"%.*s\": \"%.*s\"", problems->n,
		        STR_ARG(problems->n ? first->path : STR("")), STR_ARG(problems->n ? first->message : STR("")));
}

static void bodies_are_judged(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(body_cases); i++)
		check_case(*state, &body_cases[i]);
}

/* Every event type takes an event without properties, unless some are required, and refuses a property it does not
 * have. */
static void every_type_takes_the_common_properties(void **state)
{
	for (size_t i = 0; i < EVENT_TYPE_COUNT; i++) {
		char *name = arena_printf(*state, "event.%.*s.json", STR_ARG(event_types[i].id));
		const struct json *required = json_member(catalog_document(str_of(name)), "required");
		bool open = !json_is(json_member(catalog_document(str_of(name)), "additionalProperties"), JSON_FALSE);

		if (!required)
			check_case(*state,
			        &(struct body_case){.reference = name,
			                .body = "{\"extraProperties\":{\"any\":[1,{}]},\"extended\":{\"points\":5}}"});
		if (!required && !open)
			check_case(*state, &(struct body_case){.reference = name,
			                           .body = "{\"noSuchThing\":1}",
			                           .pointer = "/noSuchThing",
			                           .message = "is not a known property"});
		if (!required)
			check_case(*state, &(struct body_case){.reference = name,
			                           .body = "{\"extended\":{\"points\":\"5\"}}",
			                           .pointer = "/extended/points",
			                           .message = "must be a number"});
	}
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, unit_arena_new, unit_arena_free)
	const struct CMUnitTest tests[] = {
	        TEST(every_document_compiles),
	        TEST(every_definition_compiles),
	        TEST(event_types_and_contexts_have_documents),
	        TEST(unknown_names_resolve_to_nothing),
	        TEST(bodies_are_judged),
	        TEST(every_type_takes_the_common_properties),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
