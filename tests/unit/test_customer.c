#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/customer.h"
#include "tests/unit/parts.h"

static struct arena *arena;

static int make_arena(void **state)
{
	(void)state;
	arena = arena_new(16 * 1024 * 1024);
	return 0;
}

static int free_arena(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

/* JSON written with single quotes. */
static struct json *json_of(const char *text)
{
	return unit_quoted_json(arena, text);
}

static const char *rendered(const char *doc, const char *fields, bool hide_password)
{
	struct customer customer = {
	        .int_id = 7, .version = 2, .registered_us = 1488297772504000, .updated_us = 1488297772505999};
	struct buf buf;

	assert_true(uuid_parse(STR("8b321dce-53c4-4029-8388-1938efa2090c"), &customer.id));
	assert_true(uuid_parse(STR("91316725-a4c2-420b-a3f3-2556b3630444"), &customer.node));
	assert_true(uuid_parse(STR("0b0b0b0b-a4c2-420b-a3f3-2556b3630444"), &customer.registered_by));
	customer.doc = json_of(doc);
	buf_init(&buf, arena, 16);
	customer_render(&buf, &customer, customer_fields_parse(arena, str_of(fields)), hide_password);
	buf_add_char(&buf, '\0');
	return buf.p;
}

/* The whole shape in the order of the contract: absent objects and values null, absent lists []. */
static void test_empty(void **state)
{
	(void)state;
	assert_string_equal(rendered("{}", NULL, false),
	        "{\"id\":\"8b321dce-53c4-4029-8388-1938efa2090c\",\"intId\":7,\"externalId\":null,"
	        "\"nodeId\":\"91316725-a4c2-420b-a3f3-2556b3630444\",\"base\":{\"pictureUrl\":null,\"title\":null,"
	        "\"prefix\":null,\"firstName\":null,\"lastName\":null,\"middleName\":null,\"gender\":null,\"dob\":null,"
	        "\"locale\":null,\"timezone\":null,\"contacts\":null,\"address\":null,\"credential\":null,"
	        "\"educations\":[],\"likes\":[],\"socialProfile\":null,\"jobs\":[],\"subscriptions\":[]},"
	        "\"consents\":null,\"extended\":null,\"extra\":null,\"tags\":null,\"enabled\":null,"
	        "\"registeredAt\":\"2017-02-28T16:02:52.504+0000\",\"updatedAt\":\"2017-02-28T16:02:52.505+0000\","
	        "\"version\":2,\"deleted\":-1,"
	        "\"sourceInfo\":{\"registeredBy\":\"0b0b0b0b-a4c2-420b-a3f3-2556b3630444\",\"updatedBy\":null}}");
}

/* Where, in the answer to a GET, a document shows. */
static void test_parts(void **state)
{
	static const struct {
		const char *what, *doc, *path, *shown;
	} rows[] = {
	        {"contacts given", "{'base':{'contacts':{'email':'a@b'}}}", "base.contacts",
	                "{'email':'a@b','fax':null,'mobilePhone':null,'phone':null,'otherContacts':[],'mobileDevices':["
	                "]}"},
	        {"devices as sent", "{'base':{'contacts':{'mobileDevices':[{'identifier':'x'}]}}}",
	                "base.contacts.mobileDevices", "[{'identifier':'x'}]"},
	        {"address with a place", "{'base':{'address':{'geo':{'lon':8.10,'lat':45}}}}", "base.address",
	                "{'street':null,'city':null,'country':null,'province':null,'region':null,'zip':null,"
	                "'geo':{'lat':45,'lon':8.10}}"},
	        {"a whole education", "{'base':{'educations':[{'id':'1','startYear':2001}]}}", "base.educations",
	                "[{'id':'1','schoolType':null,'schoolName':null,'schoolConcentration':null,'startYear':2001,"
	                "'endYear':null,'isCurrent':null}]"},
	        {"subscription with what older clients send",
	                "{'base':{'subscriptions':[{'id':'1','preferences':[]}]}}", "base.subscriptions",
	                "[{'id':'1','name':null,'type':null,'kind':null,'subscribed':null,'startDate':null,'endDate':"
	                "null,"
	                "'subscriberId':null,'registeredAt':null,'updatedAt':null,'subscribeContext':null,"
	                "'unsubscribeContext':null,'preferences':[]}]"},
	        {"one consent", "{'consents':{'softSpam':{'email':{'status':true}}}}", "consents",
	                "{'disclaimer':null,'marketing':null,'profiling':null,'softSpam':{'email':{'status':true,"
	                "'limitation':null,'objection':null},'papery':null},'thirdPartyTransfer':null}"},
	        {"one kind of tags", "{'tags':{'manual':['a','b']}}", "tags", "{'auto':[],'manual':['a','b']}"},
	        {"tags that were taken away", "{'tags':{}}", "tags", "{'auto':[],'manual':[]}"},
	        {"extended as sent", "{'extended':{'z':19.99,'a':[1,2],'o':{'x':true}}}", "extended",
	                "{'z':19.99,'a':[1,2],'o':{'x':true}}"},
	        {"credential", "{'base':{'credential':{'username':'u','password':'p'}}}", "base.credential",
	                "{'password':'p','username':'u'}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct json *all = json_of(rendered(rows[i].doc, NULL, false));

		if (!json_equal(json_path(all, str_of(rows[i].path)), json_of(rows[i].shown)))
			fail_msg("%s: %s", rows[i].what, rendered(rows[i].doc, NULL, false));
	}
}

static void test_number_text(void **state)
{
	(void)state;
	assert_non_null(strstr(rendered("{'extended':{'p':19.990,'n':1234567890123456789}}", NULL, false),
	        "{\"p\":19.990,\"n\":1234567890123456789}"));
}

static void test_hidden_password(void **state)
{
	const char *doc = "{'base':{'credential':{'username':'u','password':'$argon2id$x'}}}";

	(void)state;
	assert_non_null(strstr(rendered(doc, NULL, true), "\"credential\":{\"password\":null,\"username\":\"u\"}"));
	assert_non_null(strstr(rendered("{}", NULL, true), "\"credential\":null"));
}

static void test_fields(void **state)
{
	static const struct {
		const char *fields, *path, *shown; /* shown NULL: null */
	} rows[] = {
	        {"base.firstName", "base.firstName", "'Mario'"},
	        {"base.firstName", "base.lastName", NULL},
	        {"base.firstName", "base.contacts", NULL},
	        {"base.firstName", "base.jobs", "[]"},
	        {"base.firstName", "externalId", NULL},
	        {"base.firstName", "nodeId", NULL},
	        {"base.firstName", "id", "'8b321dce-53c4-4029-8388-1938efa2090c'"},
	        {"base.firstName", "registeredAt", "'2017-02-28T16:02:52.504+0000'"},
	        {"externalId,base.contacts.email", "externalId", "'1'"},
	        {"externalId,base.contacts.email", "base.contacts",
	                "{'email':'a@b','fax':null,'mobilePhone':null,'phone':null,'otherContacts':[],'mobileDevices':["
	                "]}"},
	        {"base", "base.jobs.0", NULL},
	        {"base,base.firstName", "base.lastName", "'Rossi'"},
	        {"extended.a", "extended", "{'a':1}"},
	        {"extended", "extended", "{'a':1,'b':2,'c':[{'x':1,'y':2},{'y':3}]}"},
	        {"unknown,,.", "base.firstName", NULL},
	        {"base.firstName, base.lastName", "base.lastName", "'Rossi'"},
	        {" base.firstName\t,base.lastName", "base.firstName", "'Mario'"},
	        {"base.jobs.jobTitle", "base.jobs",
	                "[{'id':null,'companyIndustry':null,'companyName':null,'jobTitle':'t','startDate':null,"
	                "'endDate':null,'isCurrent':null}]"},
	        {"base.jobs", "base.jobs",
	                "[{'id':'1','companyIndustry':null,'companyName':null,'jobTitle':'t','startDate':null,"
	                "'endDate':null,'isCurrent':null}]"},
	        {"base.contacts.otherContacts.value", "base.contacts.otherContacts", "[{'value':'v'},{}]"},
	        {"base.contacts.otherContacts", "base.contacts.otherContacts",
	                "[{'name':'n','value':'v'},{'name':'m'}]"},
	        {"extended.c.x", "extended", "{'c':[{'x':1},{}]}"},
	        {"version,sourceInfo", "version", "2"},
	        {"version", "sourceInfo.registeredBy", NULL},
	};
	const char *doc = "{'externalId':'1','extended':{'a':1,'b':2,'c':[{'x':1,'y':2},{'y':3}]},'base':{'firstName':'"
	                  "Mario','lastName':'Rossi',"
	                  "'contacts':{'email':'a@b','phone':'1','otherContacts':[{'name':'n','value':'v'},{'name':'m'}"
	                  "]},'jobs':[{'id':'1','jobTitle':'t'}]}}";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct json *found = json_path(json_of(rendered(doc, rows[i].fields, false)), str_of(rows[i].path));

		if (rows[i].shown ? !found || !json_equal(found, json_of(rows[i].shown)) : !json_is_null(found))
			fail_msg("fields=%s: %s", rows[i].fields, rows[i].path);
	}
}

/* Looking each up among the others took a gateway tens of milliseconds for what fits into a URL. */
static void test_many_fields(void **state)
{
	enum { N = 30000 };
	struct buf names;
	int64_t begun_us = clock_monotonic_us();

	(void)state;
	buf_init(&names, arena, 8 * N);
	for (int i = 0; i < N; i++)
		buf_printf(&names, "f%d,", i);
	buf_add_literal(&names, "extra");
	buf_add_char(&names, '\0');
	const struct json *found = json_of(rendered("{'extra':'e','tags':{'auto':['t']}}", names.p, false));
	assert_true(str_is(json_text(json_member(found, "extra")), "e"));
	assert_true(json_is_null(json_member(found, "tags")));
	assert_true(clock_monotonic_us() - begun_us < 1000000);
}

static void test_stored_text(void **state)
{
	struct err err = {0};
	struct json *doc = customer_doc_read(arena, STR("{\"base\":{\"title\":\"x\"}}"), STR("e"), false, &err);
	struct customer customer = {.doc = doc};
	struct str text = customer_doc_write(arena, doc);

	(void)state;
	assert_string_equal(arena_str(arena, text).p, "{\"base\":{\"title\":\"x\"}}");
	assert_true(str_is(customer_external_id(&customer), "e"));
	assert_false(customer_enabled(&customer));
	doc = customer_doc_read(arena, STR("{}"), STR_NONE, true, &err);
	customer.doc = doc;
	assert_true(str_is(customer_doc_write(arena, doc), "{}"));
	assert_null(customer_external_id(&customer).p);
	assert_true(customer_enabled(&customer));
	assert_null(customer_doc_read(arena, STR("[]"), STR_NONE, true, &err));
}

static bool key_of(const struct customer_policy *policy, const char *doc, struct uuid *key)
{
	return customer_key(arena, policy, json_of(doc), key);
}

/* Two documents are one customer, or not, or one of them equals nobody. */
static void test_keys(void **state)
{
	static const struct {
		const char *policy, *a, *b;
		bool same;
	} rows[] = {
	        {"['externalId']", "{'externalId':'a'}", "{'externalId':'a','base':{'title':'x'}}", true},
	        {"['externalId']", "{'externalId':'a'}", "{'externalId':'b'}", false},
	        {"['externalId']", "{'externalId':'ABC'}", "{'externalId':'abc'}", true},
	        {"['externalId']", "{'externalId':'È ÄŁ Ω Ж'}", "{'externalId':'è äł ω ж'}", true},
	        {"['externalId']", "{'externalId':'1'}", "{'externalId':1}", false},
	        {"['extended.n']", "{'extended':{'n':1}}", "{'extended':{'n':1.0}}", true},
	        {"['extended.n']", "{'extended':{'n':1}}", "{'extended':{'n':10}}", false},
	        {"['extended.b']", "{'extended':{'b':true}}", "{'extended':{'b':false}}", false},
	        {"['extended.o']", "{'extended':{'o':{'a':1,'b':2}}}", "{'extended':{'o':{'b':2,'a':1}}}", true},
	        {"['base.firstName','base.lastName']", "{'base':{'firstName':'ab','lastName':'c'}}",
	                "{'base':{'firstName':'a','lastName':'bc'}}", false},
	        {"['base.firstName','base.lastName']", "{'base':{'firstName':'A','lastName':'C'}}",
	                "{'base':{'firstName':'a','lastName':'c'}}", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *node = arena_printf(arena, "{'uniqueCustomer':{'properties':%s}}", rows[i].policy);
		struct customer_policy policy = customer_policy_read(arena, json_of(node));
		struct uuid a, b;

		assert_true(key_of(&policy, rows[i].a, &a));
		assert_true(key_of(&policy, rows[i].b, &b));
		if (uuid_eq(&a, &b) != rows[i].same)
			fail_msg("%s: %s %s", rows[i].policy, rows[i].a, rows[i].b);
	}
}

static void test_key_rules(void **state)
{
	struct customer_policy none = customer_policy_read(arena, json_of("{'uniqueCustomer':null}"));
	struct customer_policy folded = customer_policy_read(
	        arena, json_of("{'uniqueCustomer':{'properties':['externalId']},'mandatoryProperties':['extra']}"));
	struct customer_policy exact = customer_policy_read(
	        arena, json_of("{'uniqueCustomer':{'properties':['externalId'],'caseSensitive':true}}"));
	struct uuid a, b;

	(void)state;
	assert_false(key_of(&none, "{'externalId':'a'}", &a));
	assert_false(key_of(&folded, "{}", &a));
	assert_false(key_of(&folded, "{'externalId':null}", &a));
	assert_false(key_of(&folded, "{'externalId':''}", &a));
	assert_true(key_of(&exact, "{'externalId':'A'}", &a));
	assert_true(key_of(&exact, "{'externalId':'a'}", &b));
	assert_false(uuid_eq(&a, &b));
	assert_int_equal(folded.n_mandatory, 1);
	assert_false(customer_policy_same_key(&folded, &exact));
	assert_true(customer_policy_same_key(&folded, &folded));
}

static void test_items(void **state)
{
	struct json *doc = json_of("{'base':{'jobs':[{'id':'1'},{'id':'2','jobTitle':'t'}]}}");
	struct json *item = customer_item_find(doc, ITEM_JOB, STR("2"));
	struct buf buf;

	(void)state;
	assert_non_null(item);
	assert_null(customer_item_find(doc, ITEM_JOB, STR("3")));
	assert_null(customer_item_find(doc, ITEM_LIKE, STR("1")));
	assert_null(customer_item_find(json_of("{}"), ITEM_LIKE, STR("1")));
	buf_init(&buf, arena, 64);
	customer_item_render(&buf, ITEM_JOB, item);
	assert_true(
	        str_is(buf_str(&buf), "{\"id\":\"2\",\"companyIndustry\":null,\"companyName\":null,\"jobTitle\":\"t\","
	                              "\"startDate\":null,\"endDate\":null,\"isCurrent\":null}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_empty),
	        cmocka_unit_test(test_parts),
	        cmocka_unit_test(test_number_text),
	        cmocka_unit_test(test_hidden_password),
	        cmocka_unit_test(test_fields),
	        cmocka_unit_test(test_many_fields),
	        cmocka_unit_test(test_stored_text),
	        cmocka_unit_test(test_keys),
	        cmocka_unit_test(test_key_rules),
	        cmocka_unit_test(test_items),
	};

	return cmocka_run_group_tests(tests, make_arena, free_arena);
}
