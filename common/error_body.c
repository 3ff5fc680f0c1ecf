#include "common/error_body.h"

#include "common/buf.h"
#include "common/json.h"

static void write_problem(struct buf *buf, const struct problem *problem)
{
	buf_add_literal(buf, "{\"message\":");
	json_write_string(buf, problem->message);
	buf_add_literal(buf, ",\"path\":");
	json_write_string(buf, problem->path);
	buf_add_literal(buf, ",\"code\":");
	if (problem->code.p)
		json_write_string(buf, problem->code);
	else
		buf_add_literal(buf, "null");
	buf_add_literal(buf, ",\"data\":null}");
}

void error_body_write(struct buf *buf, struct str message, const struct uuid *logref, struct str data_json,
        const struct problems *problems)
{
	char id[UUID_TEXT_BYTES + 1];

	uuid_format(logref, id);
	buf_add_literal(buf, "{\"message\":");
	json_write_string(buf, message);
	buf_printf(buf, ",\"logref\":\"%s\",\"data\":", id);
	buf_add_str(buf, data_json.p ? data_json : STR("null"));
	buf_add_literal(buf, ",\"errors\":[");
	for (size_t i = 0; problems && i < problems->n; i++) {
		if (i)
			buf_add_char(buf, ',');
		write_problem(buf, &problems->items[i]);
	}
	buf_add_literal(buf, "]}");
}
