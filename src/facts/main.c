#include "facts/main.h"

#include <sysexits.h>

#include "config/encode.h"
#include "facts/facts.h"
#include "link/control.h"
#include "link/supervision.h"
#include "os/file.h"
#include "os/log.h"
#include "os/page.h"
#include "os/sandbox.h"

enum {
	CONFIG_ARENA_MAX = 16 * 1024 * 1024,
	FILE_SIZE_MAX = 256 * 1024, // of resolv.conf and of trust anchors
	DESCRIPTORS_MAX = 1024,     // libunbound's sockets
	STATUS_BYTES_MAX = 4096,
};

struct process {
	struct supervision supervision;
	struct os_loop *loop;
	struct facts *facts;
	struct arena arena;
	struct view config_page;
	const struct config *config;
	struct facts_way way;
};

static void set_up_log(struct process *process)
{
	struct log_settings settings = {
		.json = process->config->log.format == CONFIG_LOG_JSON,
		.level = (enum log_level)process->config->log.level,
		.fd = supervision_get(&process->supervision, HANDLE_LOG, 0),
		.syslog_fd = supervision_get(&process->supervision, HANDLE_SYSLOG, 0),
	};

	if (settings.fd < 0 && settings.syslog_fd < 0) {
		settings.fd = 2;
	}
	log_setup("facts", settings);
}

static void on_way(void *context, struct facts_way way)
{
	struct process *process = context;
	bool lesser = !way.validate && process->config->dns.dnssec != CONFIG_OFF;

	process->way = way;
	LOG(lesser ? LOG_WARNING : LOG_INFO, "dns_way",
	    LOG_TEXT("mode", way.forward ? VIEW("forward") : VIEW("recursive")),
	    LOG_TEXT("dnssec", way.validate ? VIEW("on") : VIEW("off")),
	    LOG_TEXT("status", way.proven ? VIEW("proven") : VIEW("unproven")));
}

// ---- what the supervisor says later

static void take_channels(struct process *process)
{
	struct handle *handle;
	unsigned position = 0;

	while ((handle = supervision_next(&process->supervision, HANDLE_CLIENT, &position))) {
		unsigned number = handle->number;
		int fd = supervision_take(&process->supervision, HANDLE_CLIENT, number);
		enum error error = facts_channel_add(process->facts, number, fd);

		if (error != OK) {
			LOG(LOG_ERROR, "channel_lost",
			    LOG_TEXT("reason", view_from_text(error_text(error))));
		}
		position = 0;
	}
}

// Servers and anchors were read before the door was shut, so another configuration needs another
// process.
static void on_changed(void *context)
{
	struct process *process = context;
	struct view page;

	take_channels(process);
	if (!supervision_is_fresh(&process->supervision, HANDLE_CONFIG)) {
		set_up_log(process);
		return;
	}
	if (supervision_map(&process->supervision, HANDLE_CONFIG, 0, &page) != OK ||
	    !view_equal(page, process->config_page)) {
		LOG(LOG_INFO, "leaving", LOG_TEXT("reason", VIEW("the configuration changed")));
		os_loop_stop(process->loop);
	} else {
		os_page_unmap((void *)(uintptr_t)page.data, page.len);
		set_up_log(process);
	}
}

static void leave(void *context)
{
	struct process *process = context;

	os_loop_stop(process->loop);
}

