#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "link/tls_context.h"

enum {
	SELF_SIGNED_DAYS = 3650,
	CLOCK_SKEW_DAYS = 1, // peers whose clock is behind ours
	HOSTNAME_SIZE_MAX = 253,
	COMMON_NAME_SIZE_MAX = 64, // X.520's own limit
};

static bool name_is_plain(struct view name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (!ascii_is_alnum(name.data[i]) && !memchr("-._*", name.data[i], 4)) {
			return false;
		}
	}
	return name.len > 0 && name.len <= HOSTNAME_SIZE_MAX;
}

static enum error name_add(struct tls_certificate *certificate, struct arena *arena,
			   const ASN1_STRING *string)
{
	struct view name =
		view_of(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
	char *lower;

	if (!name_is_plain(name) || certificate->name_count == TLS_NAMES_MAX) {
		return OK;
	}
	lower = arena_alloc(arena, name.len);
	if (!lower) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < name.len; i++) {
		lower[i] = ascii_lower(name.data[i]);
	}
	certificate->names[certificate->name_count++] = view_of(lower, name.len);
	return OK;
}

static enum error read_names(X509 *x509, struct arena *arena, struct tls_certificate *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	X509_NAME *subject = X509_get_subject_name(x509);
	int common = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	enum error error = OK;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && error == OK; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS) {
			error = name_add(certificate, arena, name->d.dNSName);
		}
	}
	GENERAL_NAMES_free(names);
	if (error == OK && certificate->name_count == 0 && common >= 0) {
		error = name_add(certificate, arena,
				 X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, common)));
	}
	return error;
}

static uint64_t time_to_ms(const ASN1_TIME *time)
{
	struct tm tm;
	time_t seconds;

	if (!ASN1_TIME_to_tm(time, &tm)) {
		return 0;
	}
	seconds = timegm(&tm);
	return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

enum error tls_certificate_read(struct view pem, struct arena *arena,
				struct tls_certificate *ret_certificate)
{
	struct tls_certificate certificate = { 0 };
	BIO *bio = tls_pem_open(pem);
	X509 *x509 = bio ? tls_pem_certificate(bio) : NULL;
	enum error error = ERROR_INVALID;

	BIO_free(bio);
	if (x509) {
		error = read_names(x509, arena, &certificate);
		certificate.not_before_ms = time_to_ms(X509_get0_notBefore(x509));
		certificate.not_after_ms = time_to_ms(X509_get0_notAfter(x509));
		certificate.self_signed = X509_self_signed(x509, 0) == 1;
	}
	X509_free(x509);
	if (error == OK) {
		*ret_certificate = certificate;
	}
	return error;
}

bool tls_identity_fits(const struct tls_identity *identity)
{
	BIO *certificate = tls_pem_open(identity->certificate), *key = tls_pem_open(identity->key);
	X509 *x509 = certificate ? tls_pem_certificate(certificate) : NULL;
	EVP_PKEY *pkey = key ? tls_pem_key(key) : NULL;
	bool fits = x509 && pkey && X509_check_private_key(x509, pkey) == 1;

	EVP_PKEY_free(pkey);
	X509_free(x509);
	BIO_free(key);
	BIO_free(certificate);
	return fits;
}

static bool add_extension(X509 *x509, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
	extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
	added = extension && X509_add_ext(x509, extension, -1);
	X509_EXTENSION_free(extension);
	return added;
}

static bool set_serial(X509 *x509)
{
	uint64_t serial;

	return RAND_bytes((uint8_t *)&serial, sizeof serial) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), serial >> 1);
}

static bool certificate_fill(X509 *x509, const char *hostname, uint64_t wall_ms, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(x509);
	time_t now = (time_t)(wall_ms / 1000);
	char san[HOSTNAME_SIZE_MAX + sizeof "DNS:"];

	snprintf(san, sizeof san, "DNS:%s", hostname);
	return X509_set_version(x509, X509_VERSION_3) && set_serial(x509) &&
	       X509_time_adj_ex(X509_getm_notBefore(x509), -CLOCK_SKEW_DAYS, 0, &now) &&
	       X509_time_adj_ex(X509_getm_notAfter(x509), SELF_SIGNED_DAYS, 0, &now) &&
	       (strlen(hostname) > COMMON_NAME_SIZE_MAX ||
		X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
					   (const uint8_t *)hostname, -1, -1, 0)) &&
	       X509_set_issuer_name(x509, name) && X509_set_pubkey(x509, key) &&
	       add_extension(x509, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x509, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(x509, NID_ext_key_usage, "serverAuth") &&
	       add_extension(x509, NID_subject_alt_name, san) &&
	       X509_sign(x509, key, EVP_sha256()) > 0;
}

static void add_contents(struct buffer *out, BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	buffer_add(out, view_of(data, (size_t)len));
}

static enum error write_pem(X509 *x509, EVP_PKEY *key, struct buffer *certificate_out,
			    struct buffer *key_out)
{
	BIO *certificate = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_secmem());
	enum error error = ERROR_CRYPTO;

	if (certificate && secret && PEM_write_bio_X509(certificate, x509) &&
	    PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL)) {
		add_contents(certificate_out, certificate);
		add_contents(key_out, secret);
		error = buffer_error(certificate_out) ? buffer_error(certificate_out)
						      : buffer_error(key_out);
	}
	BIO_free(certificate);
	BIO_free(secret);
	return error;
}

enum error tls_self_signed(struct view hostname, uint64_t wall_ms, struct buffer *certificate,
			   struct buffer *key)
{
	char name[HOSTNAME_SIZE_MAX + 1];
	EVP_PKEY *pkey;
	X509 *x509;
	enum error error = ERROR_CRYPTO;

	// Nothing but these bytes, since the name becomes part of OpenSSL's extension text.
	if (!name_is_plain(hostname)) {
		return ERROR_INVALID;
	}
	snprintf(name, sizeof name, "%.*s", VIEW_ARG(hostname));
	pkey = EVP_EC_gen("P-256");
	x509 = X509_new();
	if (pkey && x509 && certificate_fill(x509, name, wall_ms, pkey)) {
		error = write_pem(x509, pkey, certificate, key);
	}
	X509_free(x509);
	EVP_PKEY_free(pkey);
	return error;
}
