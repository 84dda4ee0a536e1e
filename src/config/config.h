// The configuration as every process holds it: one immutable struct, filled from YAML files through
// the schema (config/schema.h) by the supervisor or by a command, and handed to the other processes
// as bytes (config/encode.h), each getting only the parts that are its own.
//
// Everything is checked when it is loaded and again when it is decoded: numbers lie in the ranges
// of the schema, texts have their form. Each view has a NUL behind it (not counted); a key that may
// be left out is an empty view. All memory belongs to the arena given to the call; sessions keep
// the configuration that they began with. Immutable, so any thread.
//
// What the keys mean, their defaults and ranges: docs/configuration.md, which is generated.
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "os/log.h"
#include "policy/conduct.h"
#include "policy/login.h"
#include "policy/relay.h"
#include "policy/retry.h"
#include "policy/route.h"
#include "policy/site.h"

#define CONFIG_LIST(type) \
	struct { \
		type *items; \
		size_t count; \
	}

// Who gets a part of the configuration; bits. The supervisor, which loads it, holds all of it.
enum config_reader {
	CONFIG_RECEIVE = 1,
	CONFIG_DELIVER = 2,
	CONFIG_FACTS = 4,
	CONFIG_KEEPER = 8,
	CONFIG_ALL = 15,
};

enum config_listener_tls { CONFIG_TLS_STARTTLS, CONFIG_TLS_IMPLICIT, CONFIG_TLS_BY_PORT };

struct config_listener {
	uint64_t port;
	enum listener_role role;
	enum config_listener_tls tls;             // never BY_PORT once loaded
	CONFIG_LIST(struct ip_address) addresses; // none: all of IPv4 and all of IPv6
	struct view name;                         // in the log and in trace; unique
	struct view hostname;                     // in the greeting
	struct view certificate; // a path out of tls.certificates; empty: the first
};

struct config_certificate {
	struct view certificate, key; // absolute paths of PEM files
};

struct config_tls {
	// None: the supervisor makes a self-signed pair in data_dir/tls.
	CONFIG_LIST(struct config_certificate) certificates;
};

enum config_deliver { CONFIG_DELIVER_MAILDIR };

struct config_domain {
	struct view name; // lower case, A-labels
	enum config_deliver deliver;
	struct view catch_all; // an address
};

struct config_alias {
	struct view address; // local part in lower case, domain as above
	CONFIG_LIST(struct view) targets;
};

enum config_dns_mode { CONFIG_DNS_AUTO, CONFIG_DNS_RECURSIVE, CONFIG_DNS_FORWARD };
enum config_switch { CONFIG_AUTO, CONFIG_ON, CONFIG_OFF };

struct config_dns {
	enum config_dns_mode mode;
	enum config_switch dnssec;
	CONFIG_LIST(struct view) servers; // "192.0.2.53" or "127.0.0.1@5353"
	struct view trust_anchors;        // a path
};

struct config_source {
	struct view name;
	struct ip_address address;
	struct view hostname; // for EHLO
};

struct config_outbound {
	uint64_t port; // of MX hosts
	bool allow_private_addresses;
	CONFIG_LIST(struct config_source) sources;
	CONFIG_LIST(struct view) source; // names, tried in order; none: the system chooses
	uint64_t connections;
	struct site_settings site;
	uint64_t connect_time_ms;
	uint64_t reply_time_ms;
	uint64_t data_time_ms;
	uint64_t session_time_ms;
	uint64_t transaction_time_ms;
	uint64_t data_rate_bytes; // per second
};

struct config_limits {
	uint64_t message_size_bytes;
	uint64_t recipients;
	uint64_t connections;
	uint64_t connections_per_address;
	uint64_t errors;
	uint64_t commands; // since the last accepted message
	uint64_t command_line_bytes;
	uint64_t hops;
	uint64_t idle_time_ms;
	uint64_t command_time_ms;
	uint64_t session_time_ms;
	uint64_t tls_time_ms;
	uint64_t data_rate_bytes; // a second
	uint64_t data_grace_ms;
	uint64_t data_stall_ms;
	uint64_t data_time_ms;
	uint64_t unread_output_bytes;
	uint64_t body_memory_bytes;
	uint64_t body_memory_per_message_bytes;
	struct conduct_limits conduct;
	struct login_limits logins;
	uint64_t logins_waiting;
	uint64_t alias_depth;
	uint64_t alias_recipients;
	uint64_t process_silence_ms;
};

struct config_queue {
	bool hold;
	struct retry_settings retry;
	uint64_t messages;
	uint64_t segment_size_bytes;
	uint64_t disk_reserve_bytes;
};

enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

struct config_log {
	struct view to; // "stderr", "syslog" or an absolute path
	enum config_log_format format;
	enum log_level level;
};

struct config_trace {
	uint64_t keep_ms;
	uint64_t size_bytes; // of both processes together; 0: off
};

enum { CONFIG_THREADS_MAX = 16 };

struct config {
	struct view hostname;
	struct view postmaster;
	struct view data_dir, spool_dir, mail_dir; // absolute
	CONFIG_LIST(struct config_listener) listeners;
	struct config_tls tls;
	CONFIG_LIST(struct config_domain) domains;
	CONFIG_LIST(struct config_alias) aliases; // those of aliases_file too
	struct view aliases_file;
	struct view plus_separator; // one character, or empty: no plus addressing
	uint64_t threads;           // of receive
	struct relay_rules relay;
	CONFIG_LIST(struct route) routes; // a smarthost with a username is VERIFIED
	struct config_dns dns;
	struct config_outbound outbound;
	struct config_limits limits;
	struct config_queue queue;
	struct config_log log;
	struct config_trace trace;
	CONFIG_LIST(struct view) include;
};
