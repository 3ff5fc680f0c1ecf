#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "deploy/ctl/ctl.h"

#include <stdlib.h>

#define NOT_THERE "there is no such dead letter"
#define RECORD_ARENA_BYTES ((size_t)16 * 1024 * 1024)

/* Where a dead letter stood in the log: its name is TOPIC:PARTITION:OFFSET. */
struct place {
	enum topic topic;
	int32_t partition;
	int64_t offset;
};

static bool topic_by_role(struct str role, enum topic *ret_topic)
{
	for (int i = 0; i < TOPIC_COUNT; i++) {
		*ret_topic = (enum topic)i;
		if (str_is(role, topic_role_name(*ret_topic)))
			return true;
	}
	return false;
}

static bool parse_place(struct str text, struct place *ret_place, struct err *err)
{
	struct str rest = text, role, partition, offset;
	uint64_t number, position;

	if (!str_split(&rest, ':', &role) || !str_split(&rest, ':', &partition) || !str_split(&rest, ':', &offset) ||
	        rest.p || !topic_by_role(role, &ret_place->topic) || !str_to_u64(partition, INT32_MAX, &number) ||
	        !str_to_u64(offset, INT64_MAX, &position))
		return err_set(err, ERR_INVALID,
		        "name the dead letter as TOPIC:PARTITION:OFFSET, as `dead-letters list` does");
	ret_place->partition = (int32_t)number;
	ret_place->offset = (int64_t)position;
	return true;
}

static struct db_params place_params(struct ctl *ctl, const struct place *place)
{
	struct db_params params;

	db_params_init(&params, ctl->arena);
	db_param_text(&params, str_of(topic_role_name(place->topic)));
	db_param_i32(&params, place->partition);
	db_param_i64(&params, place->offset);
	return params;
}

/* One dead letter; NULL when there is none. */
static PGresult *load(struct ctl *ctl, const struct place *place, struct err *err)
{
	struct db_params params = place_params(ctl, place);
	PGresult *rows = ctl_query(ctl, "dead_letter", &params, err);

	if (rows && PQntuples(rows) == 0) {
		PQclear(rows);
		err_set(err, ERR_NOT_FOUND, NOT_THERE);
		return NULL;
	}
	return rows;
}

static void print_row(struct ctl *ctl, const PGresult *rows, int row)
{
	struct uuid workspace = db_uuid(rows, row, 4);
	char time[TIME_TEXT_BYTES + 1];

	time_format(db_i64(rows, row, 6), time);
	const char *type = db_is_null(rows, row, 5) ? NULL : command_type_name((uint8_t)db_i64(rows, row, 5));
	printf("%.*s:%lld:%lld %s %s %s %s%.*s\n", STR_ARG(db_text(rows, row, 0)), (long long)db_i64(rows, row, 1),
	        (long long)db_i64(rows, row, 2), time, config_id_text(ctl->arena, &workspace).p, type ? type : "?",
	        db_is_null(rows, row, 8) ? "" : "(sent again) ", STR_ARG(db_text(rows, row, 7)));
}

bool ctl_dead_letters_list(struct ctl *ctl, struct err *err)
{
	struct str text = arguments_option(&ctl->arguments, "workspace");
	struct uuid workspace;
	struct db_params params;

	if (!arguments_done(&ctl->arguments, err))
		return false;
	if (text.p && !uuid_parse(text, &workspace))
		return err_set(err, ERR_INVALID, "--workspace must be a UUID");
	db_params_init(&params, ctl->arena);
	db_param_uuid(&params, text.p ? &workspace : NULL);
	PGresult *rows = ctl_query(ctl, "dead_letters", &params, err);
	for (int row = 0; rows && row < PQntuples(rows); row++)
		print_row(ctl, rows, row);
	PQclear(rows);
	return rows != NULL;
}

static void print_command(struct ctl *ctl, const struct command *command)
{
	printf("command   %s\n", config_id_text(ctl->arena, &command->id).p);
	printf("entity    %s\n", config_id_text(ctl->arena, &command->entity).p);
	printf("node      %s\n", config_id_text(ctl->arena, &command->node).p);
	printf("source    %s, user %lld\n", config_id_text(ctl->arena, &command->source).p, (long long)command->user);
	printf("text      %.*s\n", STR_ARG(command->text));
	printf("body      %.*s\n", STR_ARG(command->body));
}

