#include "gateway/upload.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/bulk_job.h"
#include "common/clock.h"
#include "common/csv.h"
#include "common/hash.h"
#include "common/log.h"
#include "gateway/gateway.h"
#include "gateway/http.h"
#include "gateway/multipart.h"
#include "gateway/request_state.h"
#include "gateway/tenants.h"

#include <stdio.h>

/* Records of an upload on their way at once; librdkafka holds them for all uploads. */
#define IN_FLIGHT_MAX 2
/* What may be sent ahead of the pace: the time between two looks at who waits. */
#define AHEAD_US 50000
#define PARTS_MAX 64
#define FIELDS_MAX 16
/* A piece, and the record that it becomes. */
#define RECORD_BYTES (BULK_CHUNK_BYTES + 1024)
#define UPLOAD_MEMORY_BYTES ((size_t)(BULK_CHUNK_BYTES + RECORD_BYTES + FIELDS_MAX * UPLOAD_FIELD_BYTES))

struct field {
	struct str name;
	struct buf value;
};

struct upload {
	struct multipart reader;
	struct uuid job;
	uint32_t partition;

	/* form */
	struct field fields[FIELDS_MAX];
	size_t n_fields, n_parts;
	struct field *open; /* the part that comes in: a field of ours, or NULL */
	bool in_file, has_file;
	struct str filename;
	size_t other_bytes; /* of parts that nobody asked for */

	/* file */
	char *piece;
	size_t piece_bytes;
	struct buf record; /* used again for each */
	int64_t file_bytes, chunks;
	struct csv_counter counter;
	uint64_t hash;

	struct list place; /* in `waiting`, while it keeps the pace */
	struct request *request;
	unsigned in_flight;
	bool counted, claimed;
	void (*then)(struct request *request);
};

/* Of this process, which has one thread. All uploads together keep a pace, so that the brokers have room for the small
   records of everybody else: up to paced_us it is used up. */
static size_t uploads_now;
static int64_t paced_us;
static struct list waiting = {&waiting, &waiting};

/* --- what handlers ask --- */

struct upload *request_upload(struct request *request)
{
	return request->upload;
}

const struct uuid *upload_job(const struct upload *upload)
{
	return &upload->job;
}

struct str upload_field(const struct upload *upload, const char *name)
{
	for (size_t i = 0; i < upload->n_fields; i++) {
		if (str_is(upload->fields[i].name, name))
			return buf_str(&upload->fields[i].value);
	}
	return STR_NONE;
}

bool upload_is_complete(const struct upload *upload)
{
	return multipart_is_complete(&upload->reader);
}

bool upload_has_file(const struct upload *upload)
{
	return upload->has_file;
}

struct str upload_filename(const struct upload *upload)
{
	return upload->filename;
}

int64_t upload_file_bytes(const struct upload *upload)
{
	return upload->file_bytes;
}

int64_t upload_chunks(const struct upload *upload)
{
	return upload->chunks;
}

int64_t upload_rows(const struct upload *upload)
{
	int64_t with_header = csv_counter_rows(&upload->counter);

	return with_header ? with_header - 1 : 0;
}

uint64_t upload_hash(const struct upload *upload)
{
	uint64_t hash = hash_str(upload->filename, upload->hash);

	for (size_t i = 0; i < upload->n_fields; i++) {
		hash = hash_str(upload->fields[i].name, hash);
		hash = hash_str(buf_str(&upload->fields[i].value), hash);
	}
	return hash;
}

void upload_claimed(struct request *request)
{
	request->upload->claimed = true;
}

/* --- failing --- */

/* After the answer is made: while the body comes in, the rest of it is thrown away. */
static void discard_rest(struct request *request)
{
	if (request->phase != REQUEST_RECEIVING)
		return;
	request->phase = REQUEST_DISCARDING;
	http_go_on(request->gateway->http, request);
}

static void fail_upload(struct request *request, enum err_code code, const char *pointer, const char *why)
{
	struct err err = {0};

	err_set(&err, code, "%s", why);
	if (pointer)
		err_set_pointer(&err, str_of(pointer));
	request_fail_err(request, &err);
	discard_rest(request);
}

/* --- records --- */

static void address(struct request *request, struct command *command, enum command_type type)
{
	*command = (struct command){.type = (uint8_t)type,
	        .time_us = clock_wall_us(),
	        .id = uuid_v7(clock_wall_us()),
	        .workspace = *config_workspace_id(request->workspace),
	        .entity = request->upload->job};
}

