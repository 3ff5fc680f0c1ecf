#ifndef DEPLOY_CTL_ARGUMENTS_H
#define DEPLOY_CTL_ARGUMENTS_H

#include "common/err.h"

/*
 * Arguments of a command: words and options ("--name value", or "--name" alone for the flags). Each one is taken once;
 * what nobody took is a mistake of the caller.
 */
#define ARGUMENTS_MAX 256

struct argument {
	const char *option; /* without the dashes; NULL for a word */
	const char *value;  /* NULL for a flag */
	bool taken;
};

struct arguments {
	struct argument items[ARGUMENTS_MAX];
	int n;
};

/* `flags` are the options that take no value; the list ends with NULL. False when an argument is no text. */
bool arguments_parse(
        struct arguments *arguments, int argc, char **argv, const char *const *flags, struct err *err) must_check;

/* Value of an option, absent when it was not given; the first one that was not taken yet. */
struct str arguments_option(struct arguments *arguments, const char *option);
bool arguments_flag(struct arguments *arguments, const char *option);
/* The next word; absent when there is none. */
struct str arguments_word(struct arguments *arguments);
/* The first item that was not taken, in order; NULL when there is none. The caller sets taken. */
struct argument *arguments_next(struct arguments *arguments);

/* An option that must be there; false with a sentence. */
bool arguments_required(
        struct arguments *arguments, const char *option, struct str *ret_value, struct err *err) must_check;
/* The same for a name, whose length is bounded like in the API. */
bool arguments_text(struct arguments *arguments, const char *option, struct str *ret_value, struct err *err) must_check;
/* Whole number between min and max; fallback when the option was not given. */
bool arguments_number(struct arguments *arguments, const char *option, int64_t fallback, int64_t min, int64_t max,
        int64_t *ret_value, struct err *err) must_check;

/* False when something was not understood. */
bool arguments_done(const struct arguments *arguments, struct err *err) must_check;

#endif
