// Certificates on their way to receive: read from the files of the configuration, or made at the
// first start; checked; each chain with its key on one sealed page.
#include "link/tls.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/page.h"
#include "supervisor/material_private.h"

static const char own_certificate[] = "certificate.pem";
static const char own_key[] = "key.pem";

static enum error read_own(int dir, const char *name, struct buffer *out)
{
	uint64_t size;
	int file;
	enum error error = os_file_open_at(dir, name, OS_READ, 0, &file);

	if (error != OK) {
		return error;
	}
	error = os_file_size(file, &size);
	if (error == OK) {
		char *room = buffer_reserve(out, size);

		error = room ? os_file_read_at(file, 0, room, size) : ERROR_LIMIT;
		out->len += error == OK ? size : 0;
	}
	os_file_close(file);
	return error;
}

static enum error make_own(struct view hostname, int dir, struct buffer *chain, struct buffer *key)
{
	enum error error;

	buffer_clear(chain);
	buffer_clear(key);
	error = tls_self_signed(hostname, os_clock_wall_ms(), chain, key);
	if (error == OK) {
		error = os_file_replace_at(dir, own_key, buffer_view(key), 0600);
	}
	return error == OK ? os_file_replace_at(dir, own_certificate, buffer_view(chain), 0644)
			   : error;
}

static enum error seal(struct material *material, const struct buffer *chain,
		       const struct buffer *key)
{
	struct buffer both = buffer_with_max(2 * TLS_PEM_SIZE_MAX + 1);
	enum error error;

	buffer_add(&both, buffer_view(chain));
	buffer_add_byte(&both, '\n');
	buffer_add(&both, buffer_view(key));
	error = buffer_error(&both);
	if (error == OK) {
		error = os_page_sealed("certificate", buffer_view(&both),
				       &material->certificates[material->certificate_count]);
	}
	material->certificate_count += error == OK;
	buffer_done(&both);
	return error;
}

// Where there is no certificate, one is made, so that all ports have TLS from the first start.
static enum error load_own(struct material *material, int dir, struct buffer *said)
{
	struct buffer chain = buffer_with_max(TLS_PEM_SIZE_MAX);
	struct buffer key = buffer_with_max(TLS_PEM_SIZE_MAX);
	enum error error = read_own(dir, own_certificate, &chain);

	if (error == OK) {
		error = read_own(dir, own_key, &key);
	}
	if (error != OK ||
	    !tls_identity_fits(&(struct tls_identity){ buffer_view(&chain), buffer_view(&key) })) {
		error = make_own(material->config->hostname, dir, &chain, &key);
	}
	if (error == OK) {
		error = seal(material, &chain, &key);
	}
	if (error != OK) {
		buffer_printf(said, "cannot make a certificate of our own: %s\n",
			      error_text(error));
	}
	buffer_done(&chain);
	buffer_done(&key);
	return error;
}

// What is wrong with a file of a pair, and where the configuration names it, as `check` says it.
static void complain(const struct material *material, size_t index, const char *field,
		     const char *fault, struct buffer *said)
{
	struct buffer key = buffer_with_max(64), text = buffer_with_max(4096 + 256);
	struct config_problem problem = { 0 };
	const struct config_origin *origin;

	buffer_printf(&key, "tls.certificates[%zu].%s", index, field);
	origin = config_origin_find(&material->loaded, buffer_view(&key));
	if (origin) {
		problem.file = origin->file;
		problem.line = origin->line;
		problem.column = origin->column;
	}
	buffer_printf(&text, "%s: %s", field, fault);
	problem.text = buffer_view(&text);
	config_problem_add_text(said, &problem);
	buffer_add_byte(said, '\n');
	buffer_done(&key);
	buffer_done(&text);
}

static enum error read_named(const struct material *material, size_t index, const char *field,
			     struct view path, struct buffer *out, struct buffer *said)
{
	enum error error = os_file_read_whole(path.data, out);
	struct buffer fault = buffer_with_max(4096 + 128);

