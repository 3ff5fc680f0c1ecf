#include "common/json.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/metrics.h"
#include "gateway/schema_documents.h"

/* Health, metrics, and the documents that describe the API. All but the metrics are public. */

static const char *up_or_down(bool up)
{
	return up ? "UP" : "DOWN";
}

static void answer_health(struct request *request, bool up)
{
	struct gateway *gateway = request_gateway(request);
	struct arena *arena = request_arena(request);
	struct json *body = json_new(arena, JSON_OBJECT);
	struct json *parts = json_new(arena, JSON_OBJECT);

	json_set(body, STR("status"), json_new_str(arena, str_of(up_or_down(up))));
	json_set(parts, STR("kafka"), json_new_str(arena, str_of(up_or_down(gateway_kafka_is_up(gateway)))));
	json_set(parts, STR("database"), json_new_str(arena, str_of(up_or_down(gateway_pg_is_up(gateway)))));
	json_set(body, STR("components"), parts);
	request_answer_json(request, up ? 200 : 503, body);
}

/* The loop turns, or nobody would answer. */
void health_live(struct request *request)
{
	request_answer(request, 200, STR("{\"status\":\"UP\"}"));
}

void health_ready(struct request *request)
{
	answer_health(request, gateway_is_ready(request_gateway(request)));
}

void health_get(struct request *request)
{
	answer_health(request, gateway_is_ready(request_gateway(request)));
}

void metrics_get(struct request *request)
{
	struct str text = metrics_text(request_gateway(request), request_arena(request));

	request_answer_text(request, 200, "text/plain; version=0.0.4", text);
}

void schema_document_get(struct request *request)
{
	const struct json *document = schema_document(request_arena(request), request_path(request, "schemaPath"));

	if (document)
		request_answer_json(request, 200, document);
	else
		request_fail(request, ERR_NOT_FOUND, "Not Found");
}

void openapi_get(struct request *request)
{
	request_answer(request, 200, request_gateway(request)->openapi);
}
