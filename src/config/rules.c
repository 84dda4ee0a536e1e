// The rules that no single key can break: what belongs together, and what is not safe.
#include "config/load_private.h"

static bool has_domain(const struct config *config, struct view domain)
{
	for (size_t i = 0; i < config->domains.count; i++) {
		if (view_equal(config->domains.items[i].name, domain)) {
			return true;
		}
	}
	return false;
}

static bool addresses_meet(const struct config_listener *a, const struct config_listener *b)
{
	if (!a->addresses.count || !b->addresses.count) {
		return true;
	}
	for (size_t i = 0; i < a->addresses.count; i++) {
		for (size_t j = 0; j < b->addresses.count; j++) {
			if (ip_address_equal(&a->addresses.items[i], &b->addresses.items[j])) {
				return true;
			}
		}
	}
	return false;
}

static bool has_certificate(const struct config *config, struct view path)
{
	for (size_t i = 0; i < config->tls.certificates.count; i++) {
		if (view_equal(config->tls.certificates.items[i].certificate, path)) {
			return true;
		}
	}
	return false;
}

static void check_listener(struct load *load, size_t index)
{
	const struct config_listener *items = load->config->listeners.items;
	const struct config_listener *listener = &items[index];

	if (listener->certificate.len && !has_certificate(load->config, listener->certificate)) {
		problem_add(load->problems, load_place(load, "listeners[%zu].certificate", index),
			    "certificate: %.*s is not among tls.certificates",
			    SHOWN(load->problems, listener->certificate));
	}
	for (size_t i = 0; i < index; i++) {
		if (items[i].port == listener->port && addresses_meet(&items[i], listener)) {
			problem_add(load->problems, load_place(load, "listeners[%zu].port", index),
				    "port %u has a listener already, in line %u",
				    (unsigned)listener->port,
				    load_place(load, "listeners[%zu]", i).line);
		}
		if (view_equal(items[i].name, listener->name)) {
			problem_add(load->problems, load_place(load, "listeners[%zu]", index),
				    "the name %.*s is taken already, in line %u",
				    SHOWN(load->problems, listener->name),
				    load_place(load, "listeners[%zu]", i).line);
		}
	}
}

static void check_listeners(struct load *load)
{
	if (!load->config->listeners.count) {
		problem_add(load->problems, load_place(load, "listeners"),
			    "listeners: at least one is needed");
	}
	for (size_t i = 0; i < load->config->listeners.count; i++) {
		check_listener(load, i);
	}
}

static void check_relay(struct load *load)
{
	const struct relay_rules *relay = &load->config->relay;

	for (size_t i = 0; i < relay->network_count; i++) {
		const char *fault = relay_network_fault(&relay->networks[i]);

		if (fault) {
			problem_add(load->problems, load_place(load, "relay.networks[%zu]", i),
				    "relay.networks: %s", fault);
		}
	}
	for (size_t i = 0; i < relay->domain_count; i++) {
		if (has_domain(load->config, relay->domains[i])) {
			problem_add(load->problems, load_place(load, "relay.domains"),
				    "relay.domains: %.*s is among our own domains",
				    SHOWN(load->problems, relay->domains[i]));
		}
	}
}

static void check_route(struct load *load, size_t index)
{
	const struct route *route = &load->config->routes.items[index];
	struct place place = load_place(load, "routes[%zu]", index);

	if (route->smarthost.username.len && !route->smarthost.password_file.len) {
		problem_add(load->problems, place, "via: a username needs a password_file");
	}
	if (route->smarthost.password_file.len && !route->smarthost.username.len) {
		problem_add(load->problems, place, "via: a password_file needs a username");
	}
	if (!route->smarthost.host.len && load_place(load, "routes[%zu].via", index).line) {
		problem_add(load->problems, place, "via: 'host' is missing");
	}
	if (!route->smarthost.host.len && load_place(load, "routes[%zu].tls", index).line) {
		problem_add(load->problems, load_place(load, "routes[%zu].tls", index),
			    "tls: only for a route with a smarthost (via) in this version");
	}
}

static void check_outbound(struct load *load)
{
	const struct config_outbound *outbound = &load->config->outbound;

	for (size_t i = 0; i < outbound->source.count; i++) {
		bool found = false;

		for (size_t j = 0; j < outbound->sources.count; j++) {
			found |= view_equal(outbound->sources.items[j].name,
					    outbound->source.items[i]);
		}
		if (!found) {
			problem_add(load->problems, load_place(load, "outbound.source"),
				    "outbound.source: there is no '%.*s' among outbound.sources",
				    SHOWN(load->problems, outbound->source.items[i]));
		}
	}
	if (outbound->site.concurrency_first > outbound->site.concurrency_max) {
		problem_add(load->problems, load_place(load, "outbound.site"),
			    "outbound.site: concurrency_first is above concurrency");
	}
	if (outbound->site.backoff_first_ms > outbound->site.backoff_max_ms) {
		problem_add(load->problems, load_place(load, "outbound.site"),
			    "outbound.site: backoff_first is above backoff");
	}
}

static void check_limits(struct load *load)
{
	const struct config_limits *limits = &load->config->limits;

	if (limits->body_memory_per_message_bytes > limits->body_memory_bytes) {
		problem_add(load->problems, load_place(load, "limits.body_memory_per_message"),
			    "limits: body_memory_per_message is above body_memory");
	}
}

static void check_hostname(struct load *load)
{
	struct view hostname = load->config->hostname;

	if (view_find(hostname, '.') == hostname.len) {
		problem_warn(load->problems, load_place(load, "hostname"),
			     "hostname: other servers refuse a name without a dot");
	}
}

void load_check_rules(struct load *load)
{
	check_hostname(load);
	check_listeners(load);
	check_relay(load);
	for (size_t i = 0; i < load->config->routes.count; i++) {
		check_route(load, i);
	}
	check_outbound(load);
	check_limits(load);
	load_check_directory(load);
}
