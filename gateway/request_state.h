#ifndef GATEWAY_REQUEST_STATE_H
#define GATEWAY_REQUEST_STATE_H

#include "gateway/admission.h"
#include "gateway/list.h"
#include "gateway/pgpool.h"
#include "gateway/request.h"
#include "gateway/router.h"
#include "gateway/uri.h"

#include <microhttpd.h>

struct client;
struct upload;

/* The inside of a request, for the gateway's own modules: http.c (life), pipeline.c (checks), respond.c (answer),
   steps.c (waiting), request.c (what handlers ask). */

enum request_phase {
	REQUEST_HEADERS,    /* libmicrohttpd reads them */
	REQUEST_RECEIVING,  /* the body comes in */
	REQUEST_DISCARDING, /* refused: the body is read and thrown away, so that the client sees the answer */
	REQUEST_PUT_OFF,    /* told to come later, in a moment */
	REQUEST_WAITING,    /* for a place in work */
	REQUEST_WORKING,    /* a handler has it */
	REQUEST_SUSPENDED,  /* the same, with the connection suspended */
	REQUEST_ANSWERED,
};

/* What a request in work waits for. One thing at a time. */
enum request_wait {
	WAIT_NOTHING,
	WAIT_DELIVERY, /* the brokers have the record */
	WAIT_REPLY,    /* of a worker, or the row in command_results */
	WAIT_ROWS,     /* of a query */
	WAIT_UPLOAD,   /* pieces of an upload, several at once */
	WAIT_CONFIG,   /* the reply is there; the configuration that it speaks of is not */
};

/* The answer, until it is handed to libmicrohttpd. */
struct answer {
	unsigned status;
	struct str body;        /* in the request's arena; absent = empty */
	unsigned retry_after_s; /* 0 = no such header */
	bool close;
	const char *type;          /* Content-Type; NULL = JSON */
	const char *disposition;   /* Content-Disposition, or NULL */
	request_stream_fn *stream; /* or NULL: what comes behind the body */
	bool stream_ended, stream_failed, stream_waits;
};

struct request {
	struct gateway *gateway;
	struct arena *arena;
	struct MHD_Connection *connection;
	struct client *client;
	enum request_phase phase;
	int64_t began_us; /* monotonic */

	/* target */
	struct str target, version; /* as sent */
	struct str path, query;
	struct str method; /* the one that counts: X-HTTP-Method-Override included, GET for HEAD */
	bool head;         /* no body may follow the answer's headers */
	struct route_match match;
	const struct uri_param *params;
	size_t n_params;

	/* caller */
	struct caller caller;
	struct config_workspace *workspace; /* a reference */
	struct admission_ticket ticket;
	struct config_user user; /* copy that caller.user points to */
	bool may_not_read;       /* what it writes */

	/* body */
	bool has_body;            /* some is announced */
	bool too_large;           /* more came than the route takes */
	bool put_off;             /* the answer is to come later */
	size_t discarded_bytes;   /* what came after the refusal */
	size_t counted_bytes;     /* our share of the memory that bodies take in this process */
	uint64_t announced_bytes; /* by Content-Length; 0 = unknown */
	char *body;
	size_t body_bytes, body_capacity;
	struct json *json;
	struct upload *upload; /* BODY_MULTIPART */
	bool paused;           /* nothing is read: the connection is suspended while the body comes in */

	struct answer answer;
	size_t answer_bytes; /* its share of the memory that large answers take */
	size_t config_bytes; /* by which its write makes the workspace's configuration grow */

	/* what it waits for */
	enum request_wait wait;
	uint64_t number;        /* in the table of waiting requests */
	unsigned rows_expected; /* WAIT_ROWS: results that are still to come */
	union {
		request_reply_fn *reply;
		request_delivered_fn *delivered;
		request_result_fn *result;
	} then;
	struct uuid command, command_workspace; /* of the last command sent: nil = none */
	uint64_t command_fingerprint;
	int64_t command_time_us;
	enum topic command_topic;
	uint32_t command_partition;
	bool row_wanted;  /* the reply came without its body */
	struct list late; /* place in a list of replies.c */
	unsigned late_turn;
	int64_t late_us;
	struct reply held; /* WAIT_CONFIG: body in the arena */
	void *state;       /* of the handler */
};

/* pipeline.c: the checks of the first call; false when the request has been answered. */
bool pipeline_begin(struct request *request, struct str method) must_check;
/* The body is complete: takes the request into work, or lets it wait. ADMISSION_REFUSED: it has been answered. */
enum admission_answer pipeline_enter(struct request *request, int64_t now_us) must_check;
/* Its checks, then the handler. */
void pipeline_run(struct request *request);
/* Most bytes that the body of this request may have. */
size_t pipeline_body_limit(const struct request *request);

/* respond.c: hands the answer to libmicrohttpd; MHD_NO closes the connection. */
enum MHD_Result respond_queue(struct request *request);
/* Adds Retry-After to the answer just made. */
void respond_retry_after(struct request *request, unsigned seconds);

/* steps.c: forgets what the request waits for; late news finds nothing. */
void step_end(struct request *request);
/* A reply or the row of a result has come. entity is NULL when it is not known. */
void step_reply(struct request *request, const struct reply *reply, const struct uuid *entity, bool from_row);
/* The configuration has come up to what the held reply speaks of. */
void step_config_arrived(struct request *request);
/* Pieces of an upload: one number for all of them. False when the request has been answered. */
bool step_upload_begin(struct request *request) must_check;
bool step_upload_send(
        struct request *request, uint32_t partition, const struct command *command, struct buf *room) must_check;
/* For kafka_producer_new: context is the gateway. */
void step_delivered(void *context, void *opaque, const struct kafka_delivery *delivery);

#endif
