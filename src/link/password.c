#include "link/password.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "os/random.h"

enum { SALT_BYTES = 16, NOBODY_BYTES = 32 };

void password_wipe(void *bytes, size_t len)
{
	OPENSSL_cleanse(bytes, len);
}

// The password as the library wants it; false for what can be nobody's.
static bool to_text(struct view password, char text[PASSWORD_MAX + 1])
{
	if (password.len == 0 || password.len > PASSWORD_MAX ||
	    view_find(password, '\0') < password.len) {
		return false;
	}
	memcpy(text, password.data, password.len);
	text[password.len] = '\0';
	return true;
}

// setting: a salt, or a hash whose own setting is used again.
static enum error compute(struct view password, const char *setting, struct password_hash *ret_hash)
{
	char text[PASSWORD_MAX + 1];
	struct crypt_data *work;
	enum error error = ERROR_CRYPTO;
	const char *hash;

	if (!to_text(password, text)) {
		return ERROR_INVALID;
	}
	work = calloc(1, sizeof *work);
	if (!work) {
		password_wipe(text, sizeof text);
		return ERROR_NO_MEMORY;
	}
	hash = crypt_r(text, setting, work);
	if (hash && hash[0] == '$' && strlen(hash) < sizeof ret_hash->text) {
		*ret_hash = (struct password_hash){ 0 };
		memcpy(ret_hash->text, hash, strlen(hash));
		error = OK;
	}
	password_wipe(work, sizeof *work);
	password_wipe(text, sizeof text);
	free(work);
	return error;
}

enum error password_hash(struct view password, unsigned cost, struct password_hash *ret_hash)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE], salt[SALT_BYTES];

	os_random_bytes(salt, sizeof salt);
	if (!crypt_gensalt_rn("$y$", cost, salt, sizeof salt, setting, sizeof setting)) {
		return ERROR_CRYPTO;
	}
	return compute(password, setting, ret_hash);
}

enum error password_hash_of_nobody(unsigned cost, struct password_hash *ret_hash)
{
	unsigned char password[NOBODY_BYTES];

	os_random_bytes(password, sizeof password);
	for (unsigned i = 0; i < sizeof password; i++) {
		password[i] |= 1; // no NUL
	}
	return password_hash(view_of(password, sizeof password), cost, ret_hash);
}

// The settings that PASSWORD_COST_MAX and below give. Anything else could make us work for minutes.
bool password_hash_is_ours(struct view hash)
{
	static const char settings[PASSWORD_COST_MAX][8] = { "$y$j75$", "$y$j85$", "$y$j7T$",
							     "$y$j8T$", "$y$j9T$", "$y$jAT$",
							     "$y$jBT$", "$y$jCT$" };

	if (hash.len >= PASSWORD_HASH_SIZE || view_find(hash, '\0') < hash.len) {
		return false;
	}
	for (unsigned i = 0; i < PASSWORD_COST_MAX; i++) {
		if (view_starts(hash, view_from_text(settings[i]))) {
			return true;
		}
	}
	return false;
}

bool password_matches(struct view password, struct view hash)
{
	struct password_hash stored = { 0 }, computed;

	if (!password_hash_is_ours(hash)) {
		return false;
	}
	memcpy(stored.text, hash.data, hash.len);
	return compute(password, stored.text, &computed) == OK &&
	       CRYPTO_memcmp(stored.text, computed.text, sizeof stored.text) == 0;
}
