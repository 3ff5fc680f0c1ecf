#include "gateway/property_path.h"

#include "common/catalog.h"
#include "common/extended.h"
#include "common/json.h"

/* Schemas nest a $ref in a oneOf at most; anything deeper is no schema of ours. */
#define MAX_HOPS 4

/* What a schema stands for: the target of its $ref, or the branch of its oneOf that is not null. */
static const struct json *meaning(const struct json *schema)
{
	for (int hop = 0; schema && hop < MAX_HOPS; hop++) {
		const struct json *branches = json_member(schema, "oneOf");
		struct str reference = json_text(json_member(schema, "$ref"));
		if (reference.p) {
			schema = catalog_resolve(reference);
		} else if (branches) {
			const struct json *branch = branches->first;
			while (branch && str_is(json_text(json_member(branch, "type")), "null"))
				branch = branch->next;
			schema = branch;
		} else {
			return schema;
		}
	}
	return schema;
}

static bool is_scalar(const struct json *schema)
{
	struct str type = extended_type(schema);

	return str_is(type, "string") || str_is(type, "number") || str_is(type, "integer");
}

static const struct json *walk(const struct json *members, struct str path)
{
	const struct json *schema = NULL;
	struct str step;

	while (str_split(&path, '.', &step)) {
		schema = meaning(json_get(members, step));
		members = json_member(schema, "properties");
	}
	return schema;
}

bool property_path_is_scalar(struct str path, const struct json *extended)
{
	const struct json *schema = NULL;

	if (str_starts(path, STR("extended.")))
		schema = walk(extended, (struct str){path.p + 9, path.n - 9});
	else if (str_starts(path, STR("base.")) || str_is(path, "externalId"))
		schema = walk(json_member(catalog_document(STR("customer.json")), "properties"), path);
	return is_scalar(schema);
}
