#include "tests/bench/bench_jansson.h"

#include <jansson.h>
#include <stdlib.h>

void jansson_parse(struct str text)
{
	json_decref(json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL));
}

void jansson_parse_and_dump(struct str text)
{
	json_t *value = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);

	free(json_dumps(value, JSON_COMPACT));
	json_decref(value);
}
