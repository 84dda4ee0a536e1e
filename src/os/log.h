// The log: one event per line, text or JSON, to standard error, syslog or a file. Only processes
// log, from any thread; the floors below return what there is to say. Values are escaped here,
// always (attack A24).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/view.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

enum log_kind { LOG_FIELD_TEXT, LOG_FIELD_NUMBER };

struct log_field {
	const char *name; // lower-case words with "_"; id, from, to, relay, dsn, delay, status,
			  // reason mean what DESIGN says
	enum log_kind kind;
	struct view text;
	uint64_t number;
};

#define LOG_TEXT(name_, view_) ((struct log_field){ .name = (name_), .text = (view_) })
#define LOG_NUMBER(name_, value_) \
	((struct log_field){ .name = (name_), .kind = LOG_FIELD_NUMBER, .number = (value_) })

struct log_settings {
	bool json;
	enum log_level level;
	int fd;        // where lines go: 2, an opened file; -1: syslog (a connected socket, below)
	int syslog_fd; // a datagram socket to /dev/log handed over by the supervisor; -1 where none
};

// Again after a reload: once it has returned, no thread uses the earlier descriptors.
void log_setup(const char *process, struct log_settings settings);
// The local syslog daemon's socket, for syslog_fd. ERROR_NOT_FOUND, ERROR_REFUSED: there is none.
enum error log_open_syslog(int *ret_fd) must_check;
// event is a fixed word such as "delivered" or "connect": it says what the line is about.
void log_event(enum log_level level, const char *event, const struct log_field *fields,
	       unsigned count);
#define LOG(level, event, ...) \
	log_event((level), (event), (const struct log_field[]){ __VA_ARGS__ }, \
		  sizeof((const struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field))
// The line itself with its line feed, without writing it; for tests and for `trace`. As text:
//     2026-11-21T20:13:31.123Z info deliver delivered id=06f... relay="mx.example.org 192.0.2.1"
// time, level, process, event, then the fields, quoted where they hold a blank, a quote or "=" or
// nothing. As JSON: one object with time, level, process, event and the fields. In both, a
// backslash in a value is doubled, what is unsafe is \xNN, and a value ends after 1 KiB with "...".
struct buffer;
void log_format(struct buffer *out, bool json, uint64_t wall_ms, const char *process,
		enum log_level level, const char *event, const struct log_field *fields,
		unsigned count);