/* The only place that shows the content of a record, and only to the operator who asks for this one. */
bool ctl_dead_letters_show(struct ctl *ctl, struct err *err)
{
	struct place place;
	struct command command;

	if (!parse_place(arguments_word(&ctl->arguments), &place, err) || !arguments_done(&ctl->arguments, err))
		return false;
	PGresult *rows = load(ctl, &place, err);
	if (!rows)
		return false;
	print_row(ctl, rows, 0);
	printf("worker    %.*s\n", STR_ARG(db_text(rows, 0, 3)));
	bool readable = command_decode(db_text(rows, 0, 9), &command, err);
	if (readable)
		print_command(ctl, &command);
	PQclear(rows);
	return readable;
}

/* The record again, as a command of its own: under the old id it would be taken for done. Its memory is its own, too:
 * there may be any number of them. */
static bool send_again(struct ctl *ctl, const struct place *place, struct str record, struct err *err)
{
	struct command command;
	struct buf buf;

	if (!command_decode(record, &command, err))
		return false;
	command.id = uuid_v7(clock_wall_us());
	command.flags &= (uint16_t)~COMMAND_KEYED;
	command.fingerprint = 0;
	command.reply = (struct reply_address){0};
	struct arena *arena = arena_new(RECORD_ARENA_BYTES);
	buf_init(&buf, arena, record.n);
	command_encode(&buf, &command);
	bool good = ctl_send(ctl, place->topic, (uint32_t)place->partition, &command.workspace, buf_str(&buf), err);
	arena_free(arena);
	return good;
}

static bool rerun(struct ctl *ctl, const struct place *place, struct err *err)
{
	PGresult *rows = load(ctl, place, err);
	bool good = rows && send_again(ctl, place, db_text(rows, 0, 9), err);

	PQclear(rows);
	if (!good)
		return err_wrap(
		        err, "%s:%d:%lld", topic_role_name(place->topic), place->partition, (long long)place->offset);
	struct db_params params = place_params(ctl, place);
	db_param_i64(&params, clock_wall_us());
	PGresult *marked = ctl_query(ctl, "dead_letter_mark", &params, err);
	PQclear(marked);
	if (marked)
		printf("%s:%d:%lld sent again\n", topic_role_name(place->topic), place->partition,
		        (long long)place->offset);
	return marked != NULL;
}

/* What cannot be read stays where it is; the others are sent. */
static bool rerun_all(struct ctl *ctl, struct err *err)
{
	PGresult *rows = ctl_query(ctl, "dead_letters_open", NULL, err);
	bool good = rows != NULL;
	int unreadable = 0;

	for (int row = 0; good && row < PQntuples(rows); row++) {
		struct place place = {.partition = (int32_t)db_i64(rows, row, 1), .offset = db_i64(rows, row, 2)};
		struct err failure = {0};
		if (topic_by_role(db_text(rows, row, 0), &place.topic) && rerun(ctl, &place, &failure))
			continue;
		fprintf(stderr, "%s\n", failure.message);
		unreadable++;
		good = failure.code == ERR_INVALID || err_set(err, failure.code, "the rest was not tried");
	}
	PQclear(rows);
	if (good && unreadable)
		return err_set(err, ERR_CONFLICT, "%d of the records could not be sent again", unreadable);
	return good;
}

bool ctl_dead_letters_rerun(struct ctl *ctl, struct err *err)
{
	bool all = arguments_flag(&ctl->arguments, "all");
	struct str name = arguments_word(&ctl->arguments);
	struct place place;

	if (!arguments_done(&ctl->arguments, err))
		return false;
	if (all && !name.p)
		return rerun_all(ctl, err);
	return parse_place(name, &place, err) && rerun(ctl, &place, err);
}

/* The log keeps the records. */
static bool drop(struct ctl *ctl, const char *statement, struct db_params *params, int64_t *ret_n, struct err *err)
{
	PGresult *dropped = ctl_query(ctl, statement, params, err);

	if (dropped)
		*ret_n = strtoll(PQcmdTuples(dropped), NULL, 10);
	PQclear(dropped);
	return dropped != NULL;
}

static bool drop_one(struct ctl *ctl, const struct place *place, int64_t *ret_n, struct err *err)
{
	struct db_params params = place_params(ctl, place);

	return drop(ctl, "dead_letter_drop", &params, ret_n, err) && (*ret_n || err_set(err, ERR_NOT_FOUND, NOT_THERE));
}

bool ctl_dead_letters_drop(struct ctl *ctl, struct err *err)
{
	bool sent_again = arguments_flag(&ctl->arguments, "sent-again");
	struct str name = arguments_word(&ctl->arguments);
	struct place place;
	int64_t n = 0;

	if (!arguments_done(&ctl->arguments, err))
		return false;
	bool good = sent_again && !name.p ? drop(ctl, "dead_letters_drop_sent_again", NULL, &n, err)
	                                  : parse_place(name, &place, err) && drop_one(ctl, &place, &n, err);
	if (good)
		printf("%lld dropped\n", (long long)n);
	return good;
}
