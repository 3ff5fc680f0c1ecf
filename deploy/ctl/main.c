#include "common/arena.h"
#include "common/log.h"
#include "deploy/ctl/ctl.h"

#include <sodium.h>

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const struct row {
	const char *name; /* one or two words */
	const char *arguments;
	const char *help;
	ctl_fn *run;
} rows[] = {
        {.name = "migrate", .arguments = "", .help = "make or update the tables", .run = ctl_migrate},
        {.name = "topics",
                .arguments = "[--timeout-ms N]",
                .help = "create the topics that are missing",
                .run = ctl_topics},
        {.name = "settings",
                .arguments = "",
                .help = "print every setting (CONFIGURATION.md is this)",
                .run = ctl_settings},
        {.name = "workspace create",
                .arguments = "--name NAME --slug SLUG --group N [--shard NAME]",
                .help = "prints the workspace's id",
                .run = ctl_workspace_create},
        {.name = "workspace list", .arguments = "", .help = "all workspaces", .run = ctl_workspace_list},
        {.name = "user create",
                .arguments = "--name NAME --surname NAME --email EMAIL --roles ROLE,...\n"
                             "      --all-workspaces | --workspace ID [--node ID [--permission R|RW|W]]...",
                .help = "prints the user's number",
                .run = ctl_user_create},
        {.name = "user list", .arguments = "", .help = "all users with their roles", .run = ctl_user_list},
        {.name = "user disable",
                .arguments = "--user N",
                .help = "nobody may call the API as this user any more",
                .run = ctl_user_disable},
        {.name = "user enable",
                .arguments = "--user N",
                .help = "the user's tokens are good again",
                .run = ctl_user_enable},
        {.name = "token create",
                .arguments = "--user N [--days N] [--key-file PATH]",
                .help = "prints a token that the user may call the API with; --key-file: the private key, where "
                        "CONTACTHUB_JWT_KEY_FILE is public",
                .run = ctl_token_create},
        {.name = "source create",
                .arguments = "--workspace ID --provider PROVIDER --name NAME --node ID... [--description TEXT]",
                .help = "prints the source's id and its token, which nobody can read again",
                .run = ctl_source_create},
        {.name = "dead-letters list",
                .arguments = "[--workspace ID]",
                .help = "records that could not be applied",
                .run = ctl_dead_letters_list},
        {.name = "dead-letters show",
                .arguments = "TOPIC:PARTITION:OFFSET",
                .help = "one of them with its content",
                .run = ctl_dead_letters_show},
        {.name = "dead-letters rerun",
                .arguments = "TOPIC:PARTITION:OFFSET | --all",
                .help = "send it once more as a new command",
                .run = ctl_dead_letters_rerun},
        {.name = "dead-letters drop",
                .arguments = "TOPIC:PARTITION:OFFSET | --sent-again",
                .help = "takes what needs nothing more off the list, unapplied: one of them, or all that were sent "
                        "again",
                .run = ctl_dead_letters_drop},
        {.name = "bulk-stop",
                .arguments = "WORKSPACE JOB",
                .help = "ends a bulk job: rows that are on their way are still applied, no more are read",
                .run = ctl_bulk_stop},
        {.name = "recount",
                .arguments = "[--workspace ID] [--repair]",
                .help = "compares the counters of the statistics with the entities; under writes the counters are a "
                        "moment "
                        "behind",
                .run = ctl_recount},
        {.name = "replay",
                .arguments = "[--force] [--keep-old] [--from SCHEMA] | --drop-old",
                .help = "rebuild the tables from the log, compare, swap; --from: begin with the tables of a restored "
                        "backup",
                .run = ctl_replay},
};

static const char *const flags[] = {
        "all", "all-workspaces", "drop-old", "force", "keep-old", "repair", "sent-again", NULL};

static void print_row(FILE *out, const struct row *row)
{
	fprintf(out, "  %s%s%s\n      %s\n", row->name, *row->arguments ? " " : "", row->arguments, row->help);
}

static void print_help(FILE *out)
{
	fputs("usage: contacthubctl COMMAND [ARGUMENTS]\n\nSettings come from environment variables "
	      "(CONFIGURATION.md).\n\n",
	        out);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		print_row(out, &rows[i]);
}

/* The commands whose name begins with this word; false when there are none. */
static bool print_group(FILE *out, const char *word)
{
	bool found = false;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str rest = str_of(rows[i].name), first;
		if (!str_split(&rest, ' ', &first) || !rest.p || !str_is(first, word))
			continue;
		if (!found)
			fputs("usage: one of\n", out);
		print_row(out, &rows[i]);
		found = true;
	}
	return found;
}

static bool is_help(const char *argument)
{
	return !strcmp(argument, "--help") || !strcmp(argument, "-h");
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (is_help(argv[i]))
			return true;
	return false;
}

/* Takes the words of the command's name off the front. */
static const struct row *find_row(int *argc, char ***argv)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str rest = str_of(rows[i].name), word;
		int n = 0;
		while (str_split(&rest, ' ', &word) && n < *argc && str_is(word, (*argv)[n]))
			n++;
		if (rest.p || !n || !str_is(word, (*argv)[n - 1]))
			continue;
		*argc -= n;
		*argv += n;
		return &rows[i];
	}
	return NULL;
}

/* Instead of running a command: asked for, or because there is no such command. */
static int explain(const struct row *row, int argc, char **argv)
{
	bool asked = asks_for_help(argc, argv);

	if (row) {
		print_row(stdout, row);
	} else if (!print_group(asked ? stdout : stderr, *argv)) {
		fprintf(stderr, "contacthubctl: there is no command \"%s\"; `contacthubctl --help` lists them\n",
		        *argv);
		return EXIT_USAGE;
	}
	return asked ? EXIT_DONE : EXIT_USAGE;
}

static int fail(const char *command, const struct err *err, int status)
{
	fprintf(stderr, "contacthubctl %s: %s\n", command, *err->message ? err->message : err_sentence(err->code));
	return status;
}

int main(int argc, char **argv)
{
	static struct ctl ctl;
	struct err err = {0};

	if (argc < 2 || is_help(argv[1]) || !strcmp(argv[1], "help")) {
		print_help(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_USAGE : EXIT_DONE;
	}
	argc--, argv++;
	const struct row *row = find_row(&argc, &argv);
	if (!row || asks_for_help(argc, argv))
		return explain(row, argc, argv);
	log_init("contacthubctl", LOG_ERROR);
	if (sodium_init() < 0)
		log_die("sodium", "libsodium cannot start");
	if (!arguments_parse(&ctl.arguments, argc, argv, flags, &err))
		return fail(row->name, &err, EXIT_USAGE);
	if (!settings_load(&ctl.settings))
		return EXIT_USAGE;
	ctl.arena = arena_new(ARENA_BYTES);
	if (!row->run(&ctl, &err))
		return fail(row->name, &err, err.code == ERR_INVALID ? EXIT_USAGE : EXIT_FAILED);
	return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}
