#include "tests/fuzz/fuzz.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/json.h"

#define LIMIT_BYTES ((size_t)256 * 1024 * 1024)

static struct str write(struct arena *arena, const struct json *value)
{
	struct buf buf;

	buf_init(&buf, arena, 16);
	json_write(&buf, value);
	return buf_str(&buf);
}

/* What is read is written, read again as the same value, and written as the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct arena *arena = arena_new(LIMIT_BYTES);
	struct err err = {.code = ERR_NONE};
	struct json *value = json_parse(arena, (struct str){(const char *)bytes, n}, &err);

	if (value) {
		struct str text = write(arena, value);
		struct json *again = json_parse(arena, text, &err);

		FUZZ_CHECK(again);
		FUZZ_CHECK(json_equal(value, again));
		FUZZ_CHECK(str_eq(text, write(arena, again)));
		FUZZ_CHECK(json_equal(again, json_copy(arena, value, true)));
	} else {
		FUZZ_CHECK(err.code == ERR_INVALID && err.message[0]);
		FUZZ_CHECK(str_is_utf8(str_of(err.pointer)));
	}
	arena_free(arena);
	return 0;
}
