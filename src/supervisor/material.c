#include "supervisor/material.h"

#include <stdlib.h>

#include "config/encode.h"
#include "os/file.h"
#include "os/page.h"
#include "supervisor/material_private.h"

enum { CONFIG_COUNT = 4, PROBLEM_TEXT_MAX = 4096 };

static const enum config_reader readers[CONFIG_COUNT] = { CONFIG_RECEIVE, CONFIG_DELIVER,
							  CONFIG_FACTS, CONFIG_KEEPER };

enum error material_load(const char *config_path, struct buffer *said,
			 struct material **ret_material)
{
	struct material *material = calloc(1, sizeof *material);
	enum error error;

	if (!material) {
		return ERROR_NO_MEMORY;
	}
	material->log = material->syslog = -1;
	for (int i = 0; i < CONFIG_COUNT; i++) {
		material->configs[i] = -1;
	}
	material->arena = arena_with_max(MATERIAL_CONFIG_BYTES_MAX);
	error = config_load(config_files_of_disk(), config_path, &material->arena,
			    &material->loaded);
	for (size_t i = 0; error == OK && i < material->loaded.problems.count; i++) {
		config_problem_add_text(said, &material->loaded.problems.items[i]);
		buffer_add_byte(said, '\n');
	}
	material->config = material->loaded.config;
	if (error == OK && !material->config) {
		error = ERROR_INVALID;
	}
	if (error != OK) {
		material_free(material);
		return error;
	}
	*ret_material = material;
	return OK;
}

static enum error seal_configs(struct material *material)
{
	struct config config = *material->config;

	config.threads = material->threads;
	for (int i = 0; i < CONFIG_COUNT; i++) {
		struct buffer bytes = buffer_with_max(CONFIG_ENCODED_MAX);
		enum error error;

		config_encode(&config, readers[i], &bytes);
		error = buffer_error(&bytes);
		if (error == OK) {
			error = os_page_sealed("config", buffer_view(&bytes),
					       &material->configs[i]);
		}
		buffer_done(&bytes);
		if (error != OK) {
			return error;
		}
	}
	return OK;
}

static enum error open_log(struct material *material, struct buffer *said)
{
	struct view to = material->config->log.to;
	enum error error;

	if (view_equal(to, VIEW("stderr"))) {
		return OK;
	}
	if (view_equal(to, VIEW("syslog"))) {
		error = log_open_syslog(&material->syslog);
	} else {
		error = os_file_open_path(to.data, OS_WRITE | OS_APPEND | OS_CREATE, 0640,
					  &material->log);
	}
	if (error != OK) {
		buffer_printf(said, "cannot open the log %.*s: %s\n", VIEW_ARG(to),
			      error_text(error));
	}
	return error;
}

enum error material_prepare(struct material *material, const struct material *old,
			    const struct material_dirs *dirs, struct buffer *said)
{
	enum error error = open_log(material, said);

	material->threads = old ? old->threads : (unsigned)material->config->threads;
	if (error == OK) {
		error = certificates_load(material, dirs->tls, said);
	}
	if (error == OK) {
		error = sockets_open(material, old, said);
	}
	if (error == OK) {
		error = seal_configs(material);
	}
	return error;
}

struct log_settings material_log_settings(const struct material *material)
{
	const struct config_log *log = &material->config->log;
	bool to_stderr = material->log < 0 && material->syslog < 0;

	return (struct log_settings){
		.json = log->format == CONFIG_LOG_JSON,
		.level = (enum log_level)log->level,
		.fd = to_stderr ? 2 : material->log,
		.syslog_fd = material->syslog,
	};
}

void material_free(struct material *material)
{
	if (!material) {
		return;
	}
	sockets_close(material);
	certificates_close(material);
	for (int i = 0; i < CONFIG_COUNT; i++) {
		os_page_close(material->configs[i]);
	}
	os_file_close(material->log);
	os_socket_close(material->syslog);
	arena_done(&material->arena);
	free(material);
}
