// TLS contexts and certificates. A context is made from bytes that were handed over (nothing is
// opened by path but in tls_system_authorities), never changes, and counts its users: a reload
// makes a new one. TLS 1.2 and up; no renegotiation, no compression, no early data (attack A9);
// tickets only under TLS 1.3, where they keep forward secrecy, bound to the listener's role (attack
// A8). RFC 8446, RFC 6066 (SNI), RFC 7301 (ALPN), RFC 6125 (names).
//
// Contexts may be shared between threads; making one belongs to one thread.
#pragma once

#include "base/arena.h"
#include "base/buffer.h"

struct tls_server;
struct tls_client;

enum {
	TLS_PEM_SIZE_MAX = 1024 * 1024, // bytes of one chain, key or set of authorities
	TLS_NAMES_MAX = 128,       // names taken from one certificate; further ones are ignored
	TLS_IDENTITIES_MAX = 1024, // certificates in one context
	TLS_TICKET_SECRET_SIZE = 32,
};

// A certificate with its chain, and its key, both PEM.
struct tls_identity {
	struct view certificate;
	struct view key;
};

struct tls_server_options {
	const struct tls_identity *identities; // the first serves those who name no name of ours
	size_t identity_count;
	struct view role; // tickets of one role are not taken by another: "relay", "submission"
	// Random, the process's own, and the same after a reload: then tickets stay good. The keys
	// made from it differ by role and turn over every twelve hours.
	uint8_t ticket_secret[TLS_TICKET_SECRET_SIZE];
};

// An identity is chosen by the names in its certificate: exact, then a wildcard for one label. Two
// of one key type for the same name: the first is used; RSA beside ECDSA both are.
// ERROR_INVALID: problem (may be NULL) gets a line that says which identity and what is wrong.
enum error tls_server_new(const struct tls_server_options *options, struct buffer *problem,
			  struct tls_server **ret_server) must_check;
struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_unref(struct tls_server *server); // accepts NULL

// authorities: the trusted certificates, PEM; empty: no certificate will ever be verified.
// ERROR_INVALID: a broken one among them.
enum error tls_client_new(struct view authorities, struct tls_client **ret_client) must_check;
void tls_client_unref(struct tls_client *client); // accepts NULL

// Appends the system's bundle of authorities. Reads a file: at start, before the door is shut.
enum error tls_system_authorities(struct buffer *out) must_check;

// A new P-256 key and a certificate for hostname, signed by itself, good for ten years from
// wall_ms (Unix time in milliseconds) on.
enum error tls_self_signed(struct view hostname, uint64_t wall_ms, struct buffer *certificate,
			   struct buffer *key) must_check;

struct tls_certificate {
	struct view names[TLS_NAMES_MAX]; // DNS names, lower case; wildcards as "*.example.org"
	unsigned name_count;
	uint64_t not_before_ms, not_after_ms; // Unix time in milliseconds
	bool self_signed;
};

// The first certificate of a chain, for `check` and `status`. ERROR_INVALID: it is none.
enum error tls_certificate_read(struct view pem, struct arena *arena,
				struct tls_certificate *ret_certificate) must_check;
// True when the key is the certificate's.
bool tls_identity_fits(const struct tls_identity *identity);
