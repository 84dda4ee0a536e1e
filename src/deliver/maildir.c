#include "deliver/maildir.h"

#include <string.h>

#include "os/file.h"

enum { FEED_BYTES = 64 * 1024 };

struct maildir {
	int tmp, new;
};

// ---- names

static bool stays(char c)
{
	return (c >= 'a' && c <= 'z') || ascii_is_digit(c) || (unsigned char)c >= 0x80 ||
	       c == '-' || c == '_' || c == '+' || c == '=' || c == '.';
}

enum error maildir_name(struct view text, char ret_name[MAILDIR_NAME_MAX + 1])
{
	static const char digits[] = "0123456789ABCDEF";
	char name[MAILDIR_NAME_MAX + 1];
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (len + 3 > MAILDIR_NAME_MAX) {
			return ERROR_INVALID;
		}
		if (stays((char)c) && !(c == '.' && i == 0)) {
			name[len++] = (char)c;
		} else {
			name[len++] = '%';
			name[len++] = digits[c >> 4];
			name[len++] = digits[c & 15];
		}
	}
	if (len == 0) {
		return ERROR_INVALID;
	}
	name[len] = '\0';
	memcpy(ret_name, name, len + 1);
	return OK;
}

// ---- folders

// With makes: makes it where it is absent, and its name is durable in any case, since whoever made
// it may have ended before he could sync that.
static enum error enter(int parent, const char *name, bool makes, int *ret_dir)
{
	enum error error = makes ? os_dir_make_at(parent, name, MAILDIR_MODE_DIR) : OK;

	if (makes && (error == OK || error == ERROR_EXISTS)) {
		error = os_dir_sync(parent);
	}
	return error == OK ? os_dir_open_at(parent, name, ret_dir) : error;
}

static enum error enter_mailbox(int mail_dir, const struct address *mailbox, bool makes,
				int *ret_dir)
{
	char domain[MAILDIR_NAME_MAX + 1], user[MAILDIR_NAME_MAX + 1];
	int domain_dir = -1, user_dir = -1;
	enum error error = maildir_name(mailbox->domain, domain);

	if (error == OK) {
		error = maildir_name(mailbox->local, user);
	}
	if (error == OK) {
		error = enter(mail_dir, domain, makes, &domain_dir);
	}
	if (error == OK) {
		error = enter(domain_dir, user, makes, &user_dir);
	}
	if (error == OK) {
		error = enter(user_dir, "Maildir", makes, ret_dir);
	}
	os_dir_close(user_dir);
	os_dir_close(domain_dir);
	return error;
}

static enum error enter_maildir(int mail_dir, const struct address *mailbox, bool makes,
				struct maildir *ret)
{
	struct maildir maildir = { -1, -1 };
	int top = -1, cur = -1;
	enum error error = enter_mailbox(mail_dir, mailbox, makes, &top);

	if (error == OK) {
		error = enter(top, "tmp", makes, &maildir.tmp);
	}
	if (error == OK) {
		error = enter(top, "new", makes, &maildir.new);
	}
	if (error == OK) {
		error = enter(top, "cur", makes, &cur);
	}
	os_dir_close(cur);
	os_dir_close(top);
	if (error != OK) {
		os_dir_close(maildir.tmp);
		os_dir_close(maildir.new);
		return error;
	}
	*ret = maildir;
	return OK;
}

// "cur" is made last, when all before it is durable: where it is, nothing is left to sync.
static enum error open_maildir(int mail_dir, const struct address *mailbox, struct maildir *ret)
{
	enum error error = enter_maildir(mail_dir, mailbox, false, ret);

	return error == ERROR_NOT_FOUND ? enter_maildir(mail_dir, mailbox, true, ret) : error;
}

// ---- the file

static enum error write_out(int file, uint64_t *offset, struct buffer *out)
{
	enum error error = buffer_error(out);

	if (error == OK && out->len) {
		error = os_file_write_at(file, *offset, buffer_view(out));
		*offset += out->len;
		buffer_clear(out);
	}
	return error;
}

static enum error write_chunk(int file, uint64_t *offset, struct outgoing *outgoing,
			      struct view chunk, struct buffer *out)
{
	enum error error = OK;

	while (chunk.len && error == OK) {
		outgoing_feed(outgoing, view_first(chunk, FEED_BYTES), out);
		chunk = view_from(chunk, FEED_BYTES);
		error = write_out(file, offset, out);
	}
	return error;
}

static enum error write_message(int file, const struct maildir_message *message)
{
	struct buffer out =
		buffer_with_max(2 * FEED_BYTES + 2 * OUTGOING_SLACK + message->edits.front.len * 2);
	struct outgoing outgoing;
	struct view chunk;
	uint64_t offset = 0;
	enum error error;

	outgoing_start(&outgoing, OUTGOING_MAILDIR, &message->edits, &out);
	error = write_out(file, &offset, &out);
	while (error == OK) {
		error = message->chunk(message->context, &chunk);
		if (error == OK && chunk.len == 0) {
			break;
		}
		if (error == OK) {
			error = write_chunk(file, &offset, &outgoing, chunk, &out);
		}
	}
	if (error == OK) {
		outgoing_finish(&outgoing, &out);
		error = write_out(file, &offset, &out);
	}
	buffer_done(&out);
	return error == OK ? os_file_sync_data(file) : error;
}

static bool is_there(int dir, const char *name)
{
	struct os_file_info info;

	return os_file_info_at(dir, name, &info) == OK;
}

static enum error file_in(const struct maildir *maildir, const struct maildir_message *message,
			  const char *name)
{
	int file;
	enum error error;

	if (is_there(maildir->new, name)) {
		error = os_dir_sync(maildir->new); // the attempt that filed it may not have
		return error == OK ? ERROR_EXISTS : error;
	}
	// What an attempt before a crash left under this name is written anew.
	error = os_file_open_at(maildir->tmp, name, OS_WRITE | OS_CREATE | OS_TRUNCATE,
				MAILDIR_MODE_FILE, &file);
	if (error != OK) {
		return error;
	}
	error = write_message(file, message);
	os_file_close(file);
	if (error == OK) {
		error = os_file_rename_at(maildir->tmp, name, maildir->new, name);
	}
	if (error != OK) {
		(void)!os_file_remove_at(maildir->tmp, name);
		return error;
	}
	return os_dir_sync(maildir->new);
}

enum error maildir_file(int mail_dir, const struct maildir_message *message)
{
	struct maildir maildir;
	char name[MAILDIR_NAME_MAX + 1];
	enum error error = maildir_name(message->unique, name);

	if (error == OK) {
		error = open_maildir(mail_dir, message->mailbox, &maildir);
	}
	if (error != OK) {
		return error;
	}
	error = file_in(&maildir, message, name);
	os_dir_close(maildir.tmp);
	os_dir_close(maildir.new);
	return error;
}
