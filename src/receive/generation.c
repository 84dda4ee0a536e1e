#include "receive/generation.h"

#include <stdlib.h>
#include <string.h>

#include "config/encode.h"
#include "receive/session.h"

struct receive_generation *receive_generation_ref(struct receive_generation *generation)
{
	atomic_fetch_add(&generation->users, 1);
	return generation;
}

void receive_generation_unref(struct receive_generation *generation)
{
	if (!generation || atomic_fetch_sub(&generation->users, 1) != 1) {
		return;
	}
	for (size_t i = 0; i < generation->listener_count; i++) {
		tls_server_unref(generation->listeners[i].tls);
	}
	arena_done(&generation->arena);
	free(generation);
}

static uint32_t clamp_u32(uint64_t number)
{
	return number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

static struct smtp_server_settings settings_of(const struct config *config,
					       const struct config_listener *listener, bool has_tls)
{
	const struct config_limits *limits = &config->limits;
	struct view hostname = listener->hostname.len ? listener->hostname : config->hostname;
	struct smtp_server_settings settings = smtp_server_settings_default(hostname);

	settings.role = listener->role == ROLE_SUBMISSION ? SMTP_ROLE_SUBMISSION : SMTP_ROLE_RELAY;
	settings.tls = listener->tls == CONFIG_TLS_IMPLICIT ? SMTP_TLS_IMPLICIT
		       : has_tls                            ? SMTP_TLS_STARTTLS
							    : SMTP_TLS_OFF;
	settings.refused = conversation_command_refused;
	settings.size_bytes_max = limits->message_size_bytes;
	settings.recipients_max = clamp_u32(limits->recipients);
	settings.errors_max = clamp_u32(limits->errors);
	settings.commands_max = clamp_u32(limits->commands);
	settings.line_bytes_max = clamp_u32(limits->command_line_bytes);
	settings.output_bytes_max = clamp_u32(limits->unread_output_bytes);
	settings.idle_ms = clamp_u32(limits->idle_time_ms);
	settings.command_ms = clamp_u32(limits->command_time_ms);
	settings.session_ms = clamp_u32(limits->session_time_ms);
	settings.pace = (struct smtp_pace_limits){
		.grace_ms = clamp_u32(limits->data_grace_ms),
		.rate_bytes_per_second_min = clamp_u32(limits->data_rate_bytes),
		.stall_ms = clamp_u32(limits->data_stall_ms),
		.total_ms = clamp_u32(limits->data_time_ms),
	};
	return settings;
}

// The certificate that the listener names comes first, so that it serves those who name no name.
static enum error listener_tls(const struct receive_generation *generation,
			       const struct config_listener *listener,
			       const struct receive_material *material, struct buffer *problem,
			       struct tls_server **ret_tls)
{
	struct tls_identity identities[RECEIVE_CERTIFICATES_MAX];
	struct tls_server_options options = { .identities = identities };
	const struct config_tls *tls = &generation->config->tls;

	if (material->identity_count > RECEIVE_CERTIFICATES_MAX) {
		return ERROR_LIMIT;
	}
	for (size_t i = 0; i < material->identity_count; i++) {
		size_t place = options.identity_count++;

		identities[place] = material->identities[i];
		if (i < tls->certificates.count && listener->certificate.len &&
		    view_equal(tls->certificates.items[i].certificate, listener->certificate)) {
			struct tls_identity first = identities[place];

			identities[place] = identities[0];
			identities[0] = first;
		}
	}
	options.role = listener->role == ROLE_SUBMISSION ? VIEW("submission") : VIEW("relay");
	memcpy(options.ticket_secret, material->ticket_secret, sizeof options.ticket_secret);
	return tls_server_new(&options, problem, ret_tls);
}

static enum error set_up_listeners(struct receive_generation *generation,
				   const struct receive_material *material, struct buffer *problem)
{
	const struct config *config = generation->config;

	generation->listeners = arena_alloc_array(&generation->arena, config->listeners.count,
						  sizeof *generation->listeners);
	if (!generation->listeners) {
		return ERROR_NO_MEMORY;
	}
	generation->listener_count = config->listeners.count;
	for (size_t i = 0; i < config->listeners.count; i++) {
		struct receive_listener *listener = &generation->listeners[i];

		listener->config = &config->listeners.items[i];
		if (material->identity_count) {
			enum error error = listener_tls(generation, listener->config, material,
							problem, &listener->tls);

			if (error != OK) {
				return error;
			}
		}
		listener->settings = settings_of(config, listener->config, listener->tls);
	}
	return OK;
}

enum error receive_generation_new(const struct receive_material *material, struct buffer *problem,
				  struct receive_generation **ret_generation)
{
	struct receive_generation *generation = calloc(1, sizeof *generation);
	enum error error;

	if (!generation) {
		return ERROR_NO_MEMORY;
	}
	generation->users = 1;
	generation->arena = arena_with_max(RECEIVE_CONFIG_BYTES_MAX);
	error = config_decode(material->config, CONFIG_RECEIVE, &generation->arena,
			      &generation->config);
	if (error == OK) {
		error = set_up_listeners(generation, material, problem);
	}
	if (error != OK) {
		receive_generation_unref(generation);
		return error;
	}
	*ret_generation = generation;
	return OK;
}