static void send_part(struct process *process, uint32_t id, const struct control_part *part)
{
	struct buffer bytes = buffer_with_max(CONTROL_PART_BYTES_MAX);
	enum error error;

	control_part_encode(&bytes, part);
	error = supervision_send(&process->supervision, SUPERVISION_RESULT, id,
				 buffer_view(&bytes));
	if (error != OK) {
		LOG(LOG_WARNING, "answer_lost",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
	buffer_done(&bytes);
}

// Status is the one command for this process.
static void on_command(void *context, uint32_t id, struct view payload)
{
	struct process *process = context;
	struct buffer status = buffer_with_max(STATUS_BYTES_MAX);

	(void)payload;
	buffer_printf(&status,
		      "{\"dns_mode\":\"%s\",\"dnssec\":%s,\"dns_proven\":%s,\"questions\":%u}",
		      !process->way.settled  ? "unsettled"
		      : process->way.forward ? "forward"
					     : "recursive",
		      process->way.validate ? "true" : "false",
		      process->way.proven ? "true" : "false", facts_in_hand(process->facts));
	send_part(process, id, &(struct control_part){ .text = buffer_view(&status) });
	send_part(process, id, &(struct control_part){ .end = true });
	buffer_done(&status);
}

static const struct supervision_calls CALLS = {
	.changed = on_changed,
	.stop = leave,
	.command = on_command,
	.closed = leave,
};

// ---- start

static enum error read_config(struct process *process)
{
	enum error error =
		supervision_map(&process->supervision, HANDLE_CONFIG, 0, &process->config_page);

	if (error == OK) {
		error = config_decode(process->config_page, CONFIG_FACTS, &process->arena,
				      &process->config);
	}
	return error;
}

static enum error open_facts(struct process *process, struct buffer *servers,
			     struct buffer *anchors)
{
	const struct config_dns *dns = &process->config->dns;
	struct facts_options options = { .dns = dns };
	enum error error = OK;

	// A machine without the file has no servers of its own.
	if (os_file_read_whole("/etc/resolv.conf", servers) == OK) {
		options.system_servers = buffer_view(servers);
	}
	if (dns->trust_anchors.len > 0) {
		error = os_file_read_whole(dns->trust_anchors.data, anchors);
		options.trust_anchors = buffer_view(anchors);
	}
	return error == OK ? facts_new(process->loop, &options, on_way, process, &process->facts)
			   : error;
}

static enum error shut_door(struct buffer *warnings)
{
	struct os_user user;
	struct os_sandbox sandbox = {
		.process = "facts",
		.rights = OS_MAY_CONNECT,
		.descriptors_max = DESCRIPTORS_MAX,
	};

	if (os_process_is_root()) {
		enum error error = os_user_find("packetboat-dns", &user);

		if (error != OK) {
			buffer_add_text(warnings, "the user packetboat-dns");
			return error;
		}
		sandbox.user = &user;
	}
	return os_sandbox_enter(&sandbox, warnings);
}

static enum error start(struct process *process, struct buffer *said)
{
	struct buffer servers = buffer_with_max(FILE_SIZE_MAX);
	struct buffer anchors = buffer_with_max(FILE_SIZE_MAX);
	enum error error = read_config(process);

	if (error == OK) {
		set_up_log(process);
		error = os_loop_new(&process->loop);
	}
	if (error == OK) {
		error = open_facts(process, &servers, &anchors);
	}
	if (error == OK) {
		error = shut_door(said);
	}
	if (error == OK) {
		take_channels(process);
		error = supervision_attach(&process->supervision, process->loop, &CALLS, process);
	}
	buffer_done(&servers);
	buffer_done(&anchors);
	return error;
}

int facts_main(void)
{
	struct process process = { .arena = arena_with_max(CONFIG_ARENA_MAX) };
	struct buffer said = buffer_with_max(STATUS_BYTES_MAX);
	int status = EX_OK;
	enum error error;

	os_process_name("packetboat: facts");
	error = supervision_receive_first(&process.supervision);
	if (error == OK) {
		error = start(&process, &said);
	}
	if (error != OK) {
		buffer_printf(&said, "%s%s", said.len ? ": " : "", error_text(error));
		supervision_fail(&process.supervision, buffer_view(&said));
		status = EX_CONFIG;
	} else if (supervision_send(&process.supervision, SUPERVISION_READY, 0,
				    buffer_view(&said)) == OK) {
		os_loop_run(process.loop);
	}
	buffer_done(&said);
	facts_free(process.facts);
	supervision_done(&process.supervision);
	os_loop_free(process.loop);
	arena_done(&process.arena);
	return status;
}
