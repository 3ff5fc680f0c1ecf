#include "tests/fuzz/fuzz.h"

#include "gateway/multipart.h"

#include <string.h>

#define TRACE_BYTES 65536

/* What a reader made of its input, as bytes. */
struct trace {
	char *bytes;
	size_t n;
};

static void add(struct trace *trace, const void *bytes, size_t n)
{
	FUZZ_CHECK(trace->n + n <= TRACE_BYTES);
	if (n)
		memcpy(trace->bytes + trace->n, bytes, n);
	trace->n += n;
}

/* False when there is nothing more to come. */
static bool take(struct multipart *reader, struct str bytes, struct trace *trace)
{
	struct str rest = bytes, data;
	enum multipart_event event;

	while ((event = multipart_next(reader, &rest, &data)) != MULTIPART_MORE) {
		FUZZ_CHECK(rest.n <= bytes.n);
		if (event == MULTIPART_DATA) {
			FUZZ_CHECK(data.n > 0);
			add(trace, data.p, data.n);
			continue;
		}
		add(trace, &(char){(char)event}, 1);
		if (event == MULTIPART_BAD) {
			FUZZ_CHECK(reader->why != NULL);
			return false;
		}
		if (event != MULTIPART_PART)
			continue;
		FUZZ_CHECK(str_is_utf8(reader->name) && reader->name.n <= MULTIPART_NAME_MAX);
		FUZZ_CHECK(!reader->filename.p || str_is_utf8(reader->filename));
		add(trace, reader->name.p, reader->name.n);
		add(trace, reader->filename.p, reader->filename.n);
	}
	FUZZ_CHECK(rest.n == 0);
	return true;
}

/* The first byte says how the rest is cut; whatever the cuts, the events are the same. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static char whole_bytes[TRACE_BYTES], cut_bytes[TRACE_BYTES];
	struct trace whole = {whole_bytes, 0}, cut = {cut_bytes, 0};
	struct multipart reader;
	char boundary[MULTIPART_BOUNDARY_MAX];
	size_t boundary_bytes;

	if (n < 1 || n > TRACE_BYTES / 4)
		return 0;
	struct str body = {(const char *)bytes + 1, n - 1};
	size_t step = (size_t)bytes[0] + 1;
	if (multipart_boundary(body, boundary, &boundary_bytes, NULL))
		FUZZ_CHECK(boundary_bytes >= 1 && boundary_bytes <= MULTIPART_BOUNDARY_MAX);
	multipart_init(&reader, STR("xYz"));
	take(&reader, body, &whole);
	multipart_init(&reader, STR("xYz"));
	for (size_t at = 0; at < body.n; at += step) {
		size_t left = body.n - at;
		if (!take(&reader, (struct str){body.p + at, left < step ? left : step}, &cut))
			break;
	}
	FUZZ_CHECK(whole.n == cut.n && memcmp(whole.bytes, cut.bytes, whole.n) == 0);
	return 0;
}
