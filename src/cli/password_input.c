#include "cli/password_input.h"

#include <stdio.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "cli/screen.h"
#include "link/password.h"

// Byte by byte and unbuffered, so that no copy of it stays behind in the C library. interrupt: the
// byte that takes it all back; -1: none does.
static int read_line(struct buffer *out, int interrupt)
{
	unsigned char byte = 0;
	ssize_t got;

	while ((got = read(STDIN_FILENO, &byte, 1)) == 1 && byte != '\n') {
		if (byte == interrupt) {
			screen_say("\npacketboat: interrupted; nothing was changed\n");
			return EX_NOINPUT;
		}
		buffer_add_byte(out, (char)byte);
	}
	if (got < 0) {
		screen_say("packetboat: cannot read the password\n");
		return EX_NOINPUT;
	}
	if (buffer_error(out) != OK) {
		screen_say("packetboat: the password is too long, more than %d bytes\n",
			   PASSWORD_MAX);
		return EX_DATAERR;
	}
	if (out->len == 0) {
		screen_say("packetboat: no password was given\n");
		return EX_NOINPUT;
	}
	return EX_OK;
}

static int ask(const char *question, struct view address, struct buffer *out, int interrupt)
{
	struct buffer shown = buffer_with_max(SCREEN_BYTES_MAX);
	int status;

	screen_add_safe(&shown, address);
	screen_say("%s %s: ", question, buffer_text(&shown));
	status = read_line(out, interrupt);
	if (status == EX_OK) {
		screen_say("\n");
	}
	buffer_done(&shown);
	return status;
}

static int ask_twice(struct view address, struct buffer *out, int interrupt)
{
	struct buffer again = buffer_with_max(out->max);
	int status = ask("Password for", address, out, interrupt);

	if (status == EX_OK) {
		status = ask("The same again for", address, &again, interrupt);
	}
	if (status == EX_OK && !view_equal(buffer_view(out), buffer_view(&again))) {
		screen_say("packetboat: the two are not the same; nothing was changed\n");
		status = EX_DATAERR;
	}
	password_wipe(again.data, again.len);
	buffer_done(&again);
	return status;
}

int password_input(struct view address, struct buffer *ret_password)
{
	struct termios shown, hidden;
	int status;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &shown) < 0) {
		return read_line(ret_password, -1);
	}
	hidden = shown;
	// An interrupt must not leave a terminal that shows nothing: it ends the line instead.
	hidden.c_lflag &= (tcflag_t) ~(ECHO | ISIG);
	hidden.c_cc[VEOL] = hidden.c_cc[VINTR];
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	status = ask_twice(address, ret_password, shown.c_cc[VINTR]);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	return status;
}
