#include "common/arena.h"
#include "common/buf.h"
#include "common/catalog.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/schema.h"
#include "tests/bench/bench_jansson.h"

#include <stdio.h>
#include <stdlib.h>

/* What the gateway does with one event, step by step, beside jansson's reading and writing of the same bytes. */
#define ROUNDS 5
#define PER_ROUND 100000

static const char event[] =
        "{\"type\":\"completedOrder\",\"context\":\"ECOMMERCE\",\"date\":\"2017-03-01T10:15:30.000+0000\","
        "\"bringBackProperties\":{\"type\":\"EXTERNAL_ID\",\"value\":\"customer-000017\",\"nodeId\":"
        "\"0d9b4b3e-5d1a-4c55-9a3c-6a6a4f0d1c11\"},\"properties\":{\"orderId\":\"order-0000001\",\"type\":\"sale\","
        "\"storeCode\":\"web\",\"amount\":{\"total\":29.33,\"revenue\":29.33},\"products\":[{\"type\":\"sale\","
        "\"id\":\"cd\",\"sku\":\"cd\",\"name\":\"Compact disc\",\"price\":14.665,\"quantity\":2,\"subtotal\":29.33}]}}";

struct bench {
	struct arena *arena;
	struct str text;
	const struct json *parsed;
	const struct json *properties;
	const struct schema *schema;
	struct problems *problems;
};

static struct json *parse(struct bench *bench)
{
	struct json *value = json_parse(bench->arena, bench->text, NULL);

	if (!value)
		abort();
	return value;
}

static void run_parse(struct bench *bench)
{
	parse(bench);
	arena_reset(bench->arena);
}

static void validate(struct bench *bench, const struct json *properties)
{
	problems_init(bench->problems, bench->arena);
	if (!schema_validate(bench->schema, properties, STR("/properties"), bench->problems))
		abort();
}

static void run_validate(struct bench *bench)
{
	validate(bench, bench->properties);
}

static void write(struct bench *bench, const struct json *value)
{
	struct buf buf;

	buf_init(&buf, bench->arena, 1024);
	json_write(&buf, value);
}

static void run_write(struct bench *bench)
{
	write(bench, bench->parsed);
	arena_reset(bench->arena);
}

static void run_all(struct bench *bench)
{
	struct json *value = parse(bench);

	validate(bench, json_member(value, "properties"));
	write(bench, value);
	arena_reset(bench->arena);
}

static void run_jansson_parse(struct bench *bench)
{
	jansson_parse(bench->text);
}

static void run_jansson(struct bench *bench)
{
	jansson_parse_and_dump(bench->text);
}

static const struct step {
	const char *name;
	void (*run)(struct bench *bench);
} steps[] = {
        {"parse", run_parse},
        {"validate the properties", run_validate},
        {"write", run_write},
        {"parse, validate, write", run_all},
        {"jansson: parse", run_jansson_parse},
        {"jansson: parse, write", run_jansson},
};

/* The best round: others are disturbed by whatever else the machine does. */
static double measure_us(struct bench *bench, const struct step *step)
{
	double best_us = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		int64_t start_us = clock_monotonic_us();
		double each_us;

		for (int i = 0; i < PER_ROUND; i++)
			step->run(bench);
		each_us = (double)(clock_monotonic_us() - start_us) / PER_ROUND;
		best_us = each_us < best_us ? each_us : best_us;
	}
	return best_us;
}

static const struct json *resolve(void *context, struct str reference)
{
	return str_starts(reference, STR("extended.json#/")) ? context : catalog_resolve(reference);
}

int main(void)
{
	struct arena *lasting = arena_new(1 << 20);
	struct bench bench = {.arena = arena_new(1 << 20), .text = {event, sizeof(event) - 1}};
	struct json *extended = json_parse(lasting, STR("{\"type\":\"object\",\"additionalProperties\":false}"), NULL);
	double us[ARRAY_LEN(steps)];

	bench.parsed = json_parse(lasting, bench.text, NULL);
	bench.properties = json_member(bench.parsed, "properties");
	bench.problems = arena_alloc(lasting, sizeof(*bench.problems));
	bench.schema =
	        schema_compile(lasting, catalog_document(STR("event.completedOrder.json")), resolve, extended, NULL);
	if (!bench.properties || !bench.schema)
		abort();
	printf("completedOrder, %zu bytes; best of %d rounds of %d\n", bench.text.n, ROUNDS, PER_ROUND);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		us[i] = measure_us(&bench, &steps[i]);
		printf("%-26s %7.2f us\n", steps[i].name, us[i]);
	}
	printf("jansson's parse and write take %.1f times as long as parse, validate and write\n", us[5] / us[3]);
	arena_free(bench.arena);
	arena_free(lasting);
	return 0;
}
