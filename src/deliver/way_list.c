#include "deliver/way_list.h"

enum { ARENA_MAX = 256 * 1024 };

enum error way_list_init(struct way_list *list, unsigned capacity)
{
	*list = (struct way_list){ .arena = arena_with_max(ARENA_MAX) };
	list->items =
		arena_alloc_array(&list->arena, capacity < WAY_LIST_MAX ? capacity : WAY_LIST_MAX,
				  sizeof *list->items);
	if (!list->items) {
		return ERROR_NO_MEMORY;
	}
	list->capacity = capacity < WAY_LIST_MAX ? capacity : WAY_LIST_MAX;
	return OK;
}

struct way *way_list_add(struct way_list *list, const struct os_address *address, struct view host)
{
	struct way *way = list->count < list->capacity ? &list->items[list->count++] : NULL;

	if (way) {
		*way = (struct way){ .address = *address, .host = host };
	}
	return way;
}

struct way *way_list_find(const struct way_list *list, const struct os_address *address)
{
	for (unsigned i = 0; i < list->count; i++) {
		if (os_address_equal(&list->items[i].address, address)) {
			return &list->items[i];
		}
	}
	return NULL;
}

static unsigned count_addresses(const struct facts_answer *answer)
{
	unsigned count = 0;

	for (unsigned i = 0; i < answer->host_count; i++) {
		count += answer->hosts[i].address_count;
	}
	return count;
}

static const struct facts_host *host_named(const struct facts_answer *answer, struct view name)
{
	for (unsigned i = 0; i < answer->host_count; i++) {
		if (view_equal(answer->hosts[i].name, name)) {
			return &answer->hosts[i];
		}
	}
	return NULL;
}

static bool listens_at(const struct config_listener *listener, const struct ip_address *ip,
		       const struct os_address *peer)
{
	bool everywhere = listener->addresses.count == 0;

	if (listener->port != peer->port) {
		return false;
	}
	for (size_t i = 0; i < listener->addresses.count; i++) {
		const struct ip_address *own = &listener->addresses.items[i];

		if (ip_address_equal(own, ip)) {
			return true;
		}
		everywhere |= ip_address_equal(own, &(struct ip_address){ .family = ip->family });
	}
	return everywhere && os_socket_address_is_local(peer);
}

bool way_leads_to_us(const struct config *config, const struct facts_answer *answer,
		     struct view host)
{
	const struct facts_host *found = host_named(answer, host);

	for (unsigned i = 0; found && i < found->address_count; i++) {
		const struct facts_address *address = &found->addresses[i];
		struct ip_address ip = ip_address_of(address->family, address->bytes);
		struct os_address peer =
			facts_address_with_port(address, (uint16_t)config->outbound.port);

		if (mx_address_decide(&ip, config->outbound.allow_private_addresses) !=
		    MX_ADDRESS_USABLE) {
			continue;
		}
		for (size_t k = 0; k < config->listeners.count; k++) {
			if (listens_at(&config->listeners.items[k], &ip, &peer)) {
				return true;
			}
		}
	}
	return false;
}

static void add_usable(struct way_list *list, struct deliverer *deliverer,
		       const struct config_outbound *outbound, const struct facts_address *address,
		       struct view host)
{
	struct os_address peer = facts_address_with_port(address, (uint16_t)outbound->port);
	struct ip_address ip = ip_address_of(address->family, address->bytes);
	struct way *way = way_list_add(list, &peer, host);

	if (way && ip.family == 6 && ip_address_is_public(&ip)) {
		way->needs_name = true;
		way->origin = origin_for(deliverer, outbound, &peer);
	}
}

// IPv4 first: it is what receivers have known us by, and needs no name.
static void add_host(struct way_list *list, struct deliverer *deliverer,
		     const struct config_outbound *outbound, const struct facts_host *host,
		     struct way_tally *tally)
{
	bool allow = outbound->allow_private_addresses;
	struct view name = arena_copy(&list->arena, host->name);

	tally->temporary += host->result == FACTS_TEMPORARY || host->result == FACTS_BOGUS;
	tally->bogus += host->result == FACTS_BOGUS;
	for (unsigned family = 4; family <= 6; family += 2) {
		for (unsigned i = 0; i < host->address_count; i++) {
			const struct facts_address *address = &host->addresses[i];
			struct ip_address ip = ip_address_of(address->family, address->bytes);

			if (address->family != family) {
				continue;
			}
			switch (mx_address_decide(&ip, allow)) {
			case MX_ADDRESS_USABLE:
				add_usable(list, deliverer, outbound, address, name);
				break;
			case MX_ADDRESS_PRIVATE:
			case MX_ADDRESS_NONSENSE: tally->refused++; break;
			}
		}
	}
}

enum error way_list_of_hosts(struct way_list *list, const struct facts_answer *answer,
			     const struct mx_hosts *hosts, struct deliverer *deliverer,
			     const struct config_outbound *outbound, struct way_tally *tally)
{
	enum error error = way_list_init(list, count_addresses(answer));

	for (size_t i = 0; i < hosts->count && error == OK; i++) {
		const struct facts_host *host = host_named(answer, hosts->hosts[i]);

		if (host) {
			add_host(list, deliverer, outbound, host, tally);
		}
	}
	return error;
}

// A smarthost knows us by our login or our network, not by a name.
enum error way_list_of_smarthost(struct way_list *list, const struct facts_answer *answer,
				 const struct smarthost *smarthost)
{
	struct port_list ports = smarthost->ports.count ? smarthost->ports : port_list_default();
	enum error error = way_list_init(list, count_addresses(answer) * PORT_LIST_MAX);

	for (unsigned i = 0; i < ports.count && error == OK; i++) {
		for (unsigned h = 0; h < answer->host_count; h++) {
			for (unsigned a = 0; a < answer->hosts[h].address_count; a++) {
				struct os_address peer = facts_address_with_port(
					&answer->hosts[h].addresses[a], ports.ports[i]);

				(void)way_list_add(list, &peer, smarthost->host);
			}
		}
	}
	return error;
}
