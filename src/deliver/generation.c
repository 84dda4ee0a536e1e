#include "deliver/generation.h"

#include <stdlib.h>

#include "config/encode.h"

struct deliver_generation *deliver_generation_ref(struct deliver_generation *generation)
{
	generation->users++;
	return generation;
}

void deliver_generation_unref(struct deliver_generation *generation)
{
	if (!generation || --generation->users) {
		return;
	}
	tls_client_unref(generation->tls);
	arena_done(&generation->arena);
	free(generation);
}

enum error deliver_generation_new(struct view config, struct view authorities,
				  struct deliver_generation **ret_generation)
{
	struct deliver_generation *generation = calloc(1, sizeof *generation);
	enum error error;

	if (!generation) {
		return ERROR_NO_MEMORY;
	}
	generation->users = 1;
	generation->arena = arena_with_max(DELIVER_CONFIG_BYTES_MAX);
	error = config_decode(config, CONFIG_DELIVER, &generation->arena, &generation->config);
	if (error == OK) {
		error = tls_client_new(authorities, &generation->tls);
	}
	if (error != OK) {
		deliver_generation_unref(generation);
		return error;
	}
	*ret_generation = generation;
	return OK;
}
