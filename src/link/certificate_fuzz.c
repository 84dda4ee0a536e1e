// A certificate chain, key or bundle of authorities of any bytes. A "^" stands for the envelope of
// PEM, so that the fuzzer changes the DER inside: what follows it is written as base 64.
#include "base/base64.h"
#include "base/fuzz.h"
#include "base/text.h"
#include "link/tls.h"

static void add_pem(struct buffer *out, const char *label, struct view der)
{
	struct buffer text = buffer_with_max(1 << 20);
	struct view rest;

	base64_encode(&text, der);
	rest = buffer_view(&text);
	buffer_printf(out, "-----BEGIN %s-----\n", label);
	while (rest.len) {
		buffer_add(out, view_first(rest, 64));
		buffer_add_byte(out, '\n');
		rest = view_from(rest, 64);
	}
	buffer_printf(out, "-----END %s-----\n", label);
	buffer_done(&text);
}

static void check_names(const struct tls_certificate *certificate)
{
	MUST(certificate->name_count <= TLS_NAMES_MAX);
	for (unsigned i = 0; i < certificate->name_count; i++) {
		struct view name = certificate->names[i];

		MUST(name.len > 0 && text_is_ascii(name) && text_is_printable(name));
		MUST(view_find(name, ' ') == name.len && view_find(name, '/') == name.len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view input = view_of(data, size);
	struct buffer pem = buffer_with_max(1 << 20), problem = buffer_with_max(4096);
	struct arena arena = arena_with_max(1 << 20);
	struct tls_certificate certificate;
	struct tls_identity identity;
	struct tls_server_options options = { .identities = &identity,
					      .identity_count = 1,
					      .role = VIEW("relay") };
	struct tls_server *server;
	struct tls_client *client;

	if (size && data[0] == '^') {
		add_pem(&pem, "CERTIFICATE", view_from(input, 1));
		add_pem(&pem, "PRIVATE KEY", view_from(input, 1));
	} else {
		buffer_add(&pem, input);
	}
	identity = (struct tls_identity){ buffer_view(&pem), buffer_view(&pem) };
	if (tls_certificate_read(buffer_view(&pem), &arena, &certificate) == OK) {
		check_names(&certificate);
	}
	if (tls_server_new(&options, &problem, &server) == OK) {
		MUST(tls_identity_fits(&identity));
		tls_server_unref(server);
	} else {
		MUST(text_is_printable(view_trim(buffer_view(&problem))));
	}
	if (tls_client_new(buffer_view(&pem), &client) == OK) {
		tls_client_unref(client);
	}
	arena_done(&arena);
	buffer_done(&pem);
	buffer_done(&problem);
	return 0;
}
