#include "facts/main.h"

#include <sysexits.h>

#include "config/encode.h"
#include "facts/facts.h"
#include "os/file.h"
#include "os/log.h"
#include "process/process.h"

enum {
	CONFIG_ARENA_MAX = 16 * 1024 * 1024,
	FILE_SIZE_MAX = 256 * 1024, // of resolv.conf and of trust anchors
	DESCRIPTORS_MAX = 1024,     // libunbound's sockets
	STATUS_BYTES_MAX = 4096,
};

struct facts_process {
	struct process process;
	struct facts *facts;
	struct arena arena;
	struct view config_page;
	const struct config *config;
	struct facts_way way;
};

static void on_way(void *context, struct facts_way way)
{
	struct facts_process *own = context;
	bool lesser = !way.validate && own->config->dns.dnssec != CONFIG_OFF;

	own->way = way;
	LOG(lesser ? LOG_WARNING : LOG_INFO, "dns_way",
	    LOG_TEXT("mode", way.forward ? VIEW("forward") : VIEW("recursive")),
	    LOG_TEXT("dnssec", way.validate ? VIEW("on") : VIEW("off")),
	    LOG_TEXT("status", way.proven ? VIEW("proven") : VIEW("unproven")));
}

// ---- what the supervisor says later

static void take_channels(struct facts_process *own)
{
	struct supervision *supervision = &own->process.supervision;
	uint32_t number;
	int fd;

	while ((fd = supervision_take_any(supervision, HANDLE_CLIENT, &number)) >= 0) {
		enum error error = facts_channel_add(own->facts, number, fd);

		if (error != OK) {
			LOG(LOG_ERROR, "channel_lost",
			    LOG_TEXT("reason", view_from_text(error_text(error))));
		}
	}
}

// Servers and anchors were read before the door was shut, so another configuration needs another
// process.
static enum error on_changed(void *context, struct buffer *said)
{
	struct facts_process *own = context;
	struct supervision *supervision = &own->process.supervision;
	struct view page = { 0 };

	(void)said;
	take_channels(own);
	if (supervision_is_fresh(supervision, HANDLE_CONFIG) &&
	    (supervision_map(supervision, HANDLE_CONFIG, 0, &page) != OK ||
	     !view_equal(page, own->config_page))) {
		LOG(LOG_INFO, "leaving", LOG_TEXT("reason", VIEW("the configuration changed")));
		process_leave(&own->process);
	} else {
		process_log(&own->process, own->config);
	}
	supervision_unmap(page);
	return OK;
}

static void on_stop(void *context)
{
	struct facts_process *own = context;

	process_leave(&own->process);
}

// Status is the one command for this process.
static void on_command(void *context, uint32_t id, struct view payload)
{
	struct facts_process *own = context;
	struct buffer status = buffer_with_max(STATUS_BYTES_MAX);
	struct facts_counters counters = facts_counters(own->facts);

	(void)payload;
	buffer_printf(&status,
		      "{\"dns_mode\":\"%s\",\"dnssec\":%s,\"dns_proven\":%s,\"questions\":%u,"
		      "\"answers\":%llu,\"answers_secure\":%llu,\"answers_bogus\":%llu,"
		      "\"over_limit\":%llu}",
		      !own->way.settled  ? "unsettled"
		      : own->way.forward ? "forward"
					 : "recursive",
		      own->way.validate ? "true" : "false", own->way.proven ? "true" : "false",
		      counters.in_hand, (unsigned long long)counters.questions,
		      (unsigned long long)counters.secure, (unsigned long long)counters.bogus,
		      (unsigned long long)counters.over_limit);
	process_answer(&own->process, id, buffer_view(&status), EX_OK, (struct view){ 0 });
	buffer_done(&status);
}

// ---- start

static enum error read_config(struct facts_process *own)
{
	enum error error =
		supervision_map(&own->process.supervision, HANDLE_CONFIG, 0, &own->config_page);

	if (error == OK) {
		error = config_decode(own->config_page, CONFIG_FACTS, &own->arena, &own->config);
	}
	return error;
}

static enum error open_facts(struct facts_process *own, struct buffer *servers,
			     struct buffer *anchors)
{
	const struct config_dns *dns = &own->config->dns;
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
	return error == OK ? facts_new(own->process.loop, &options, on_way, own, &own->facts)
			   : error;
}

static enum error start(void *context, struct buffer *said)
{
	static const struct os_sandbox door = {
		.rights = OS_MAY_CONNECT,
		.descriptors_max = DESCRIPTORS_MAX,
	};
	struct facts_process *own = context;
	struct buffer servers = buffer_with_max(FILE_SIZE_MAX);
	struct buffer anchors = buffer_with_max(FILE_SIZE_MAX);
	enum error error = read_config(own);

	if (error == OK) {
		process_log(&own->process, own->config);
		error = os_loop_new(&own->process.loop);
	}
	if (error == OK) {
		error = open_facts(own, &servers, &anchors);
	}
	if (error == OK) {
		error = process_shut_door(&own->process, door, said);
	}
	if (error == OK) {
		take_channels(own);
		error = process_attach(&own->process);
	}
	buffer_done(&servers);
	buffer_done(&anchors);
	return error;
}

static void done(void *context)
{
	struct facts_process *own = context;

	facts_free(own->facts);
}

int facts_main(void)
{
	static const struct process_role role = {
		.name = "facts",
		.title = "packetboat: facts",
		.user = "packetboat-dns",
		.start = start,
		.changed = on_changed,
		.stop = on_stop,
		.command = on_command,
		.done = done,
	};
	struct facts_process own = { .arena = arena_with_max(CONFIG_ARENA_MAX) };
	int status = process_run(&own.process, &role, &own);

	arena_done(&own.arena);
	return status;
}
