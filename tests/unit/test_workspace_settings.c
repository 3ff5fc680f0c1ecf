#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/buf.h"
#include "gateway/workspace_settings.h"
#include "tests/unit/parts.h"

#define STORED "{'id':'w','name':'Shop','slug':'shop','partition':3,'timezone':'Europe/London','currency':'USD'}"

static const char *text_of(struct arena *arena, const struct json *value)
{
	struct buf buf;

	buf_init(&buf, arena, 512);
	json_write(&buf, value);
	buf_add_char(&buf, '\0');
	return buf.p;
}

/* What stays and what is set, by the settings that are shown afterwards; or the pointers of the faults. */
static void settings_are_changed(void **state)
{
	static const struct {
		const char *name, *body, *shown, *problems;
	} cases[] = {
	        {"absent members stay", "{}",
	                "{'name':'Shop','industry':'NotDefined','logo':null,'timezone':'Europe/"
	                "London','currency':'USD',"
	                "'customerUniquenessPolicy':'MERGE'}",
	                ""},
	        {"all are set",
	                "{'name':'N','industry':'Luxury','logo':'https://shop.example/l.png','timezone':'Europe/Paris',"
	                "'currency':'JPY','customerUniquenessPolicy':'MERGE'}",
	                "{'name':'N','industry':'Luxury','logo':'https://shop.example/l.png','timezone':'Europe/Paris',"
	                "'currency':'JPY','customerUniquenessPolicy':'MERGE'}",
	                ""},
	        {"null is the default", "{'timezone':null,'logo':null,'customerUniquenessPolicy':null}",
	                "{'name':'Shop','industry':'NotDefined','logo':null,'timezone':'Europe/Rome','currency':'USD',"
	                "'customerUniquenessPolicy':'MERGE'}",
	                ""},
	        {"what is no setting is passed over", "{'tier':'x','status':'DISABLED','partition':9}",
	                "{'name':'Shop','industry':'NotDefined','logo':null,'timezone':'Europe/"
	                "London','currency':'USD',"
	                "'customerUniquenessPolicy':'MERGE'}",
	                ""},
	        {"unknown values",
	                "{'name':'','industry':'Books','logo':'no URL','timezone':'Asia/Tokyo','currency':'eur',"
	                "'customerUniquenessPolicy':'NONE'}",
	                NULL, "/name /industry /logo /timezone /currency /customerUniquenessPolicy"},
	        {"wrong types", "{'name':1,'industry':[],'logo':{},'timezone':true,'currency':2}", NULL,
	                "/name /industry /logo /timezone /currency"},
	        {"no null", "{'name':null,'industry':null,'currency':null}", NULL, "/name /industry /currency"},
	};
	struct arena *arena = *state;
	const struct json *stored = unit_quoted_json(arena, STORED);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct problems problems;
		problems_init(&problems, arena);
		struct json *changed =
		        workspace_settings_change(arena, stored, unit_quoted_json(arena, cases[i].body), &problems);
		if (strcmp(unit_pointers(arena, &problems), cases[i].problems) != 0)
			CASE_FAIL(cases[i].name, "problems %s", unit_pointers(arena, &problems));
		if (!changed != !cases[i].shown)
			CASE_FAIL(cases[i].name, "a document is%s expected", cases[i].shown ? "" : " not");
		if (!changed)
			continue;
		struct json *view = json_new(arena, JSON_OBJECT);
		workspace_settings_add(arena, view, changed);
		if (!json_equal(view, unit_quoted_json(arena, cases[i].shown)))
			CASE_FAIL(cases[i].name, "shows %s", text_of(arena, view));
		assert_true(str_is(json_text(json_member(changed, "slug")), "shop"));
		int64_t partition = 0;
		assert_true(json_to_i64(json_member(changed, "partition"), &partition) && partition == 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(settings_are_changed, unit_arena_new, unit_arena_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
