#include "link/tls.h"
#include "os/file.h"

enum error tls_system_authorities(struct buffer *out)
{
	static const char *const bundles[] = {
		"/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Alpine
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora
		"/etc/ssl/cert.pem",
	};
	enum error error = ERROR_NOT_FOUND;

	for (size_t i = 0; i < sizeof bundles / sizeof *bundles && error == ERROR_NOT_FOUND; i++) {
		error = os_file_read_whole(bundles[i], out);
	}
	return error;
}
