#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/customer.h"
#include "tests/unit/parts.h"
#include "workers/customer_merge/merge.h"

#include <time.h>

#define ARENA_BYTES (16 * 1024 * 1024)

enum how { POST, PATCH, PUT, PATCH_STRICT, PUT_STRICT };

/* A row reads: `before` is in the store, `sent` comes in by `how`, `after` is in the store then. `same` = nothing
 * changed. */
struct merge_case {
	const char *what;
	enum how how;
	const char *before; /* NULL: the customer is new */
	const char *sent;
	const char *after;
	bool same;
};

static const struct merge_case cases[] = {
        /* scalars */
        {"POST makes a customer", POST, NULL, "{'nodeId':'n','base':{'firstName':'Mario'}}",
                "{'enabled':true,'base':{'firstName':'Mario'}}", false},
        {"POST replaces what is there and keeps the rest", POST, "{'base':{'firstName':'Mario','lastName':'Rossi'}}",
                "{'base':{'firstName':'Luigi'}}", "{'base':{'firstName':'Luigi','lastName':'Rossi'}}", false},
        {"POST never removes: null means nothing", POST, "{'base':{'firstName':'Mario'},'extra':'x'}",
                "{'base':{'firstName':null},'extra':null,'extended':null}",
                "{'base':{'firstName':'Mario'},'extra':'x'}", true},
        {"PATCH: what is not sent stays", PATCH, "{'externalId':'1','base':{'firstName':'Mario','lastName':'Rossi'}}",
                "{'base':{'lastName':'Verdi'}}", "{'externalId':'1','base':{'firstName':'Mario','lastName':'Verdi'}}",
                false},
        {"PATCH: null removes", PATCH, "{'externalId':'1','base':{'firstName':'Mario','lastName':'Rossi'},'extra':'x'}",
                "{'externalId':null,'base':{'lastName':null},'extra':null}", "{'base':{'firstName':'Mario'}}", false},
        {"PUT: given values replace, missing ones stay", PUT, "{'base':{'firstName':'Mario','lastName':'Rossi'}}",
                "{'base':{'firstName':'Luigi'}}", "{'base':{'firstName':'Luigi','lastName':'Rossi'}}", false},
        {"PUT: null removes", PUT, "{'base':{'firstName':'Mario','lastName':'Rossi'}}", "{'base':{'firstName':null}}",
                "{'base':{'lastName':'Rossi'}}", false},
        {"an empty text is a value", PATCH, "{}", "{'base':{'lastName':''}}", "{'base':{'lastName':''}}", false},
        {"the same value again changes nothing", PATCH, "{'base':{'firstName':'Mario'}}",
                "{'base':{'firstName':'Mario'}}", "{'base':{'firstName':'Mario'}}", true},
        {"numbers are the same by value", PUT, "{'extended':{'n':1.50}}", "{'extended':{'n':1.5}}",
                "{'extended':{'n':1.5}}", true},
        {"enabled can be switched off and on", PATCH, "{'enabled':true}", "{'enabled':false}", "{'enabled':false}",
                false},
        {"enabled null means nothing", PATCH, "{'enabled':false}", "{'enabled':null}", "{'enabled':false}", true},
        {"what a GET returned and nobody can write is ignored", PUT, "{'base':{'firstName':'Mario'}}",
                "{'id':'i','intId':3,'nodeId':'n','version':7,'deleted':-1,'registeredAt':'2020-01-01','updatedAt':'"
                "2020-01-01',"
                "'sourceInfo':{'registeredBy':null},'base':{'firstName':'Mario'}}",
                "{'base':{'firstName':'Mario'}}", true},

        /* objects */
        {"PATCH merges objects deeply", PATCH, "{'base':{'contacts':{'email':'a@b','phone':'1'}}}",
                "{'base':{'contacts':{'email':'c@d'}}}", "{'base':{'contacts':{'email':'c@d','phone':'1'}}}", false},
        {"PATCH: one branch of the consents leaves the others", PATCH,
                "{'consents':{'marketing':{'automatic':{'sms':{'status':true}}},'profiling':{'classic':{'status':true}}"
                "}}",
                "{'consents':{'marketing':{'automatic':{'email':{'status':false}}}}}",
                "{'consents':{'marketing':{'automatic':{'sms':{'status':true},'email':{'status':false}}},"
                "'profiling':{'classic':{'status':true}}}}",
                false},
        {"PATCH: null removes an object", PATCH, "{'base':{'firstName':'M','address':{'city':'Roma'}}}",
                "{'base':{'address':null}}", "{'base':{'firstName':'M'}}", false},
        {"POST: an object of nulls means nothing", POST, NULL,
                "{'base':{'address':{'street':null,'geo':null},'contacts':{'otherContacts':[]}},'tags':{'auto':[],'"
                "manual':[]}}",
                "{'enabled':true}", false},
        {"PATCH: an object that is sent is there, even of nulls", PATCH, "{}", "{'base':{'contacts':{'email':null}}}",
                "{'base':{'contacts':{}}}", false},
        {"PUT of a GET without base values changes nothing", PUT, "{'externalId':'1'}",
                "{'externalId':'1','base':{'firstName':null,'contacts':null,'educations':[],'likes':[]},'consents':"
                "null,"
                "'extended':null,'tags':null}",
                "{'externalId':'1'}", true},
        {"extended objects merge, too", PATCH, "{'extended':{'o':{'a':1,'b':2}}}",
                "{'extended':{'o':{'b':3,'c':null}}}", "{'extended':{'o':{'a':1,'b':3}}}", false},

        /* lists without ids */
        {"POST appends and drops twins", POST, "{'tags':{'manual':['foo','bar']}}",
                "{'tags':{'manual':['bar','baz','baz']}}", "{'tags':{'manual':['foo','bar','baz']}}", false},
        {"POST: [] means nothing", POST, "{'tags':{'manual':['foo']}}", "{'tags':{'manual':[]}}",
                "{'tags':{'manual':['foo']}}", true},
        {"POST appends to extended lists", POST, "{'extended':{'l':[10,25]}}", "{'extended':{'l':[25.0,30]}}",
                "{'extended':{'l':[10,25,30]}}", false},
        {"PATCH replaces a list, without twins", PATCH, "{'tags':{'manual':['foo','bar']}}",
                "{'tags':{'manual':['baz','baz','foo']}}", "{'tags':{'manual':['baz','foo']}}", false},
        {"PATCH of tags.manual leaves tags.auto", PATCH, "{'tags':{'auto':['a'],'manual':['m']}}",
                "{'tags':{'manual':['n']}}", "{'tags':{'auto':['a'],'manual':['n']}}", false},
        {"PATCH: [] empties", PATCH, "{'tags':{'auto':['a'],'manual':['m']}}", "{'tags':{'manual':[]}}",
                "{'tags':{'auto':['a']}}", false},
        {"PATCH: null empties a list as well", PATCH, "{'tags':{'auto':['a'],'manual':['m']}}",
                "{'tags':{'manual':null}}", "{'tags':{'auto':['a']}}", false},
        {"who had tags keeps an object of tags", PATCH, "{'tags':{'manual':['m']}}", "{'tags':{'manual':[]}}",
                "{'tags':{}}", false},
        {"PUT removes a tag by sending the others", PUT, "{'tags':{'manual':['foo','bar','baz']}}",
                "{'tags':{'manual':['foo','baz']}}", "{'tags':{'manual':['foo','baz']}}", false},
        {"an empty extended list stays one", PATCH, "{'extended':{'l':[1]}}", "{'extended':{'l':[]}}",
                "{'extended':{'l':[]}}", false},
        {"devices are twins only when all is equal", POST,
                "{'base':{'contacts':{'mobileDevices':[{'identifier':'1','type':'IOS'}]}}}",
                "{'base':{'contacts':{'mobileDevices':[{'type':'IOS','identifier':'1'},{'identifier':'1','type':null}]}"
                "}}",
                "{'base':{'contacts':{'mobileDevices':[{'identifier':'1','type':'IOS'},{'identifier':'1'}]}}}", false},
        {"nulls make no other item", POST, "{'base':{'contacts':{'mobileDevices':[{'identifier':'1','type':'IOS'}]}}}",
                "{'base':{'contacts':{'mobileDevices':[{'identifier':'1','type':'IOS','appId':null}]}}}",
                "{'base':{'contacts':{'mobileDevices':[{'identifier':'1','type':'IOS'}]}}}", true},
        {"nor do they inside of what is sent at once", PATCH, "{}", "{'extended':{'l':[{'a':1},{'a':1,'b':null}]}}",
                "{'extended':{'l':[{'a':1}]}}", false},

        /* lists whose items have ids */
        {"POST: the same id replaces in place, a new one is appended", POST,
                "{'base':{'jobs':[{'id':'1','jobTitle':'a','companyName':'c'},{'id':'2'}]}}",
                "{'base':{'jobs':[{'id':'3'},{'id':'1','jobTitle':'b'}]}}",
                "{'base':{'jobs':[{'id':'1','jobTitle':'b'},{'id':'2'},{'id':'3'}]}}", false},
        {"PATCH: the list sent is the list", PATCH, "{'base':{'educations':[{'id':'1'},{'id':'2'}]}}",
                "{'base':{'educations':[{'id':'2','schoolName':'s'},{'id':'2','schoolName':'t'}]}}",
                "{'base':{'educations':[{'id':'2','schoolName':'t'}]}}", false},
        {"PUT: [] empties", PUT, "{'base':{'firstName':'M','likes':[{'id':'1'}]}}", "{'base':{'likes':[]}}",
                "{'base':{'firstName':'M'}}", false},
        {"times of an item are kept in the form of the contract, dates as they are", POST, NULL,
                "{'base':{'likes':[{'id':'1','createdTime':'2017-01-02T03:04:05Z','name':null}],"
                "'jobs':[{'id':'1','startDate':'2017-01-02'}],"
                "'subscriptions':[{'id':'1','startDate':'2017-01-02T03:04:05.1234+02:00'}]}}",
                "{'enabled':true,'base':{'likes':[{'id':'1','createdTime':'2017-01-02T03:04:05.000+0000'}],"
                "'jobs':[{'id':'1','startDate':'2017-01-02'}],"
                "'subscriptions':[{'id':'1','startDate':'2017-01-02T01:04:05.123+0000'}]}}",
                false},
        {"the same time in another form changes nothing", PATCH,
                "{'consents':{'disclaimer':{'date':'2018-05-25T00:00:00.000+0000'}}}",
                "{'consents':{'disclaimer':{'date':'2018-05-25T02:00:00+02:00'}}}",
                "{'consents':{'disclaimer':{'date':'2018-05-25T00:00:00.000+0000'}}}", true},

        /* subscriptions */
        {"POST: fields not sent stay", POST, "{'base':{'subscriptions':[{'id':'s','name':'n','subscribed':true}]}}",
                "{'base':{'subscriptions':[{'id':'s','subscribed':false,'name':null},{'id':'t'}]}}",
                "{'base':{'subscriptions':[{'id':'s','name':'n','subscribed':false},{'id':'t'}]}}", false},
        {"PATCH: fields not sent stay, null removes, items not named stay", PATCH,
                "{'base':{'subscriptions':[{'id':'r'},{'id':'s','name':'n','type':'t','subscribed':true}]}}",
                "{'base':{'subscriptions':[{'id':'t'},{'id':'s','subscribed':false,'type':null}]}}",
                "{'base':{'subscriptions':[{'id':'r'},{'id':'s','name':'n','subscribed':false},{'id':'t'}]}}", false},
        {"PUT likewise", PUT, "{'base':{'subscriptions':[{'id':'s','name':'n','subscribed':true}]}}",
                "{'base':{'subscriptions':[{'id':'s','subscribed':false}]}}",
                "{'base':{'subscriptions':[{'id':'s','name':'n','subscribed':false}]}}", false},
        {"POST: an empty list and an object of nulls in a subscription mean nothing", POST,
                "{'base':{'subscriptions':[{'id':'s','preferences':[{'key':'a'}]}]}}",
                "{'base':{'subscriptions':[{'id':'s','preferences':[],'subscribeContext':{'ip':null}}]}}",
                "{'base':{'subscriptions':[{'id':'s','preferences':[{'key':'a'}]}]}}", true},
        {"PATCH: an empty list in a subscription empties it", PATCH,
                "{'base':{'subscriptions':[{'id':'s','preferences':[{'key':'a'}]}]}}",
                "{'base':{'subscriptions':[{'id':'s','preferences':[]}]}}",
                "{'base':{'subscriptions':[{'id':'s','preferences':[]}]}}", false},
        {"PUT: contexts of a subscription merge, preferences are replaced", PUT,
                "{'base':{'subscriptions':[{'id':'s','subscribeContext':{'ip':'1','userAgent':'u'},'preferences':[{'"
                "key':'a'}]}]}}",
                "{'base':{'subscriptions':[{'id':'s','subscribeContext':{'ip':'2'},'preferences':[{'key':'b'}]}]}}",
                "{'base':{'subscriptions':[{'id':'s','subscribeContext':{'ip':'2','userAgent':'u'},'preferences':[{'"
                "key':'b'}]}]}}",
                false},
        {"PATCH: [] empties subscriptions, too", PATCH, "{'base':{'firstName':'M','subscriptions':[{'id':'s'}]}}",
                "{'base':{'subscriptions':[]}}", "{'base':{'firstName':'M'}}", false},
        {"PATCH STRICT: the list sent is the list, fields not sent go", PATCH_STRICT,
                "{'base':{'subscriptions':[{'id':'r'},{'id':'s','name':'n','subscribed':true}]}}",
                "{'base':{'subscriptions':[{'id':'s','subscribed':false}]}}",
                "{'base':{'subscriptions':[{'id':'s','subscribed':false}]}}", false},
        {"PUT STRICT keeps everything else", PUT_STRICT,
                "{'base':{'firstName':'M','subscriptions':[{'id':'r'}],'jobs':[{'id':'1'}]}}",
                "{'base':{'subscriptions':[{'id':'s'}]}}",
                "{'base':{'firstName':'M','subscriptions':[{'id':'s'}],'jobs':[{'id':'1'}]}}", false},
};

