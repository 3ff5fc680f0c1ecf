#include "deploy/ctl/arguments.h"

/* Characters of a name, as the API counts them. */
#define TEXT_CHARACTERS 255

static bool is_flag(const char *option, const char *const *flags)
{
	while (*flags && strcmp(*flags, option))
		flags++;
	return *flags != NULL;
}

/* What is no text would be refused by the database only, when it is a command already; line ends would make two lines
   of one in the lists. */
static bool check_text(const char *option, int number, const char *text, struct err *err)
{
	const char *control = text;

	while (*control && (unsigned char)*control >= 0x20 && *control != 0x7f)
		control++;
	if (!*control && str_is_utf8(str_of(text)))
		return true;
	if (option)
		return err_set(err, ERR_INVALID, "--%s must be UTF-8 without control characters", option);
	return err_set(err, ERR_INVALID, "argument %d must be UTF-8 without control characters", number);
}

bool arguments_parse(struct arguments *arguments, int argc, char **argv, const char *const *flags, struct err *err)
{
	*arguments = (struct arguments){0};
	for (int i = 0; i < argc; i++) {
		if (arguments->n == ARGUMENTS_MAX)
			return err_set(err, ERR_INVALID, "more than %d arguments", ARGUMENTS_MAX);
		struct argument *item = &arguments->items[arguments->n++];
		if (!check_text(NULL, i + 1, argv[i], err))
			return false;
		if (strncmp(argv[i], "--", 2)) {
			item->value = argv[i];
			continue;
		}
		item->option = argv[i] + 2;
		if (is_flag(item->option, flags))
			continue;
		if (i + 1 == argc)
			return err_set(err, ERR_INVALID, "--%s is not known here, or needs a value", item->option);
		item->value = argv[++i];
		if (!check_text(item->option, i + 1, item->value, err))
			return false;
	}
	return true;
}

static struct argument *find(struct arguments *arguments, const char *option)
{
	for (int i = 0; i < arguments->n; i++) {
		struct argument *item = &arguments->items[i];
		if (!item->taken && item->option && option && !strcmp(item->option, option))
			return item;
		if (!item->taken && !item->option && !option)
			return item;
	}
	return NULL;
}

struct str arguments_option(struct arguments *arguments, const char *option)
{
	struct argument *item = find(arguments, option);

	if (!item)
		return STR_NONE;
	item->taken = true;
	return str_of(item->value);
}

bool arguments_flag(struct arguments *arguments, const char *option)
{
	struct argument *item = find(arguments, option);

	if (item)
		item->taken = true;
	return item != NULL;
}

struct str arguments_word(struct arguments *arguments)
{
	return arguments_option(arguments, NULL);
}

struct argument *arguments_next(struct arguments *arguments)
{
	for (int i = 0; i < arguments->n; i++)
		if (!arguments->items[i].taken)
			return &arguments->items[i];
	return NULL;
}

bool arguments_required(struct arguments *arguments, const char *option, struct str *ret_value, struct err *err)
{
	struct str value = arguments_option(arguments, option);

	if (!value.n)
		return err_set(err, ERR_INVALID, "--%s is missing", option);
	*ret_value = value;
	return true;
}

bool arguments_text(struct arguments *arguments, const char *option, struct str *ret_value, struct err *err)
{
	if (!arguments_required(arguments, option, ret_value, err))
		return false;
	return str_utf8_length(*ret_value) <= TEXT_CHARACTERS ||
	       err_set(err, ERR_INVALID, "--%s must have at most %d characters", option, TEXT_CHARACTERS);
}

bool arguments_number(struct arguments *arguments, const char *option, int64_t fallback, int64_t min, int64_t max,
        int64_t *ret_value, struct err *err)
{
	struct str text = arguments_option(arguments, option);
	uint64_t value;

	if (!text.p) {
		*ret_value = fallback;
		return true;
	}
	if (!str_to_u64(text, (uint64_t)max, &value) || (int64_t)value < min)
		return err_set(err, ERR_INVALID, "--%s must be a whole number from %lld to %lld", option,
		        (long long)min, (long long)max);
	*ret_value = (int64_t)value;
	return true;
}

bool arguments_done(const struct arguments *arguments, struct err *err)
{
	for (int i = 0; i < arguments->n; i++) {
		const struct argument *item = &arguments->items[i];
		if (!item->taken && item->option)
			return err_set(err, ERR_INVALID, "--%s is not known here, or stands twice", item->option);
		if (!item->taken)
			return err_set(err, ERR_INVALID, "\"%s\" is not understood", item->value);
	}
	return true;
}
