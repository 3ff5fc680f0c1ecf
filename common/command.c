#include "common/command.h"

#include "common/buf.h"
#include "common/hash.h"

#include <endian.h>

#define COMMAND_MAGIC 0xC1
#define REPLY_MAGIC 0xC2
#define RECORD_VERSION 1
#define DAY_US (86400 * INT64_C(1000000))

/* Fixed part of a command, in this order; text and body follow. */
#define COMMAND_HEADER_BYTES (4 + 2 + 2 + 8 + 6 * 16 + 8 + 8 + 4 + 8 + 8 + 4 + 4)
#define REPLY_HEADER_BYTES (4 + 8 + 8 + 16 + 8 + 4)

static char *put_u8(char *p, uint8_t value)
{
	*p = (char)value;
	return p + 1;
}

static char *put_u16(char *p, uint16_t value)
{
	value = htole16(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static char *put_u32(char *p, uint32_t value)
{
	value = htole32(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static char *put_u64(char *p, uint64_t value)
{
	value = htole64(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static char *put_uuid(char *p, const struct uuid *id)
{
	memcpy(p, id, sizeof(*id));
	return p + sizeof(*id);
}

static uint8_t get_u8(const char **p)
{
	return (uint8_t) * (*p)++;
}

static uint16_t get_u16(const char **p)
{
	uint16_t value;
	memcpy(&value, *p, sizeof(value));
	*p += sizeof(value);
	return le16toh(value);
}

static uint32_t get_u32(const char **p)
{
	uint32_t value;
	memcpy(&value, *p, sizeof(value));
	*p += sizeof(value);
	return le32toh(value);
}

static uint64_t get_u64(const char **p)
{
	uint64_t value;
	memcpy(&value, *p, sizeof(value));
	*p += sizeof(value);
	return le64toh(value);
}

static struct uuid get_uuid(const char **p)
{
	struct uuid id;
	memcpy(&id, *p, sizeof(id));
	*p += sizeof(id);
	return id;
}

void command_encode(struct buf *buf, const struct command *command)
{
	char *p = buf_reserve(buf, COMMAND_HEADER_BYTES);

	p = put_u8(p, COMMAND_MAGIC);
	p = put_u8(p, RECORD_VERSION);
	p = put_u8(p, command->type);
	p = put_u8(p, command->item);
	p = put_u16(p, command->flags);
	p = put_u16(p, command->key_days); /* 0 in records of before it was there */
	p = put_u64(p, (uint64_t)command->time_us);
	p = put_uuid(p, &command->id);
	p = put_uuid(p, &command->workspace);
	p = put_uuid(p, &command->node);
	p = put_uuid(p, &command->entity);
	p = put_uuid(p, &command->subject);
	p = put_uuid(p, &command->source);
	p = put_u64(p, (uint64_t)command->user);
	p = put_u64(p, command->fingerprint);
	p = put_u32(p, command->reply.partition);
	p = put_u64(p, command->reply.boot);
	p = put_u64(p, command->reply.request);
	p = put_u32(p, (uint32_t)command->text.n);
	put_u32(p, (uint32_t)command->body.n);
	buf_add_str(buf, command->text);
	buf_add_str(buf, command->body);
}

/* Checks magic, version and length of a record. */
static bool record_open(struct str record, uint8_t magic, size_t header_bytes, struct err *err)
{
	if (record.n < header_bytes || (uint8_t)record.p[0] != magic)
		return err_set(err, ERR_INVALID, "not a record of this project (%zu bytes)", record.n);
	if ((uint8_t)record.p[1] != RECORD_VERSION)
		return err_set(err, ERR_INVALID, "record version %u is not known", (unsigned)(uint8_t)record.p[1]);
	return true;
}

/* Absent and empty are told apart by nobody: an empty part reads as absent. */
static struct str part(const char *p, size_t n)
{
	return n ? (struct str){p, n} : STR_NONE;
}

bool command_decode(struct str record, struct command *ret_command, struct err *err)
{
	if (!record_open(record, COMMAND_MAGIC, COMMAND_HEADER_BYTES, err))
		return false;
	const char *p = record.p + 2;
	struct command command;

	command.type = get_u8(&p);
	command.item = get_u8(&p);
	command.flags = get_u16(&p);
	command.key_days = get_u16(&p);
	command.time_us = (int64_t)get_u64(&p);
	command.id = get_uuid(&p);
	command.workspace = get_uuid(&p);
	command.node = get_uuid(&p);
	command.entity = get_uuid(&p);
	command.subject = get_uuid(&p);
	command.source = get_uuid(&p);
	command.user = (int64_t)get_u64(&p);
	command.fingerprint = get_u64(&p);
	command.reply.partition = get_u32(&p);
	command.reply.boot = get_u64(&p);
	command.reply.request = get_u64(&p);

	size_t text_bytes = get_u32(&p);
	size_t body_bytes = get_u32(&p);
	if (text_bytes > COMMAND_MAX_TEXT_BYTES || body_bytes > COMMAND_MAX_BODY_BYTES ||
	        record.n != COMMAND_HEADER_BYTES + text_bytes + body_bytes)
		return err_set(err, ERR_INVALID, "record of %zu bytes states %zu + %zu bytes of contents", record.n,
		        text_bytes, body_bytes);
	if (!command_type_name(command.type))
		return err_set(err, ERR_INVALID, "command type %u is not known", command.type);
	command.text = part(p, text_bytes);
	command.body = part(p + text_bytes, body_bytes);
	*ret_command = command;
	return true;
}

int64_t command_key_kept_until(const struct command *command)
{
	return command->key_days ? command->time_us + command->key_days * DAY_US : INT64_MAX;
}

const char *command_type_name(uint8_t type)
{
	switch (type) {
#define X(name, number)                                                                                                \
	case number:                                                                                                   \
		return #name;
		COMMAND_TYPES(X)
#undef X
	}
	return NULL;
}

void reply_encode(struct buf *buf, const struct reply *reply)
{
	char *p = buf_reserve(buf, REPLY_HEADER_BYTES);

	p = put_u8(p, REPLY_MAGIC);
	p = put_u8(p, RECORD_VERSION);
	p = put_u16(p, reply->status);
	p = put_u64(p, reply->boot);
	p = put_u64(p, reply->request);
	p = put_uuid(p, &reply->command);
	p = put_u64(p, (uint64_t)reply->seq);
	put_u32(p, (uint32_t)reply->body.n);
	buf_add_str(buf, reply->body);
}

bool reply_decode(struct str record, struct reply *ret_reply, struct err *err)
{
	if (!record_open(record, REPLY_MAGIC, REPLY_HEADER_BYTES, err))
		return false;
	const char *p = record.p + 2;
	struct reply reply;

	reply.status = get_u16(&p);
	reply.boot = get_u64(&p);
	reply.request = get_u64(&p);
	reply.command = get_uuid(&p);
	reply.seq = (int64_t)get_u64(&p);
	size_t body_bytes = get_u32(&p);
	if (record.n != REPLY_HEADER_BYTES + body_bytes)
		return err_set(
		        err, ERR_INVALID, "reply of %zu bytes states %zu bytes of contents", record.n, body_bytes);
	reply.body = part(p, body_bytes);
	*ret_reply = reply;
	return true;
}

uint32_t event_partition(
        const struct uuid *node, struct str bring_back_value, const struct uuid *customer, uint32_t n_partitions)
{
	uint64_t hash;

	if (bring_back_value.p)
		hash = hash_str(bring_back_value, hash_bytes(node, sizeof(*node), 1));
	else
		hash = hash_bytes(customer, sizeof(*customer), 2);
	return (uint32_t)(hash % n_partitions);
}