static struct arena *arena;

static int make_arena(void **state)
{
	(void)state;
	arena = arena_new(ARENA_BYTES);
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

static const char *text_of(const struct json *value)
{
	struct buf buf;

	buf_init(&buf, arena, 256);
	json_write(&buf, value);
	buf_add_char(&buf, '\0');
	return buf.p;
}

static struct merge_result merge(
        const char *before, const char *sent, enum how how, const struct customer_policy *policy)
{
	static const enum merge_mode modes[] = {[POST] = MERGE_POST,
	        [PATCH] = MERGE_PATCH,
	        [PUT] = MERGE_PUT,
	        [PATCH_STRICT] = MERGE_PATCH,
	        [PUT_STRICT] = MERGE_PUT};

	return merge_customer(
	        arena, before ? json_of(before) : NULL, json_of(sent), modes[how], how >= PATCH_STRICT, policy);
}

static void test_cases(void **state)
{
	static const struct customer_policy no_policy;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct merge_result result = merge(cases[i].before, cases[i].sent, cases[i].how, &no_policy);

		if (result.refused)
			fail_msg("%s: refused", cases[i].what);
		if (!json_equal(result.doc, json_of(cases[i].after)))
			fail_msg("%s: got %s", cases[i].what, text_of(result.doc));
		if (result.changed == cases[i].same)
			fail_msg("%s: changed is %d", cases[i].what, result.changed);
	}
}