static void keep_pace(const struct request *request, size_t n_bytes)
{
	int64_t now_us = clock_monotonic_us(), per_s = request->gateway->settings->upload_mib_per_s * 1024 * 1024;

	if (paced_us < now_us)
		paced_us = now_us;
	paced_us += (int64_t)n_bytes * 1000000 / per_s;
}

/* What has been gathered of the file. */
static void send_piece(struct request *request)
{
	struct upload *upload = request->upload;
	struct command command;
	char number[24];

	if (!upload->piece_bytes || request->answer.status)
		return;
	address(request, &command, COMMAND_BULK_CHUNK);
	command.text =
	        (struct str){number, (size_t)snprintf(number, sizeof(number), "%lld", (long long)upload->chunks)};
	command.body = (struct str){upload->piece, upload->piece_bytes};
	upload->hash = hash_str(command.body, upload->hash);
	upload->piece_bytes = 0;
	if (!step_upload_send(request, upload->partition, &command, &upload->record)) {
		discard_rest(request);
		return;
	}
	upload->chunks++;
	upload->in_flight++;
	keep_pace(request, command.body.n);
}

static void go_on_when_delivered(struct request *request)
{
	struct upload *upload = request->upload;
	void (*then)(struct request *) = upload->then;

	if (upload->in_flight || !then)
		return;
	upload->then = NULL;
	step_end(request);
	then(request);
}

void upload_finish(struct request *request, void (*then)(struct request *request))
{
	send_piece(request);
	if (request->answer.status)
		return;
	request->upload->then = then;
	go_on_when_delivered(request);
}

void upload_delivered(struct request *request, bool good)
{
	struct upload *upload = request->upload;

	upload->in_flight--;
	if (!good) {
		fail_upload(request, ERR_UNAVAILABLE, NULL, err_sentence(ERR_UNAVAILABLE));
		return;
	}
	if (!upload_must_wait(request))
		http_go_on(request->gateway->http, request);
	go_on_when_delivered(request);
}

bool upload_must_wait(struct request *request)
{
	struct upload *upload = request->upload;

	list_remove(&upload->place);
	if (request->phase != REQUEST_RECEIVING)
		return false;
	if (upload->in_flight >= IN_FLIGHT_MAX)
		return true; /* until a record has arrived */
	if (paced_us <= clock_monotonic_us() + AHEAD_US)
		return false;
	list_append(&waiting, &upload->place);
	return true;
}

void upload_tick(int64_t now_us)
{
	while (paced_us <= now_us + AHEAD_US && !list_is_empty(&waiting)) {
		struct upload *upload = list_owner(waiting.next, struct upload, place);
		list_remove(&upload->place);
		http_go_on(upload->request->gateway->http, upload->request);
	}
}

/* --- the form --- */

static bool open_field(struct request *request, struct upload *upload)
{
	static const char *const names[] = {"operation", "entity", "eventType", "bulkJobName"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!str_is(upload->reader.name, names[i]))
			continue;
		if (upload_field(upload, names[i]).p) {
			fail_upload(request, ERR_INVALID, arena_printf(request->arena, "/%s", names[i]),
			        "The field was sent twice");
			return false;
		}
		upload->open = &upload->fields[upload->n_fields++];
		upload->open->name = str_of(names[i]);
		buf_init(&upload->open->value, request->arena, 32);
	}
	return true;
}

static void begin_part(struct request *request)
{
	struct upload *upload = request->upload;

	upload->open = NULL;
	upload->in_file = false;
	if (upload->n_parts++ == PARTS_MAX) {
		fail_upload(request, ERR_INVALID, "", "The form has too many parts");
	} else if (!str_is(upload->reader.name, "file")) {
		if (!open_field(request, upload))
			return;
	} else if (upload->has_file) {
		fail_upload(request, ERR_INVALID, "/file", "The file was sent twice");
	} else {
		upload->in_file = upload->has_file = true;
		upload->filename = arena_str(request->arena, upload->reader.filename);
	}
}

static void take_file(struct request *request, struct str data)
{
	struct upload *upload = request->upload;

	upload->file_bytes += (int64_t)data.n;
	if (upload->file_bytes > BULK_MAX_FILE_BYTES) {
		fail_upload(request, ERR_TOO_LARGE, "/file", "The file has more than 1 GiB");
		return;
	}
	csv_counter_add(&upload->counter, data);
	while (data.n && !request->answer.status) {
		size_t n = BULK_CHUNK_BYTES - upload->piece_bytes;
		if (n > data.n)
			n = data.n;
		memcpy(upload->piece + upload->piece_bytes, data.p, n);
		upload->piece_bytes += n;
		data = (struct str){data.p + n, data.n - n};
		if (upload->piece_bytes == BULK_CHUNK_BYTES)
			send_piece(request);
	}
}

