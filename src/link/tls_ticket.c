#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/wire.h"
#include "link/tls_context.h"
#include "os/clock.h"

enum {
	EPOCH_MS = 12 * 3600 * 1000,
	NAME_SIZE = 16,
	CIPHER_KEY_SIZE = 16,
	MAC_KEY_SIZE = 32,
	ROLE_SIZE_MAX = 32,
};

struct tls_tickets {
	uint8_t secret[TLS_TICKET_SECRET_SIZE];
	char role[ROLE_SIZE_MAX];
	size_t role_len;
	EVP_CIPHER *cipher;
};

struct ticket_key {
	uint8_t name[NAME_SIZE];
	uint8_t cipher[CIPHER_KEY_SIZE];
	uint8_t mac[MAC_KEY_SIZE];
};

_Static_assert(sizeof(struct ticket_key) == 64, "a ticket key is one SHA-512 output");

struct tls_tickets *tls_tickets_new(const struct tls_server_options *options)
{
	struct tls_tickets *tickets = calloc(1, sizeof *tickets);

	if (!tickets || options->role.len > ROLE_SIZE_MAX) {
		free(tickets);
		return NULL;
	}
	memcpy(tickets->secret, options->ticket_secret, sizeof tickets->secret);
	memcpy(tickets->role, options->role.data, options->role.len);
	tickets->role_len = options->role.len;
	tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
	if (!tickets->cipher) {
		tls_tickets_free(tickets);
		return NULL;
	}
	return tickets;
}

void tls_tickets_free(struct tls_tickets *tickets)
{
	if (tickets) {
		EVP_CIPHER_free(tickets->cipher);
		OPENSSL_cleanse(tickets->secret, sizeof tickets->secret);
		free(tickets);
	}
}

static bool key_derive(const struct tls_tickets *tickets, uint64_t epoch,
		       struct ticket_key *ret_key)
{
	uint8_t label[8 + ROLE_SIZE_MAX];
	unsigned len = sizeof *ret_key;

	wire_put_u64(label, epoch);
	memcpy(label + 8, tickets->role, tickets->role_len);
	return HMAC(EVP_sha512(), tickets->secret, sizeof tickets->secret, label,
		    8 + tickets->role_len, (uint8_t *)ret_key, &len) != NULL;
}

static bool mac_init(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	char digest[] = "SHA256";
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof digest - 1),
		OSSL_PARAM_END,
	};

	return EVP_MAC_CTX_set_params(mac, parameters);
}

static int ticket_seal(const struct tls_tickets *tickets, uint64_t epoch, unsigned char *name,
		       unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	struct ticket_key key;

	if (!key_derive(tickets, epoch, &key) ||
	    RAND_bytes(iv, EVP_CIPHER_get_iv_length(tickets->cipher)) != 1 ||
	    !EVP_EncryptInit_ex2(cipher, tickets->cipher, key.cipher, iv, NULL) ||
	    !mac_init(mac, &key)) {
		return -1;
	}
	memcpy(name, key.name, sizeof key.name);
	return 1;
}

// 0: not a ticket of ours; 1: good; 2: good, and to be renewed.
static int ticket_open(const struct tls_tickets *tickets, uint64_t epoch, const unsigned char *name,
		       const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	for (unsigned age = 0; age < 2; age++) {
		struct ticket_key key;

		if (!key_derive(tickets, epoch - age, &key)) {
			return -1;
		}
		if (memcmp(name, key.name, sizeof key.name) != 0) {
			continue;
		}
		if (!EVP_DecryptInit_ex2(cipher, tickets->cipher, key.cipher, iv, NULL) ||
		    !mac_init(mac, &key)) {
			return -1;
		}
		return age == 0 ? 1 : 2;
	}
	return 0;
}

int tls_tickets_use(const struct tls_tickets *tickets, SSL *ssl, unsigned char *name,
		    unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypting)
{
	uint64_t epoch = os_clock_wall_ms() / EPOCH_MS;

	// A TLS 1.2 session that resumes has no forward secrecy: whoever learns the secret later
	// reads it. TLS 1.3 makes fresh keys for each connection.
	if (SSL_version(ssl) < TLS1_3_VERSION) {
		return 0;
	}
	return encrypting ? ticket_seal(tickets, epoch, name, iv, cipher, mac)
			  : ticket_open(tickets, epoch, name, iv, cipher, mac);
}