/* The present document is shared with others: a merge that is refused later must leave no trace. */
static void test_inputs_stay(void **state)
{
	static const struct customer_policy no_policy;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct json *before = json_of(cases[i].before ? cases[i].before : "{}");
		struct json *sent = json_of(cases[i].sent);

		merge_customer(arena, before, sent, MERGE_POST, false, &no_policy);
		merge_customer(arena, before, sent, MERGE_PUT, true, &no_policy);
		assert_true(json_equal(before, json_of(cases[i].before ? cases[i].before : "{}")));
		assert_true(json_equal(sent, json_of(cases[i].sent)));
	}
}

static void test_required(void **state)
{
	static const struct str unique[] = {{"externalId", 10}, {"base.contacts.email", 19}};
	static const struct str mandatory[] = {{"base.lastName", 13}};
	const struct customer_policy policy = {unique, 2, mandatory, 1, false};
	static const struct {
		enum how how;
		const char *before, *sent, *missing; /* pointers, or NULL when it is accepted */
	} rows[] = {
	        {POST, NULL, "{'nodeId':'n'}", "/externalId /base/contacts/email /base/lastName "},
	        {POST, NULL, "{'externalId':'','base':{'lastName':'','contacts':{'email':null}}}",
	                "/externalId /base/contacts/email "},
	        {PUT, "{'externalId':'1','base':{'lastName':'x','contacts':{'email':'a'}}}", "{'externalId':'1'}",
	                "/base/contacts/email /base/lastName "},
	        {PATCH, "{'externalId':'1','base':{'lastName':'x'}}", "{'externalId':null}", NULL},
	        {PATCH, "{'base':{'lastName':'x'}}", "{'base':{'lastName':null}}", "/base/lastName "},
	        {PATCH, "{'externalId':'1'}", "{'externalId':'2'}", NULL},
	        {POST, NULL, "{'externalId':'1','base':{'lastName':'x','contacts':{'email':'a'}}}", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct merge_result result = merge(rows[i].before, rows[i].sent, rows[i].how, &policy);
		struct buf buf;

		if (!rows[i].missing) {
			assert_int_equal(result.refused, ERR_NONE);
			continue;
		}
		assert_int_equal(result.refused, ERR_INVALID);
		buf_init(&buf, arena, 64);
		for (size_t p = 0; p < result.problems->n; p++)
			buf_printf(&buf, "%.*s ", STR_ARG(result.problems->items[p].path));
		buf_add_char(&buf, '\0');
		assert_string_equal(buf.p, rows[i].missing);
	}
}

static void test_required_messages(void **state)
{
	static const struct str unique[] = {{"base.credential.username", 24}};
	static const struct str mandatory[] = {{"extra", 5}};
	const struct customer_policy policy = {unique, 1, mandatory, 1, false};
	struct merge_result result = merge(NULL, "{}", POST, &policy);

	(void)state;
	assert_int_equal(result.problems->n, 2);
	assert_string_equal(result.problems->items[0].message.p, "unique customer property is required");
	assert_string_equal(result.problems->items[0].path.p, "/base/credential/username");
	assert_string_equal(result.problems->items[1].message.p, "mandatory customer property is required");
}

/* What became mandatory when it was missing already may stay so; what is there may not be exchanged for it. */
static void test_mandatory_later(void **state)
{
	static const struct str mandatory[] = {{"base.firstName", 14}, {"base.lastName", 13}};
	const struct customer_policy policy = {NULL, 0, mandatory, 2, false};
	const char *before = "{'base':{'firstName':'f'}}";

	(void)state;
	assert_int_equal(merge(before, "{'extra':'x'}", PATCH, &policy).refused, ERR_NONE);
	assert_int_equal(merge(before, "{'base':{'lastName':'l'}}", PATCH, &policy).refused, ERR_NONE);
	struct merge_result result = merge(before, "{'base':{'firstName':null,'lastName':'l'}}", PATCH, &policy);
	assert_int_equal(result.refused, ERR_INVALID);
	assert_int_equal(result.problems->n, 1);
	assert_string_equal(result.problems->items[0].path.p, "/base/firstName");
}

/* A property that is unique and mandatory is missing once. */
static void test_required_twice(void **state)
{
	static const struct str both[] = {{"externalId", 10}};
	const struct customer_policy policy = {both, 1, both, 1, false};
	struct merge_result result = merge(NULL, "{}", POST, &policy);

	(void)state;
	assert_int_equal(result.problems->n, 1);
	assert_string_equal(result.problems->items[0].message.p, "unique customer property is required");
}

static char *repeated(const char *before, const char *item, size_t n, const char *after)
{
	struct buf buf;

	buf_init(&buf, arena, 1024);
	buf_printf(&buf, "%s", before);
	for (size_t i = 0; i < n; i++)
		buf_printf(&buf, "%s'%s%zu'", i ? "," : "", item, i);
	buf_printf(&buf, "%s", after);
	buf_add_char(&buf, '\0');
	return buf.p;
}

/* Lists grow by POST: the limits of the whole customer hold, not only those of a body. */
static void test_limits(void **state)
{
	static const struct customer_policy no_policy;
	const char *tags = repeated("{'tags':{'manual':[", "tag-", 120, "]}}");
	const char *more = repeated("{'tags':{'manual':[", "more-", 120, "]}}");
	const char *long_list = repeated("{'extended':{'l':[", "some-long-enough-text-", 1800, "]}}");
	const char *other_list = repeated("{'extended':{'l':[", "some-other-enough-text-", 1800, "]}}");

	(void)state;
	assert_int_equal(merge(tags, tags, POST, &no_policy).refused, ERR_NONE);
	assert_false(merge(tags, tags, POST, &no_policy).changed);
	assert_int_equal(merge(tags, more, POST, &no_policy).refused, ERR_INVALID);
	assert_string_equal(merge(tags, more, POST, &no_policy).problems->items[0].path.p, "/tags/manual");
	assert_int_equal(merge(long_list, "{}", POST, &no_policy).refused, ERR_NONE);
	assert_int_equal(merge(long_list, other_list, POST, &no_policy).refused, ERR_TOO_LARGE);
	assert_int_equal(merge(long_list, other_list, PUT, &no_policy).refused, ERR_NONE);
}

/* A long list is merged by hashing: the result must be that of comparing. */
static void test_long_lists(void **state)
{
	static const struct customer_policy no_policy;
	const char *first = repeated("{'extended':{'l':[1,1.0,{'a':1,'b':[2]},", "x", 500, "]}}");
	const char *second = repeated("{'extended':{'l':[10e-1,{'b':[2.0],'a':1},", "x", 600, "]}}");
	struct merge_result result = merge(first, second, POST, &no_policy);

	(void)state;
	assert_int_equal(json_path(result.doc, STR("extended.l"))->count, 3 - 1 + 1 + 600);
	result = merge(NULL, first, POST, &no_policy);
	assert_int_equal(json_path(result.doc, STR("extended.l"))->count, 2 + 500);
}

/* Of names m0, m1, ...: every third is removed, one more is new. */
static void test_many_members(void **state)
{
	enum { MEMBERS = 40000, MOST_S = 2 };
	struct arena *large = arena_new(512UL * 1024 * 1024);
	struct buf before, sent, after;
	struct err err = {0};
	static const struct customer_policy no_policy;

	(void)state;
	buf_init(&before, large, 1024);
	buf_init(&sent, large, 1024);
	buf_init(&after, large, 1024);
	buf_add_literal(&before, "{\"extended\":{\"first\":0");
	buf_add_literal(&sent, "{\"extended\":{\"new\":true");
	buf_add_literal(&after, "{\"extended\":{\"first\":0");
	for (int i = 0; i < MEMBERS; i++) {
		buf_printf(&before, ",\"m%d\":{\"a\":%d}", i, i);
		if (i % 3 == 0)
			buf_printf(&sent, ",\"m%d\":null", MEMBERS - 1 - i);
		else
			buf_printf(&sent, ",\"m%d\":{\"b\":1}", MEMBERS - 1 - i);
		if ((MEMBERS - 1 - i) % 3)
			buf_printf(&after, ",\"m%d\":{\"a\":%d,\"b\":1}", i, i);
	}
	buf_add_literal(&before, ",\"last\":[1,2,3,4,5,6,7,8,9]");
	buf_add_literal(&before, "}}");
	buf_add_literal(&sent, "}}");
	buf_add_literal(&after, ",\"last\":[1,2,3,4,5,6,7,8,9],\"new\":true}}");
	struct json *current = json_parse(large, buf_str(&before), &err);
	struct json *body = json_parse(large, buf_str(&sent), &err);
	clock_t begin = clock();
	struct merge_result result = merge_customer(large, current, body, MERGE_PATCH, false, &no_policy);
	assert_int_equal(result.refused, ERR_NONE);
	buf_init(&sent, large, 1024);
	json_write(&sent, result.doc);
	assert_true(str_eq(buf_str(&sent), buf_str(&after)));
	assert_true((clock() - begin) / CLOCKS_PER_SEC < MOST_S);
	arena_free(large);
}

struct item_case {
	const char *what;
	enum item_kind kind;
	enum merge_mode mode;
	const char *before, *id, *sent, *after;
};

static void test_items(void **state)
{
	static const struct item_case rows[] = {
	        {"a new one is appended, the id is the one of the call", ITEM_JOB, MERGE_POST,
	                "{'base':{'jobs':[{'id':'1'}]}}", "2", "{'id':'other','jobTitle':'t','companyName':null}",
	                "{'base':{'jobs':[{'id':'1'},{'id':'2','jobTitle':'t'}]}}"},
	        {"the first one makes the list", ITEM_EDUCATION, MERGE_POST, "{}", "2", "{'schoolName':'s'}",
	                "{'base':{'educations':[{'schoolName':'s','id':'2'}]}}"},
	        {"the same id replaces", ITEM_LIKE, MERGE_PUT, "{'base':{'likes':[{'id':'1','name':'a'},{'id':'2'}]}}",
	                "1", "{'category':'c'}", "{'base':{'likes':[{'id':'1','category':'c'},{'id':'2'}]}}"},
	        {"a subscription keeps its fields", ITEM_SUBSCRIPTION, MERGE_PUT,
	                "{'base':{'subscriptions':[{'id':'1','name':'a','type':'t','subscribed':true}]}}", "1",
	                "{'subscribed':false,'type':null}",
	                "{'base':{'subscriptions':[{'id':'1','name':'a','subscribed':false}]}}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct merge_result result = merge_item(arena, json_of(rows[i].before), rows[i].kind,
		        str_of(rows[i].id), json_of(rows[i].sent), rows[i].mode);

		if (!json_equal(result.doc, json_of(rows[i].after)) || !result.changed)
			fail_msg("%s: got %s", rows[i].what, text_of(result.doc));
	}
}

static void test_item_removed(void **state)
{
	struct json *two = json_of("{'base':{'jobs':[{'id':'1'},{'id':'2'}]}}");
	struct merge_result one = merge_item_removed(arena, two, ITEM_JOB, STR("1"));
	struct merge_result none = merge_item_removed(arena, one.doc, ITEM_JOB, STR("2"));

	(void)state;
	assert_true(json_equal(one.doc, json_of("{'base':{'jobs':[{'id':'2'}]}}")));
	assert_true(json_equal(none.doc, json_of("{}")));
	assert_true(json_equal(two, json_of("{'base':{'jobs':[{'id':'1'},{'id':'2'}]}}")));
}

/* Clients compare updatedAt at millisecond precision and want it to grow, whatever the clocks say. */
static void test_updated(void **state)
{
	(void)state;
	assert_int_equal(merge_updated_us(5000000, 6000000), 6000000);
	assert_int_equal(merge_updated_us(5000123, 5000999), 5001123);
	assert_int_equal(merge_updated_us(5000123, 4000000), 5001123);
	assert_true(merge_updated_us(5000999, 5001001) / 1000 > 5000999 / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cases),
	        cmocka_unit_test(test_inputs_stay),
	        cmocka_unit_test(test_required),
	        cmocka_unit_test(test_required_messages),
	        cmocka_unit_test(test_required_twice),
	        cmocka_unit_test(test_mandatory_later),
	        cmocka_unit_test(test_limits),
	        cmocka_unit_test(test_long_lists),
	        cmocka_unit_test(test_many_members),
	        cmocka_unit_test(test_items),
	        cmocka_unit_test(test_item_removed),
	        cmocka_unit_test(test_updated),
	};

	return cmocka_run_group_tests(tests, make_arena, free_arena);
}
