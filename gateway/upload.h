#ifndef GATEWAY_UPLOAD_H
#define GATEWAY_UPLOAD_H

#include "gateway/request.h"

/*
 * The form of a bulk job while it comes in (BODY_MULTIPART): fields are kept, the part "file" is cut into BULK_CHUNK
 * records as it comes and never held as a whole. A few records are on their way to Kafka at most; until some of them
 * have arrived the connection is not read; all uploads of a gateway together keep to CONTACTHUB_UPLOAD_MIB_PER_S. What
 * happens to the upload, its chunks are either named by a BULK_CREATE or forgotten by a BULK_DROP.
 *
 * Limits: UPLOADS_AT_ONCE per gateway (503 above; a workspace has half of them at most), UPLOAD_MEMORY_BYTES each,
 * BULK_MAX_FILE_BYTES of a file (413), and the limits of multipart.h.
 */
struct upload;

#define UPLOADS_AT_ONCE 32
/* Of the body around the file. */
#define UPLOAD_FORM_BYTES (64 * 1024)
/* Bytes of one field. */
#define UPLOAD_FIELD_BYTES 1024

/* --- for handlers --- */

struct upload *request_upload(struct request *request);
/* Id of the job to be: key of its records. */
const struct uuid *upload_job(const struct upload *upload);
/* A field of the form; absent when it was not sent. */
struct str upload_field(const struct upload *upload, const char *name);
/* False when the form breaks off. */
bool upload_is_complete(const struct upload *upload);
/* True when the file was sent; its name may be empty. */
bool upload_has_file(const struct upload *upload);
struct str upload_filename(const struct upload *upload);
int64_t upload_file_bytes(const struct upload *upload);
int64_t upload_chunks(const struct upload *upload);
/* Of the file, its header not counted. */
int64_t upload_rows(const struct upload *upload);
/* Hash of fields and file: what an Idempotency-Key stands for. */
uint64_t upload_hash(const struct upload *upload);
/* Publishes the rest of the file and calls `then` when Kafka has all of it. Failures are answered here. */
void upload_finish(struct request *request, void (*then)(struct request *request));
/* From here on the chunks are the job's, unless the answer says otherwise. */
void upload_claimed(struct request *request);

/* --- for the gateway's own modules --- */

/* The headers are there. False when the request has been answered. */
bool upload_begin(struct request *request) must_check;
/* Takes all of it; may answer the request. */
void upload_take(struct request *request, struct str bytes);
/* True while nothing more may be read: http_go_on is called when that is over. */
bool upload_must_wait(struct request *request);
/* Lets those go on that keep the pace; at least twenty times a second. */
void upload_tick(int64_t now_us);
/* A record has arrived, or not. */
void upload_delivered(struct request *request, bool good);
/* The request is over. */
void upload_end(struct request *request);

#endif
