#include "gateway/extended_write.h"

#include "common/extended.h"
#include "gateway/config_write.h"

void extended_answer(struct request *request, struct str set)
{
	const struct json *map = config_extended(request_workspace(request), set);

	request_answer_json(request, 200, map ? map : json_new(request_arena(request), JSON_OBJECT));
}

void extended_write(struct request *request, struct str set)
{
	const struct json *body = request_body(request);
	const struct json *present = config_extended(request_workspace(request), set);
	struct problems problems;

	problems_init(&problems, request_arena(request));
	struct json *map = extended_check(request_arena(request), body, present, &problems);
	if (!map) {
		request_fail_problems(request, STR("The extended properties are not valid"), &problems);
		return;
	}
	if (extended_index_differs(request_arena(request), map, present) &&
	        !(request_caller(request)->roles & ROLE_CLAB_OPERATOR)) {
		request_fail(request, ERR_FORBIDDEN, "only the role CLAB_OPERATOR may change indexed");
		return;
	}
	config_write_document(request, CONFIG_EXTENDED, set, map, NULL, config_answer_document);
}
