// What the supervisor gets ready for the others, from one configuration: pages with each one's part
// of it, listening sockets, certificates, folders, the log. A reload makes a new one, which takes
// over the sockets that stay.
#pragma once

#include "config/load.h"
#include "link/supervision.h"
#include "os/log.h"
#include "os/process.h"
#include "os/socket.h"
#include "spool/layout.h"

enum {
	MATERIAL_CONFIG_BYTES_MAX = 512 * 1024 * 1024, // the configuration in memory
	MATERIAL_SOCKETS_MAX = 1024,                   // descriptors of listening sockets
	MATERIAL_CERTIFICATES_MAX = 1024,
};

struct material_socket {
	struct listener_number number; // of the first thread's
	struct os_address address;
	int fds[CONFIG_THREADS_MAX]; // one for each of receive's threads
};

struct material {
	struct arena arena;
	struct config_loaded loaded;
	const struct config *config;
	int configs[4];   // pages: receive, deliver, facts, keeper
	unsigned threads; // of receive: as many as at the start, whatever a reload says
	struct material_socket *sockets;
	unsigned socket_count;
	int *certificates; // pages
	unsigned certificate_count;
	uint64_t certificates_stamp; // changes when a certificate's files change
	int log, syslog;             // -1: none
};

struct material_users {
	bool root; // false: one uid for all, the sandbox alone
	struct os_user shared, net, out, dns, keep;
};

// ERROR_NOT_FOUND: problem names the command that makes the missing user.
enum error material_find_users(struct material_users *ret_users, struct buffer *problem) must_check;

// The folders of a configuration, made where absent, with their owners.
struct material_dirs {
	int data, mail, state, tls;
	int spool[SPOOL_PARTS];
};
enum error material_open_dirs(const struct config *config, const struct material_users *users,
			      struct material_dirs *ret_dirs, struct buffer *problem) must_check;
void material_close_dirs(struct material_dirs *dirs);

// Loads the file. Problems, warnings too, are appended to said, a line each; an error means that
// there is no configuration.
enum error material_load(const char *config_path, struct buffer *said,
			 struct material **ret_material) must_check;
// The rest: pages, sockets (those that old has are duplicated), certificates, the log.
enum error material_prepare(struct material *material, const struct material *old,
			    const struct material_dirs *dirs, struct buffer *said) must_check;
// Reads the certificates again if a file of them has changed; true if so.
bool material_refresh_certificates(struct material *material, const struct material_dirs *dirs,
				   struct buffer *said);
void material_free(struct material *material); // accepts NULL

struct log_settings material_log_settings(const struct material *material);
