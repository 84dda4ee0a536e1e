#include "cli/trace_log.h"

#include <jansson.h>

#include "link/control.h"
#include "os/file.h"

enum { CHUNK_BYTES = 256 * 1024, NEEDLE_MAX = 64 };

struct scan {
	struct view needle; // what a line about this id holds
	bool json;
	struct buffer *out;
	unsigned steps;
};

// As JSON a line is a step already.
static bool add_json_line(struct buffer *out, struct view line)
{
	json_error_t fault;
	json_t *step = json_loadb(line.data, line.len, 0, &fault);
	bool good = json_is_object(step);

	if (good) {
		buffer_add(out, line);
	}
	json_decref(step);
	return good;
}

// "TIME LEVEL PROCESS EVENT name=value..." (os/log.h)
static bool add_text_line(struct buffer *out, struct view line)
{
	static const char *const names[] = { "time", "level", "process", "event" };
	struct view word;

	buffer_add_byte(out, '{');
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!view_next_word(&line, &word)) {
			return false;
		}
		buffer_printf(out, "\"%s\":", names[i]);
		control_add_json_text(out, word);
		buffer_add_byte(out, ',');
	}
	buffer_add_text(out, "\"fields\":");
	control_add_json_text(out, view_trim(line));
	buffer_add_byte(out, '}');
	return true;
}

static void take_line(struct scan *scan, struct view line)
{
	size_t before = scan->out->len;
	bool good;

	if (scan->steps == TRACE_LOG_STEPS_MAX || view_find_text(line, scan->needle) == line.len) {
		return;
	}
	buffer_add_text(scan->out, scan->steps ? "," : "");
	good = scan->json ? add_json_line(scan->out, line) : add_text_line(scan->out, line);
	if (good) {
		scan->steps++;
	} else {
		scan->out->len = before;
	}
}

// Takes all whole lines off the chunk; what is left of it is the beginning of the next one.
static void take_lines(struct scan *scan, struct buffer *chunk)
{
	struct view rest = buffer_view(chunk);
	size_t end;

	while ((end = view_find(rest, '\n')) < rest.len) {
		take_line(scan, view_first(rest, end));
		rest = view_from(rest, end + 1);
	}
	if (rest.len > CHUNK_BYTES) {
		rest.len = 0; // no line of ours is so long
	}
	buffer_consume(chunk, chunk->len - rest.len);
}

static enum error scan_file(struct scan *scan, int file)
{
	struct buffer chunk = buffer_with_max(2 * CHUNK_BYTES + 1);
	uint64_t offset = 0;
	size_t got = 0;
	enum error error;

	do {
		char *room = buffer_reserve(&chunk, CHUNK_BYTES);

		error = room ? os_file_read_some(file, offset, room, CHUNK_BYTES, &got)
			     : buffer_error(&chunk);
		if (error == OK) {
			offset += got;
			chunk.len += got;
			take_lines(scan, &chunk);
			error = buffer_error(scan->out);
		}
	} while (error == OK && got > 0);
	buffer_done(&chunk);
	return error;
}

enum error trace_log_read(const char *path, bool json, struct view id, struct buffer *out)
{
	struct buffer needle = buffer_with_max(NEEDLE_MAX);
	struct scan scan = { .json = json, .out = out };
	int file;
	enum error error = os_file_open_path(path, OS_READ, 0, &file);

	if (error != OK) {
		return error;
	}
	buffer_printf(&needle, json ? "\"id\":\"%.*s\"" : " id=%.*s", VIEW_ARG(id));
	scan.needle = buffer_view(&needle);
	buffer_add_byte(out, '[');
	error = scan_file(&scan, file);
	buffer_add_byte(out, ']');
	buffer_done(&needle);
	os_file_close(file);
	return error == OK && scan.steps == 0 ? ERROR_NOT_FOUND : error;
}
