#include "config/derive.h"
#include "config/load_private.h"
#include "os/process.h"

static void set_text(struct load *load, struct view *text, struct view value)
{
	if (!value.data) {
		load->problems->no_memory = true;
	} else if (!text->len) {
		*text = value;
	}
}

static bool was_set(const struct load *load, const char *key)
{
	return load_place(load, "%s", key).line != 0;
}

static void *new_items(struct load *load, size_t count, size_t size)
{
	void *items = arena_alloc_array(load->arena, count, size);

	load->problems->no_memory |= !items;
	return items;
}

// ROLE-PORT, and a number behind it where several have the same.
static void derive_listener_name(struct load *load, size_t index)
{
	struct config_listener *listeners = load->config->listeners.items;
	struct config_listener *listener = &listeners[index];
	const char *role = listener->role == ROLE_RELAY ? "relay" : "submission";
	unsigned port = (unsigned)listener->port, same = 1;

	for (size_t i = 0; i < index; i++) {
		same += listeners[i].port == listener->port && listeners[i].role == listener->role;
	}
	set_text(load, &listener->name,
		 same > 1 ? arena_printf(load->arena, "%s-%u-%u", role, port, same)
			  : arena_printf(load->arena, "%s-%u", role, port));
}

static void derive_listeners(struct load *load)
{
	static const struct config_listener usual[] = {
		{ .port = 25, .role = ROLE_RELAY },
		{ .port = 465, .role = ROLE_SUBMISSION, .tls = CONFIG_TLS_IMPLICIT },
		{ .port = 587, .role = ROLE_SUBMISSION },
		{ .port = 2525, .role = ROLE_SUBMISSION },
	};
	struct config *config = load->config;

	if (!was_set(load, "listeners")) {
		config->listeners.items = new_items(load, 4, sizeof *usual);
		for (size_t i = 0; i < 4 && config->listeners.items; i++) {
			config->listeners.items[config->listeners.count++] = usual[i];
		}
	}
	for (size_t i = 0; i < config->listeners.count; i++) {
		struct config_listener *listener = &config->listeners.items[i];

		if (listener->tls == CONFIG_TLS_BY_PORT) {
			listener->tls = port_is_implicit_tls((uint16_t)listener->port)
						? CONFIG_TLS_IMPLICIT
						: CONFIG_TLS_STARTTLS;
		}
		set_text(load, &listener->hostname, config->hostname);
		derive_listener_name(load, i);
	}
}

// The hostname is always a domain of ours, so that its postmaster can be reached.
static void derive_domains(struct load *load)
{
	struct config *config = load->config;
	size_t count = config->domains.count;
	struct config_domain *items;

	for (size_t i = 0; i < count; i++) {
		if (view_equal(config->domains.items[i].name, config->hostname)) {
			return;
		}
	}
	items = new_items(load, count + 1, sizeof *items);
	if (items) {
		for (size_t i = 0; i < count; i++) {
			items[i] = config->domains.items[i];
		}
		items[count].name = config->hostname;
		config->domains.items = items;
		config->domains.count = count + 1;
	}
}

static void read_password(struct load *load, struct smarthost *smarthost, size_t index)
{
	struct place place = load_place(load, "routes[%zu].via.password_file", index);
	struct view text, line;
	const char *fault;

	if (!tree_read_file(load->tree, smarthost->password_file, place, &text)) {
		return;
	}
	line = view_first(text, view_find(text, '\n'));
	if (line.len && line.data[line.len - 1] == '\r') {
		line.len--;
	}
	fault = form_check(FORM_SECRET, load->arena, line, &smarthost->password);
	if (fault) {
		problem_add(load->problems, place, "the first line of %.*s is no password: %s",
			    SHOWN(load->problems, smarthost->password_file), fault);
	}
}

static void derive_dirs(struct load *load)
{
	struct config *config = load->config;
	struct view *dir = &config->data_dir;

	while (dir->len > 1 && dir->data[dir->len - 1] == '/') {
		*dir = arena_copy(load->arena, view_first(*dir, dir->len - 1));
	}
	set_text(load, &config->spool_dir, arena_printf(load->arena, "%.*s/spool", VIEW_ARG(*dir)));
	set_text(load, &config->mail_dir, arena_printf(load->arena, "%.*s/mail", VIEW_ARG(*dir)));
}

// The other half is for the committer, deliver and the kernel.
static void derive_threads(struct config *config)
{
	unsigned half = os_process_core_count() / 2;

	if (!config->threads) {
		config->threads = half < 1                    ? 1
				  : half > CONFIG_THREADS_MAX ? CONFIG_THREADS_MAX
							      : half;
	}
}

void load_derive(struct load *load)
{
	struct config *config = load->config;

	derive_dirs(load);
	derive_threads(config);
	set_text(load, &config->postmaster,
		 arena_printf(load->arena, "postmaster@%.*s", VIEW_ARG(config->hostname)));
	derive_listeners(load);
	derive_domains(load);
	for (size_t i = 0; i < config->outbound.sources.count; i++) {
		set_text(load, &config->outbound.sources.items[i].hostname, config->hostname);
	}
	for (size_t i = 0; i < config->routes.count; i++) {
		if (config->routes.items[i].smarthost.password_file.len) {
			read_password(load, &config->routes.items[i].smarthost, i);
		}
	}
	config_derive(config);
}
