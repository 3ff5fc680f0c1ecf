#include "common/consent_times.h"

#include "common/arena.h"

struct str consent_path(struct arena *arena, struct str parent, struct str name)
{
	if (!parent.n)
		return name;
	return str_of(arena_printf(arena, "%.*s.%.*s", STR_ARG(parent), STR_ARG(name)));
}

int64_t consent_time(const struct customer *customer, struct str path)
{
	int64_t time_us;

	return json_to_i64(json_get(customer->consent_times, path), &time_us) ? time_us : customer->updated_us;
}

struct next {
	struct arena *arena;
	const struct customer *before;
	int64_t now_us;
	struct json *times;
};

/* was: what stood at the same place, or NULL. */
static void add_times(const struct next *next, const struct json *object, const struct json *was, struct str parent)
{
	for
		json_each(member, object)
		{
			struct str path = consent_path(next->arena, parent, member->key);
			const struct json *old = json_get(was, member->key);
			if (member->type == JSON_OBJECT)
				add_times(next, member, old, path);
			else
				json_add(next->times, path,
				        json_new_i64(next->arena, old && json_equal(old, member)
				                                          ? consent_time(next->before, path)
				                                          : next->now_us));
		}
}

struct json *consent_times_next(
        struct arena *arena, const struct customer *before, const struct json *doc, int64_t now_us)
{
	const struct json *consents = json_member(doc, "consents");
	const struct json *was = before ? json_member(before->doc, "consents") : NULL;
	struct next next = {.arena = arena, .before = before, .now_us = now_us};

	if (!json_is(consents, JSON_OBJECT))
		return NULL;
	if (was && before->consent_times && json_equal(was, consents))
		return before->consent_times;
	next.times = json_new(arena, JSON_OBJECT);
	add_times(&next, consents, was, STR_NONE);
	return next.times;
}
