#include "gateway/update_query.h"

#include "common/worker.h"

const char *const update_operation_names[4] = {
        [CHANGE_CREATE] = "CREATE", [CHANGE_UPDATE] = "UPDATE", [CHANGE_DELETE] = "DELETE"};
const char *const update_entity_names[3] = {[ENTITY_CUSTOMER] = "CUSTOMER", [ENTITY_EVENT] = "EVENT"};

static int64_t read_number(struct str text, const char *path, int64_t most, int64_t fallback, struct problems *problems)
{
	uint64_t number;

	if (!text.n)
		return fallback;
	if (!str_to_u64(text, (uint64_t)most, &number)) {
		problems_add(problems, str_of(path), "must be a whole number from 0 to %lld", (long long)most);
		return fallback;
	}
	return (int64_t)number;
}

static int16_t read_entity(struct str text, struct problems *problems)
{
	if (!text.n)
		return 0;
	for (int16_t kind = ENTITY_CUSTOMER; kind <= ENTITY_EVENT; kind++)
		if (str_is(text, update_entity_names[kind]))
			return kind;
	problems_add(problems, STR("/entity"), "must be CUSTOMER or EVENT");
	return 0;
}

void update_query_read(const struct update_text *text, struct update_query *ret_query, struct problems *problems)
{
	*ret_query = (struct update_query){
	        .size = read_number(text->size, "/size", UPDATE_MAX_SIZE, UPDATE_DEFAULT_SIZE, problems),
	        .offset = read_number(text->offset, "/offset", INT64_MAX / 4, 0, problems),
	        .time_us = -1,
	        .entity = read_entity(text->entity, problems)};
	if (text->timestamp.n && !text->offset.n)
		ret_query->time_us = read_number(text->timestamp, "/timestamp", INT64_MAX / 1000, 0, problems) * 1000;
}

int64_t update_next_offset(const struct update_page *page)
{
	if (page->filtered && page->n < page->size && page->head > page->offset + UPDATE_SCAN_ENTRIES)
		return page->offset + UPDATE_SCAN_ENTRIES;
	return page->n ? page->last : page->offset;
}
