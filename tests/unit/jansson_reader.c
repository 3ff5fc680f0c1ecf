#include "tests/unit/jansson_reader.h"

#include <jansson.h>

char *jansson_canonical(struct str text)
{
	json_t *value = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	char *dumped = value ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;

	json_decref(value);
	return dumped;
}