static void take_data(struct request *request, struct str data)
{
	struct upload *upload = request->upload;

	if (upload->in_file) {
		take_file(request, data);
	} else if (upload->open && upload->open->value.n + data.n <= UPLOAD_FIELD_BYTES) {
		buf_add_str(&upload->open->value, data);
	} else if (upload->open) {
		fail_upload(request, ERR_INVALID, arena_printf(request->arena, "/%.*s", STR_ARG(upload->open->name)),
		        "The field is too long");
	} else {
		upload->other_bytes += data.n;
		if (upload->other_bytes > UPLOAD_FORM_BYTES)
			fail_upload(request, ERR_TOO_LARGE, NULL, "The form is too large");
	}
}

void upload_take(struct request *request, struct str bytes)
{
	struct upload *upload = request->upload;
	struct str rest = bytes, data = STR_NONE;

	while (!request->answer.status) {
		switch (multipart_next(&upload->reader, &rest, &data)) {
		case MULTIPART_PART:
			begin_part(request);
			break;
		case MULTIPART_DATA:
			take_data(request, data);
			break;
		case MULTIPART_BAD:
			fail_upload(request, ERR_INVALID, NULL, upload->reader.why);
			break;
		case MULTIPART_PART_END:
		case MULTIPART_DONE:
			break;
		case MULTIPART_MORE:
			return;
		}
	}
}

/* --- life --- */

static bool reserve(struct request *request, struct upload *upload)
{
	struct tenant *tenant = request->ticket.tenant;

	if (!tenant_fits(UPLOADS_AT_ONCE, uploads_now, tenant->uploads, 1) ||
	        !http_count_body(request->gateway->http, request, UPLOAD_MEMORY_BYTES)) {
		request_fail(request, ERR_UNAVAILABLE, "The service takes no more uploads at the moment");
		return false;
	}
	uploads_now++;
	tenant->uploads++;
	upload->counted = true;
	return true;
}

bool upload_begin(struct request *request)
{
	struct upload *upload = arena_zalloc(request->arena, sizeof(*upload));
	char boundary[MULTIPART_BOUNDARY_MAX];
	size_t n = 0;
	struct err err = {0};

	request->upload = upload;
	upload->request = request;
	list_init(&upload->place);
	if (!multipart_boundary(request_header(request, "Content-Type"), boundary, &n, &err)) {
		request_fail_err(request, &err);
		return false;
	}
	if (!reserve(request, upload) || !step_upload_begin(request))
		return false;
	multipart_init(&upload->reader, (struct str){boundary, n});
	upload->job = uuid_v7(clock_wall_us());
	upload->partition = workspace_partition(
	        config_workspace_id(request->workspace), request_partitions(request, TOPIC_BULK_JOBS));
	csv_counter_init(&upload->counter);
	upload->piece = arena_alloc(request->arena, BULK_CHUNK_BYTES);
	buf_init(&upload->record, request->arena, RECORD_BYTES);
	return true;
}

/* True when the job may have been made, so that its chunks must stay. */
static bool is_made(const struct request *request)
{
	const struct answer *answer = &request->answer;
	char id[UUID_TEXT_BYTES + 1];

	if (!request->upload->claimed)
		return false;
	uuid_format(&request->upload->job, id);
	/* the repeat of a keyed request is answered with the first job */
	if (answer->status >= 200 && answer->status < 300)
		return answer->body.n && memmem(answer->body.p, answer->body.n, id, UUID_TEXT_BYTES);
	return answer->status < 400 || answer->status >= 500;
}

void upload_end(struct request *request)
{
	struct upload *upload = request->upload;
	struct command command;
	struct err err = {0};

	if (!upload)
		return;
	list_remove(&upload->place);
	if (upload->counted) {
		uploads_now--;
		request->ticket.tenant->uploads--;
	}
	if (!upload->chunks || is_made(request))
		return;
	address(request, &command, COMMAND_BULK_DROP);
	upload->record.n = 0;
	command_encode(&upload->record, &command);
	/* lost, it is no harm: the bulk processor forgets chunks without a job in time */
	if (!kafka_send(request->gateway->producer, TOPIC_BULK_JOBS, upload->partition, &upload->job,
	            buf_str(&upload->record), NULL, &err))
		log_event(LOG_WARN, "upload", "the chunks of a failed upload stay for a while: %s", err.message);
}