	if (error != OK) {
		buffer_printf(&fault, "cannot read %.*s: %s", VIEW_ARG(path), error_text(error));
		complain(material, index, field, buffer_text(&fault), said);
	}
	buffer_done(&fault);
	return error == OK ? OK : ERROR_INVALID;
}

// ERROR_INVALID: said tells what is wrong with the pair.
static enum error load_pair(struct material *material, size_t index, struct buffer *said)
{
	const struct config_certificate *pair = &material->config->tls.certificates.items[index];
	struct buffer chain = buffer_with_max(TLS_PEM_SIZE_MAX);
	struct buffer key = buffer_with_max(TLS_PEM_SIZE_MAX);
	enum error error =
		read_named(material, index, "certificate", pair->certificate, &chain, said);

	if (error == OK) {
		error = read_named(material, index, "key", pair->key, &key, said);
	}
	if (error == OK &&
	    !tls_identity_fits(&(struct tls_identity){ buffer_view(&chain), buffer_view(&key) })) {
		complain(material, index, "key", "does not belong to the certificate", said);
		error = ERROR_INVALID;
	}
	if (error == OK) {
		error = seal(material, &chain, &key);
	}
	buffer_done(&chain);
	buffer_done(&key);
	return error;
}

static void stamp_file(uint64_t *stamp, const char *path)
{
	struct os_file_info info = { 0 };
	int file;

	if (os_file_open_path(path, OS_READ, 0, &file) == OK) {
		enum error error = os_file_info(file, &info);

		if (error != OK) {
			info.size = 0;
		}
		os_file_close(file);
	}
	*stamp = *stamp * 1000003 + info.modified_ms + info.size * 31 + info.inode * 7;
}

uint64_t certificates_stamp(const struct config *config)
{
	uint64_t stamp = 0;

	for (size_t i = 0; i < config->tls.certificates.count; i++) {
		stamp_file(&stamp, config->tls.certificates.items[i].certificate.data);
		stamp_file(&stamp, config->tls.certificates.items[i].key.data);
	}
	return stamp;
}

enum error certificates_load(struct material *material, int tls_dir, struct buffer *said)
{
	const struct config *config = material->config;
	size_t count = config->tls.certificates.count ? config->tls.certificates.count : 1;
	enum error error = OK;

	if (count > MATERIAL_CERTIFICATES_MAX) {
		return ERROR_LIMIT;
	}
	material->certificates =
		arena_alloc_array(&material->arena, count, sizeof *material->certificates);
	if (!material->certificates) {
		return ERROR_NO_MEMORY;
	}
	material->certificates_stamp = certificates_stamp(config);
	if (config->tls.certificates.count == 0) {
		return load_own(material, tls_dir, said);
	}
	for (size_t i = 0; i < count && error == OK; i++) {
		error = load_pair(material, i, said);
	}
	return error;
}

void certificates_close(struct material *material)
{
	for (unsigned i = 0; i < material->certificate_count; i++) {
		os_page_close(material->certificates[i]);
	}
	material->certificate_count = 0;
}

bool material_refresh_certificates(struct material *material, const struct material_dirs *dirs,
				   struct buffer *said)
{
	struct material fresh = { .arena = arena_with_max(1 << 20),
				  .loaded = material->loaded,
				  .config = material->config };
	// From before they are read: what changes meanwhile is looked at again.
	uint64_t stamp = certificates_stamp(material->config);
	bool changed = stamp != material->certificates_stamp;

	if (changed && certificates_load(&fresh, dirs->tls, said) == OK) {
		certificates_close(material);
		for (unsigned i = 0; i < fresh.certificate_count; i++) {
			material->certificates[i] = fresh.certificates[i];
		}
		material->certificate_count = fresh.certificate_count;
	} else if (changed) {
		certificates_close(&fresh);
		changed = false;
	}
	// A pair that does not fit yet is looked at again when its files change once more.
	material->certificates_stamp = stamp;
	arena_done(&fresh.arena);
	return changed;
}
