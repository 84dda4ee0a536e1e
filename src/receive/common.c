#include "receive/common.h"

#include <stdlib.h>

#include "os/random.h"

enum { PEERS_MAX = 1000000, RATES_MAX = 1000000 };

enum error receive_common_new(struct receive_common **ret_common)
{
	struct receive_common *common = calloc(1, sizeof *common);
	enum error error;

	if (!common) {
		return ERROR_NO_MEMORY;
	}
	pthread_mutex_init(&common->lock, NULL);
	common->secret = os_random_hash_key();
	error = count_table_new(PEERS_MAX, &common->peers);
	if (error == OK) {
		error = rate_table_new(RATES_MAX, &common->rates);
	}
	if (error != OK) {
		receive_common_free(common);
		return error;
	}
	*ret_common = common;
	return OK;
}

void receive_common_free(struct receive_common *common)
{
	if (common) {
		count_table_free(common->peers);
		rate_table_free(common->rates);
		pthread_mutex_destroy(&common->lock);
		free(common);
	}
}

static struct rate_key key_of(const struct receive_common *common, const struct ip_address *peer)
{
	return rate_key_of_address(common->secret, RATE_CONNECTION, peer);
}

bool receive_common_admit(struct receive_common *common, const struct ip_address *peer,
			  uint64_t sessions_max, uint32_t peer_max)
{
	struct rate_key key = key_of(common, peer);
	bool admitted;

	if (atomic_fetch_add(&common->sessions, 1) >= sessions_max) {
		return false;
	}
	pthread_mutex_lock(&common->lock);
	admitted = count_enter(common->peers, key, peer_max);
	pthread_mutex_unlock(&common->lock);
	return admitted;
}

void receive_common_leave(struct receive_common *common, const struct ip_address *peer,
			  bool admitted)
{
	atomic_fetch_sub(&common->sessions, 1);
	if (admitted) {
		struct rate_key key = key_of(common, peer);

		pthread_mutex_lock(&common->lock);
		count_leave(common->peers, key);
		pthread_mutex_unlock(&common->lock);
	}
}

uint64_t receive_common_forgotten(struct receive_common *common)
{
	uint64_t forgotten;

	pthread_mutex_lock(&common->lock);
	forgotten = rate_table_forgotten(common->rates);
	pthread_mutex_unlock(&common->lock);
	return forgotten;
}
