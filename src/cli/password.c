/* Reading a password: from standard input, or twice from the terminal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "auth/auth.h"
#include "cli/cli.h"

#define LINE_MAX_BYTES (AUTH_PASSWORD_MAX + 2)

/*
 * One line without its end (LF or CRLF) into dst; false at end of file, too
 * long, or with a NUL, which would quietly cut the password short.
 */
static bool read_line(FILE *f, char dst[LINE_MAX_BYTES])
{
	size_t n = 0;
	int c;

	while ((c = getc(f)) != EOF && c != '\n') {
		if (c == '\0' || n == LINE_MAX_BYTES - 1) {
			return false;
		}
		dst[n++] = (char)c;
	}
	if (c == EOF && n == 0) {
		return false;
	}
	if (n && dst[n - 1] == '\r') {
		n--;
	}
	dst[n] = '\0';
	return n <= AUTH_PASSWORD_MAX;
}

static bool ask(FILE *tty, const char *prompt, char dst[LINE_MAX_BYTES])
{
	struct termios old, quiet;
	bool ok;

	fputs(prompt, tty);
	fflush(tty);
	if (tcgetattr(fileno(tty), &old) != 0) {
		return false;
	}
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
	ok = read_line(tty, dst);
	tcsetattr(fileno(tty), TCSAFLUSH, &old);
	fputc('\n', tty);
	return ok;
}

static int ask_twice(const struct cli *c, char dst[LINE_MAX_BYTES])
{
	char again[LINE_MAX_BYTES];
	FILE *tty = fopen("/dev/tty", "r+e");
	bool ok, same;

	if (!tty) {
		return cli_fail(c, "there is no terminal to ask for a "
				   "password: use --password-stdin");
	}
	setvbuf(tty, NULL, _IONBF, 0);
	ok = ask(tty, "Password: ", dst) && ask(tty, "Again: ", again);
	same = ok && strcmp(dst, again) == 0;
	explicit_bzero(again, sizeof(again));
	fclose(tty);
	if (!ok) {
		return cli_fail(c, "no password was given");
	}
	return same ? CLI_DONE : cli_fail(c, "the two are not the same");
}

int cli_password(const struct cli *c, bool from_stdin, char **out)
{
	char line[LINE_MAX_BYTES];
	int r = CLI_DONE;

	if (!from_stdin) {
		r = ask_twice(c, line);
	} else if (!read_line(stdin, line)) {
		r = cli_fail(c,
			     "no password on standard input, or a NUL in "
			     "it, or longer than %d bytes",
			     AUTH_PASSWORD_MAX);
	}
	if (r == CLI_DONE && line[0] == '\0') {
		r = cli_fail(c, "an empty password is not possible");
	}
	if (r == CLI_DONE) {
		*out = strdup(line);
		r = *out ? CLI_DONE : cli_fail(c, "out of memory");
	}
	explicit_bzero(line, sizeof(line));
	return r;
}
