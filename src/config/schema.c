#include "config/schema.h"

#include "base/text.h"

#define MEMBER(type, member) \
	.offset = offsetof(type, member), .width = sizeof(((type *)NULL)->member)
#define OBJECT(type, fields_) \
	.size = sizeof(type), .fields = (fields_), .count = sizeof(fields_) / sizeof *(fields_)

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define SECOND ((uint64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

// Lists of other rooms, which we fill as pointer and count.
#define IS_LIST(type, pointer, number) \
	_Static_assert(offsetof(type, number) == offsetof(type, pointer) + sizeof(void *) && \
			       sizeof(((type *)NULL)->number) == sizeof(size_t), \
		       "a list")
IS_LIST(struct patterns, items, count);
IS_LIST(struct relay_rules, networks, network_count);
IS_LIST(struct relay_rules, domains, domain_count);

static const char *const role_words[] = { "relay", "submission", NULL };
static const char *const listener_tls_words[] = { "starttls", "implicit", "by-port", NULL };
static const char *const deliver_words[] = { "maildir", NULL };
static const char *const route_tls_words[] = { "verified", "required", "opportunistic", NULL };
static const char *const dns_mode_words[] = { "auto", "recursive", "forward", NULL };
static const char *const switch_words[] = { "auto", "on", "off", NULL };
static const char *const format_words[] = { "text", "json", NULL };
static const char *const level_words[] = { "error", "warning", "notice", "info", "debug", NULL };

// clang-format off
static const struct schema_field listener_fields[] = {
	{ "port", SCHEMA_NUMBER, MEMBER(struct config_listener, port), .min = 1, .max = 65535,
	  .required = true, .help = "The TCP port." },
	{ "role", SCHEMA_WORD, MEMBER(struct config_listener, role), .words = role_words,
	  .required = true,
	  .help = "relay: mail from other servers to our domains, never a login. "
		  "submission: mail from our users, only with a login, only over TLS." },
	{ "tls", SCHEMA_WORD, MEMBER(struct config_listener, tls), .words = listener_tls_words,
	  .fallback = "by-port",
	  .help = "implicit: TLS from the first byte. starttls: TLS when the client asks for it. "
		  "by-port: implicit on 465, else starttls." },
	{ "address", SCHEMA_IP, SCHEMA_LIST, MEMBER(struct config_listener, addresses), .max = 64,
	  .derived = "all IPv4 and IPv6 addresses",
	  .help = "The addresses to listen on." },
	{ "name", SCHEMA_TEXT, .form = FORM_NAME, MEMBER(struct config_listener, name),
	  .derived = "ROLE-PORT, such as submission-587",
	  .help = "What the log calls it." },
	{ "hostname", SCHEMA_TEXT, .form = FORM_HOSTNAME, MEMBER(struct config_listener, hostname),
	  .derived = "hostname",
	  .help = "The name in the greeting." },
	{ "certificate", SCHEMA_TEXT, .form = FORM_PATH, .readers = CONFIG_RECEIVE,
	  MEMBER(struct config_listener, certificate), .derived = "the first of tls.certificates",
	  .help = "The certificate for clients that name no server: a path out of "
		  "tls.certificates." },
	{ "proxy_protocol", SCHEMA_LATER },
};

static const struct schema_object listener_object = { OBJECT(struct config_listener,
							     listener_fields) };

static const struct schema_field certificate_fields[] = {
	{ "certificate", SCHEMA_TEXT, .form = FORM_PATH,
	  MEMBER(struct config_certificate, certificate), .required = true,
	  .help = "PEM file with the certificate and its chain. Its names say which "
		  "clients get it." },
	{ "key", SCHEMA_TEXT, .form = FORM_PATH, MEMBER(struct config_certificate, key),
	  .required = true, .help = "PEM file with the private key." },
};

static const struct schema_object certificate_object = { OBJECT(struct config_certificate,
								certificate_fields) };

static const struct schema_field tls_fields[] = {
	{ "certificates", SCHEMA_OBJECT, SCHEMA_LIST, MEMBER(struct config_tls, certificates),
	  .object = &certificate_object, .max = 10000,
	  .derived = "a self-signed pair, made in data_dir/tls",
	  .example = "[{ certificate: /etc/ssl/mail.pem, key: /etc/ssl/private/mail.key }]",
	  .help = "Certificates and their keys; read again when the files change." },
};

static const struct schema_object tls_object = { OBJECT(struct config_tls, tls_fields) };

static const struct schema_field deliver_fields[] = {
	{ "kind", SCHEMA_WORD, .width = sizeof(enum config_deliver), .words = deliver_words,
	  .fallback = "maildir",
	  .help = "maildir: into mail_dir/DOMAIN/USER/Maildir. Written short: deliver: maildir." },
	{ "lmtp", SCHEMA_LATER },
};

static const struct schema_object deliver_object = { OBJECT(enum config_deliver, deliver_fields),
						     .short_field = "kind" };

static const struct schema_field domain_fields[] = {
	{ "deliver", SCHEMA_OBJECT, MEMBER(struct config_domain, deliver),
	  .object = &deliver_object, .help = "How mail of the domain is delivered." },
	{ "catch_all", SCHEMA_TEXT, .form = FORM_MAILBOX, MEMBER(struct config_domain, catch_all),
	  .derived = "none: unknown recipients are refused",
	  .help = "Who gets mail for addresses of the domain that nobody has." },
};

static const struct schema_object domain_object = { OBJECT(struct config_domain, domain_fields),
						    .key_form = FORM_DOMAIN };

static const struct schema_field alias_fields[] = {
	{ "targets", SCHEMA_TEXT, SCHEMA_LIST, FORM_MAILBOX, MEMBER(struct config_alias, targets),
	  .max = DIRECTORY_TARGETS_MAX, .required = true,
	  .help = "The addresses that get the mail." },
};

static const struct schema_object alias_object = { OBJECT(struct config_alias, alias_fields),
						   .short_field = "targets",
						   .key_form = FORM_MAILBOX_KEY };

static const struct schema_field relay_network_fields[] = {
	{ "network", SCHEMA_NETWORK, MEMBER(struct relay_network, network), .required = true,
	  .help = "An IP address or network; not wider than /8, in IPv6 /32." },
	{ "senders", SCHEMA_PATTERN, SCHEMA_LIST, MEMBER(struct relay_network, senders),
	  .max = RELAY_SENDERS_MAX,
	  .derived = "any, which only private networks may have",
	  .help = "The envelope senders that it may use, such as \"*@example.org\"." },
};

static const struct schema_object relay_network_object = { OBJECT(struct relay_network,
								  relay_network_fields),
							   .short_field = "network" };

static const struct schema_field relay_fields[] = {
	{ "networks", SCHEMA_OBJECT, SCHEMA_LIST, MEMBER(struct relay_rules, networks),
	  .object = &relay_network_object, .max = RELAY_NETWORKS_MAX, .derived = "none",
	  .example = "[10.0.0.0/8, { network: 192.0.2.0/24, senders: [\"*@example.org\"] }]",
	  .help = "Clients that may send to anywhere without a login." },
	{ "domains", SCHEMA_TEXT, SCHEMA_LIST, FORM_DOMAIN, MEMBER(struct relay_rules, domains),
	  .max = RELAY_DOMAINS_MAX, .derived = "none",
	  .example = "[backup.example]",
	  .help = "Domains of others that we take mail for and pass on (backup MX)." },
};

static const struct schema_object relay_object = { OBJECT(struct relay_rules, relay_fields) };

static const struct schema_field via_fields[] = {
	{ "host", SCHEMA_TEXT, .form = FORM_HOST, MEMBER(struct smarthost, host),
	  .derived = "the recipient domain's MX hosts",
	  .help = "The server that takes the mail (smarthost)." },
	{ "ports", SCHEMA_PORTS, MEMBER(struct smarthost, ports), .fallback = "587, 465, 2525, 25",
	  .max = PORT_LIST_MAX,
	  .help = "Its ports, tried in this order. 465 speaks TLS from the first byte." },
	{ "username", SCHEMA_TEXT, .form = FORM_TEXT, MEMBER(struct smarthost, username),
	  .derived = "no login",
	  .help = "The login there; sent only after its certificate was verified." },
	{ "password_file", SCHEMA_TEXT, .form = FORM_PATH, MEMBER(struct smarthost, password_file),
	  .help = "A file with the password on its first line." },
	{ NULL, SCHEMA_TEXT, .form = FORM_SECRET, MEMBER(struct smarthost, password),
	  .readers = CONFIG_DELIVER },
};

static const struct schema_object via_object = { OBJECT(struct smarthost, via_fields),
						 .short_field = "host" };

static const struct schema_field route_fields[] = {
	{ "to", SCHEMA_PATTERN, SCHEMA_LIST, MEMBER(struct route, to), .max = ROUTE_PATTERNS_MAX,
	  .derived = "any",
	  .help = "Recipients, such as \"*\", \"example.org\", \"*.example.org\"." },
	{ "from", SCHEMA_PATTERN, SCHEMA_LIST, MEMBER(struct route, from),
	  .max = ROUTE_PATTERNS_MAX, .derived = "any", .help = "Envelope senders." },
	{ "login", SCHEMA_PATTERN, SCHEMA_LIST, MEMBER(struct route, login),
	  .max = ROUTE_PATTERNS_MAX, .derived = "any, and mail without a login",
	  .help = "Logins that the mail was sent with." },
	{ "via", SCHEMA_OBJECT, MEMBER(struct route, smarthost), .object = &via_object,
	  .help = "Where it goes: a smarthost." },
	{ "tls", SCHEMA_WORD, MEMBER(struct route, smarthost.tls), .words = route_tls_words,
	  .fallback = "opportunistic",
	  .help = "verified: only over TLS with a good certificate. required: only over TLS. "
		  "opportunistic: TLS where offered. With a username it is always verified." },
	{ "source", SCHEMA_LATER },
	{ "when", SCHEMA_LATER },
};

static const struct schema_object route_object = { OBJECT(struct route, route_fields) };

static const struct schema_field dns_fields[] = {
	{ "mode", SCHEMA_WORD, MEMBER(struct config_dns, mode), .words = dns_mode_words,
	  .fallback = "auto",
	  .help = "recursive: ask the internet's name servers. forward: ask servers, or the "
		  "system's. auto: recursive where port 53 works, else forward." },
	{ "dnssec", SCHEMA_WORD, MEMBER(struct config_dns, dnssec), .words = switch_words,
	  .fallback = "auto",
	  .help = "Validate answers. auto: on where the root's keys can be validated." },
	{ "servers", SCHEMA_TEXT, SCHEMA_LIST, FORM_DNS_SERVER, MEMBER(struct config_dns, servers),
	  .max = 16, .derived = "the system's",
	  .example = "[127.0.0.1@5353]",
	  .help = "Resolvers to forward to, such as 127.0.0.1@5353." },
	{ "trust_anchors", SCHEMA_TEXT, .form = FORM_PATH, MEMBER(struct config_dns, trust_anchors),
	  .derived = "the root's keys, built in",
	  .example = "/etc/unbound/root.key",
	  .help = "A file with the keys that validation starts from." },
};

static const struct schema_object dns_object = { OBJECT(struct config_dns, dns_fields) };

static const struct schema_field source_fields[] = {
	{ "address", SCHEMA_IP, MEMBER(struct config_source, address), .required = true,
	  .help = "An IP address of this machine." },
	{ "hostname", SCHEMA_TEXT, .form = FORM_HOSTNAME, MEMBER(struct config_source, hostname),
	  .derived = "hostname", .help = "The name that it says in EHLO." },
};

static const struct schema_object source_object = { OBJECT(struct config_source, source_fields),
						    .key_form = FORM_NAME };

static const struct schema_field site_fields[] = {
	{ "concurrency_first", SCHEMA_NUMBER, MEMBER(struct site_settings, concurrency_first),
	  .min = 1, .max = 1000, .fallback = "5",
	  .help = "Connections to one site at first; more after success." },
	{ "concurrency", SCHEMA_NUMBER, MEMBER(struct site_settings, concurrency_max), .min = 1,
	  .max = 1000, .fallback = "20", .help = "Connections to one site at the most." },
	{ "failures", SCHEMA_NUMBER, MEMBER(struct site_settings, failures_max), .min = 1,
	  .max = 1000, .fallback = "5",
	  .help = "Failures in a row after which a site is left alone for a while." },
	{ "backoff_first", SCHEMA_DURATION, MEMBER(struct site_settings, backoff_first_ms),
	  .min = SECOND, .max = HOUR, .fallback = "30s", .help = "The first such while." },
	{ "backoff", SCHEMA_DURATION, MEMBER(struct site_settings, backoff_max_ms), .min = SECOND,
	  .max = DAY, .fallback = "30m",
	  .help = "The longest such while; each is twice the last." },
	{ "messages_per_connection", SCHEMA_NUMBER,
	  MEMBER(struct site_settings, messages_per_connection_max), .min = 1, .max = 100000,
	  .fallback = "100", .help = "Messages sent over one connection." },
	{ "connection_time", SCHEMA_DURATION, MEMBER(struct site_settings, connection_ms),
	  .min = SECOND, .max = DAY, .fallback = "1h",
	  .help = "After this a connection takes no further message." },
	{ "idle_time", SCHEMA_DURATION, MEMBER(struct site_settings, idle_ms), .max = 5 * MINUTE,
	  .fallback = "5s", .help = "How long a connection is kept for the next message." },
};

static const struct schema_object site_object = { OBJECT(struct site_settings, site_fields) };

static const struct schema_field outbound_fields[] = {
	{ "port", SCHEMA_NUMBER, MEMBER(struct config_outbound, port), .min = 1, .max = 65535,
	  .fallback = "25", .help = "The port of MX hosts." },
	{ "allow_private_addresses", SCHEMA_SWITCH,
	  MEMBER(struct config_outbound, allow_private_addresses), .fallback = "false",
	  .help = "Deliver to MX hosts with private or loopback addresses; for closed networks." },
	{ "sources", SCHEMA_OBJECT, SCHEMA_MAP, MEMBER(struct config_outbound, sources),
	  .object = &source_object, .max = 1000, .derived = "none",
	  .example = "{ second: { address: 192.0.2.25, hostname: mail2.example.org } }",
	  .help = "Addresses to send from, by name." },
	{ "source", SCHEMA_TEXT, SCHEMA_LIST, FORM_NAME, MEMBER(struct config_outbound, source),
	  .max = 1000, .derived = "the system chooses", .example = "[second]",
	  .help = "The sources in use." },
	{ "connections", SCHEMA_NUMBER, MEMBER(struct config_outbound, connections), .min = 1,
	  .max = 100000, .fallback = "500", .help = "Connections to all sites together." },
	{ "site", SCHEMA_OBJECT, MEMBER(struct config_outbound, site), .object = &site_object,
	  .help = "How gently each site (the MX hosts of a domain) is treated." },
	{ "connect_time", SCHEMA_DURATION, MEMBER(struct config_outbound, connect_time_ms),
	  .min = SECOND, .max = 10 * MINUTE, .fallback = "30s",
	  .help = "To wait for a connection." },
	{ "reply_time", SCHEMA_DURATION, MEMBER(struct config_outbound, reply_time_ms),
	  .min = SECOND, .max = HOUR, .fallback = "5m", .help = "To wait for a reply." },
	{ "data_time", SCHEMA_DURATION, MEMBER(struct config_outbound, data_time_ms),
	  .min = SECOND, .max = HOUR, .fallback = "10m",
	  .help = "To wait for the reply to a whole message." },
	{ "session_time", SCHEMA_DURATION, MEMBER(struct config_outbound, session_time_ms),
	  .min = SECOND, .max = DAY, .fallback = "15m",
	  .help = "Until a session stands, over all hosts and ports that are tried for it." },
	{ "transaction_time", SCHEMA_DURATION, MEMBER(struct config_outbound, transaction_time_ms),
	  .min = SECOND, .max = DAY, .fallback = "30m",
	  .help = "For one message in all, beside the time that its size takes at data_rate." },
	{ "data_rate", SCHEMA_SIZE, MEMBER(struct config_outbound, data_rate_bytes), .min = 1,
	  .max = MIB, .fallback = "4KiB",
	  .help = "What a server must take of a message in a second, on average." },
};

static const struct schema_object outbound_object = { OBJECT(struct config_outbound,
							     outbound_fields) };

static const struct schema_field limit_fields[] = {
	{ "message_size", SCHEMA_SIZE, MEMBER(struct config_limits, message_size_bytes),
	  .min = 64 * KIB, .max = 2 * GIB, .fallback = "50MiB", .help = "One message." },
	{ "recipients", SCHEMA_NUMBER, MEMBER(struct config_limits, recipients), .min = 100,
	  .max = 50000, .fallback = "1000", .help = "Recipients of one message." },
	{ "connections", SCHEMA_NUMBER, MEMBER(struct config_limits, connections), .min = 1,
	  .max = 1000000, .fallback = "20000", .help = "Clients at a time." },
	{ "connections_per_address", SCHEMA_NUMBER,
	  MEMBER(struct config_limits, connections_per_address), .min = 1, .max = 1000000,
	  .fallback = "50", .help = "Clients at a time from one IPv4 address or IPv6 /64." },
	{ "errors", SCHEMA_NUMBER, MEMBER(struct config_limits, errors), .min = 1, .max = 10000,
	  .fallback = "20", .help = "Refused commands, then the connection is closed." },
	{ "commands", SCHEMA_NUMBER, MEMBER(struct config_limits, commands), .min = 10,
	  .max = 1000000, .fallback = "1000",
	  .help = "Commands without a message accepted, then the connection is closed." },
	{ "command_line", SCHEMA_SIZE, MEMBER(struct config_limits, command_line_bytes), .min = 512,
	  .max = 64 * KIB, .fallback = "2KiB", .help = "One command line." },
	{ "hops", SCHEMA_NUMBER, MEMBER(struct config_limits, hops), .min = 10, .max = 1000,
	  .fallback = "100", .help = "Received fields in a message; more is a loop." },
	{ "idle_time", SCHEMA_DURATION, MEMBER(struct config_limits, idle_time_ms), .min = SECOND,
	  .max = HOUR, .fallback = "5m", .help = "A client may be silent between commands." },
	{ "command_time", SCHEMA_DURATION, MEMBER(struct config_limits, command_time_ms),
	  .min = SECOND, .max = HOUR, .fallback = "1m",
	  .help = "From the first byte of a command to its last." },
	{ "session_time", SCHEMA_DURATION, MEMBER(struct config_limits, session_time_ms),
	  .min = MINUTE, .max = 7 * DAY, .fallback = "1d", .help = "One connection." },
	{ "tls_time", SCHEMA_DURATION, MEMBER(struct config_limits, tls_time_ms), .min = SECOND,
	  .max = 10 * MINUTE, .fallback = "30s", .help = "One TLS handshake." },
	{ "data_rate", SCHEMA_SIZE, MEMBER(struct config_limits, data_rate_bytes), .max = MIB,
	  .fallback = "256B",
	  .help = "Bytes a second that a message must come in at; 0B: no limit." },
	{ "data_grace", SCHEMA_DURATION, MEMBER(struct config_limits, data_grace_ms), .max = HOUR,
	  .fallback = "1m", .help = "Before data_rate counts." },
	{ "data_stall", SCHEMA_DURATION, MEMBER(struct config_limits, data_stall_ms), .min = SECOND,
	  .max = HOUR, .fallback = "3m", .help = "Silence within a message." },
	{ "data_time", SCHEMA_DURATION, MEMBER(struct config_limits, data_time_ms), .min = SECOND,
	  .max = DAY, .fallback = "2h", .help = "The whole of a message." },
	{ "unread_output", SCHEMA_SIZE, MEMBER(struct config_limits, unread_output_bytes),
	  .min = 4 * KIB, .max = 16 * MIB, .fallback = "64KiB",
	  .help = "Replies that a client has not read." },
	{ "body_memory", SCHEMA_SIZE, MEMBER(struct config_limits, body_memory_bytes), .min = MIB,
	  .max = 1024 * GIB, .fallback = "256MiB",
	  .help = "Messages in memory, all together. Above half of it larger ones go to the disk "
		  "early; above it they are refused for now." },
	{ "body_memory_per_message", SCHEMA_SIZE,
	  MEMBER(struct config_limits, body_memory_per_message_bytes), .min = 4 * KIB,
	  .max = 16 * MIB, .fallback = "256KiB",
	  .help = "A message in memory; a larger one gets a file of its own." },
	{ "unknown_recipients_per_address", SCHEMA_NUMBER,
	  MEMBER(struct config_limits, conduct.unknown_recipients), .min = 1, .max = 1000000,
	  .fallback = "100",
	  .help = "Recipients that do not exist, asked for from one IPv4 address or IPv6 /64, "
		  "or by one login, in conduct_time; then its mail is put off. Each message "
		  "taken makes up for one." },
	{ "relay_attempts_per_address", SCHEMA_NUMBER,
	  MEMBER(struct config_limits, conduct.relay_attempts), .min = 1, .max = 1000000,
	  .fallback = "100",
	  .help = "Attempts to relay from one address in conduct_time; each one more closes its "
		  "connection." },
	{ "discarded_per_address", SCHEMA_SIZE,
	  MEMBER(struct config_limits, conduct.discarded_bytes), .min = MIB, .max = 1024 * GIB,
	  .fallback = "1GiB",
	  .help = "Of messages broken off or refused, from one address or by one login, in "
		  "conduct_time; then its mail is put off. Messages taken make up for as much." },
	{ "conduct_time", SCHEMA_DURATION, MEMBER(struct config_limits, conduct.period_ms),
	  .min = SECOND, .max = 7 * DAY, .fallback = "1h",
	  .help = "After it, what a client did wrong is forgotten." },
	{ "login_failures_per_address", SCHEMA_NUMBER,
	  MEMBER(struct config_limits, logins.per_address.burst), .min = 1, .max = 100000,
	  .fallback = "10", .help = "Wrong passwords from one address in login_failure_time." },
	{ "login_failures_per_account", SCHEMA_NUMBER,
	  MEMBER(struct config_limits, logins.per_account.burst), .min = 1, .max = 100000,
	  .fallback = "20", .help = "Wrong passwords for one account in login_failure_time." },
	{ "login_failure_time", SCHEMA_DURATION,
	  MEMBER(struct config_limits, logins.per_address.period_ms), .min = SECOND, .max = 7 * DAY,
	  .fallback = "1h", .help = "After it, failed logins are forgotten." },
	{ "logins_waiting", SCHEMA_NUMBER, MEMBER(struct config_limits, logins_waiting), .min = 1,
	  .max = 100000, .fallback = "1000",
	  .help = "Logins waiting for the check of a password." },
	{ "alias_depth", SCHEMA_NUMBER, MEMBER(struct config_limits, alias_depth), .min = 1,
	  .max = 100, .fallback = "16", .help = "Aliases that lead to aliases." },
	{ "alias_recipients", SCHEMA_NUMBER, MEMBER(struct config_limits, alias_recipients),
	  .min = 1, .max = 10000, .fallback = "1000",
	  .help = "Recipients that one address may lead to." },
	{ "process_silence", SCHEMA_DURATION, MEMBER(struct config_limits, process_silence_ms),
	  .min = SECOND, .max = HOUR, .fallback = "1m",
	  .help = "A process of ours that gives no sign of life is ended and started again." },
};

static const struct schema_object limits_object = { OBJECT(struct config_limits, limit_fields) };

static const struct schema_field queue_fields[] = {
	{ "hold", SCHEMA_SWITCH, MEMBER(struct config_queue, hold), .fallback = "false",
	  .help = "Accept and keep mail, deliver nothing (maintenance)." },
	{ "expire", SCHEMA_DURATION, MEMBER(struct config_queue, retry.expire_ms), .min = MINUTE,
	  .max = 90 * DAY, .fallback = "5d",
	  .help = "How long delivery is tried; then the sender is told that it failed." },
	{ "warn", SCHEMA_DURATION, MEMBER(struct config_queue, retry.warn_ms), .max = 90 * DAY,
	  .fallback = "4h", .help = "When the sender is told of a delay; 0s: never." },
	{ "retry_first", SCHEMA_DURATION, MEMBER(struct config_queue, retry.first_ms),
	  .min = SECOND, .max = DAY, .fallback = "5m",
	  .help = "The wait after the first attempt; each later one is twice the last." },
	{ "retry_longest", SCHEMA_DURATION, MEMBER(struct config_queue, retry.longest_ms),
	  .min = SECOND, .max = 7 * DAY, .fallback = "4h", .help = "The longest such wait." },
	{ "messages", SCHEMA_NUMBER, MEMBER(struct config_queue, messages), .min = 1,
	  .max = 100000000, .fallback = "1000000",
	  .help = "Messages queued; above it new ones are asked to come later." },
	{ "segment_size", SCHEMA_SIZE, MEMBER(struct config_queue, segment_size_bytes),
	  .min = 4 * MIB, .max = 256 * MIB, .fallback = "16MiB", .help = "One file of the log." },
	{ "disk_reserve", SCHEMA_SIZE, MEMBER(struct config_queue, disk_reserve_bytes),
	  .min = 4 * MIB, .max = 1024 * GIB, .fallback = "64MiB",
	  .help = "Disk space kept free, so that a full disk loses nothing." },
};

static const struct schema_object queue_object = { OBJECT(struct config_queue, queue_fields) };

static const struct schema_field log_fields[] = {
	{ "to", SCHEMA_TEXT, .form = FORM_LOG, MEMBER(struct config_log, to), .fallback = "stderr",
	  .help = "stderr, syslog or a file, which is opened again at a reload." },
	{ "format", SCHEMA_WORD, MEMBER(struct config_log, format), .words = format_words,
	  .fallback = "text", .help = "text or json, one event per line." },
	{ "level", SCHEMA_WORD, MEMBER(struct config_log, level), .words = level_words,
	  .fallback = "info", .help = "The least important events that are written." },
};

static const struct schema_field trace_fields[] = {
	{ "keep", SCHEMA_DURATION, MEMBER(struct config_trace, keep_ms), .min = HOUR,
	  .max = 3650 * DAY, .fallback = "2w", .help = "How long; older traces are removed." },
	{ "size", SCHEMA_SIZE, MEMBER(struct config_trace, size_bytes), .max = 64 * GIB,
	  .fallback = "1GiB",
	  .help = "Disk space for it; the oldest traces go first. 0B: off, and none is kept." },
};

static const struct schema_object trace_object = { OBJECT(struct config_trace, trace_fields) };

static const struct schema_object log_object = { OBJECT(struct config_log, log_fields) };

static const struct schema_field config_fields[] = {
	{ "hostname", SCHEMA_TEXT, .form = FORM_HOSTNAME, MEMBER(struct config, hostname),
	  .readers = CONFIG_ALL, .required = true,
	  .example = "mail.example.org",
	  .help = "The name of this server, as the DNS has it. A file with this line is "
		  "complete." },
	{ "postmaster", SCHEMA_TEXT, .form = FORM_MAILBOX, MEMBER(struct config, postmaster),
	  .readers = CONFIG_ALL, .derived = "postmaster@HOSTNAME",
	  .example = "admin@example.org",
	  .help = "Who gets mail for postmaster, at every domain." },
	{ "data_dir", SCHEMA_TEXT, .form = FORM_PATH, MEMBER(struct config, data_dir),
	  .readers = CONFIG_ALL, .fallback = "/var/lib/packetboat",
	  .help = "The folder for all that the server keeps." },
	{ "spool_dir", SCHEMA_TEXT, .form = FORM_PATH, MEMBER(struct config, spool_dir),
	  .readers = CONFIG_ALL, .derived = "data_dir/spool", .example = "/var/spool/packetboat",
	  .help = "The folder of the queue." },
	{ "mail_dir", SCHEMA_TEXT, .form = FORM_PATH, MEMBER(struct config, mail_dir),
	  .readers = CONFIG_ALL, .derived = "data_dir/mail", .example = "/var/mail/packetboat",
	  .help = "The folder of the mailboxes." },
	{ "listeners", SCHEMA_OBJECT, SCHEMA_LIST, MEMBER(struct config, listeners),
	  .readers = CONFIG_RECEIVE | CONFIG_DELIVER, .object = &listener_object, .max = 64,
	  .derived = "25 as relay; 465, 587 and 2525 as submission",
	  .example = "[{ port: 25, role: relay }, { port: 465, role: submission, tls: implicit }]",
	  .help = "The ports, and who they are for." },
	{ "tls", SCHEMA_OBJECT, MEMBER(struct config, tls), .readers = CONFIG_RECEIVE,
	  .object = &tls_object, .help = "Certificates." },
	{ "domains", SCHEMA_OBJECT, SCHEMA_MAP, MEMBER(struct config, domains),
	  .readers = CONFIG_DELIVER | CONFIG_KEEPER, .object = &domain_object, .max = 100000,
	  .derived = "the hostname",
	  .example = "{ example.org: { deliver: maildir, catch_all: info@example.org } }",
	  .help = "Our domains: mail for them ends here. The hostname is always one of them." },
	{ "aliases", SCHEMA_OBJECT, SCHEMA_MAP, MEMBER(struct config, aliases),
	  .readers = CONFIG_KEEPER, .object = &alias_object, .max = 1000000, .derived = "none",
	  .example = "{ info@example.org: [alice@example.org, bob@elsewhere.example] }",
	  .help = "Addresses whose mail goes to others: one address or a list." },
	{ "aliases_file", SCHEMA_TEXT, .form = FORM_PATH, MEMBER(struct config, aliases_file),
	  .readers = CONFIG_KEEPER, .derived = "none",
	  .example = "/etc/aliases",
	  .help = "A file in the classic format of /etc/aliases. A name without a domain counts "
		  "in each of our domains." },
	{ "plus_separator", SCHEMA_TEXT, .form = FORM_SEPARATOR,
	  MEMBER(struct config, plus_separator), .readers = CONFIG_ALL, .fallback = "+",
	  .help = "user+detail@ goes to user@; none: the whole is the user." },
	{ "threads", SCHEMA_NUMBER, MEMBER(struct config, threads), .readers = CONFIG_RECEIVE,
	  .min = 1, .max = CONFIG_THREADS_MAX, .derived = "half of the machine's cores, 16 at most",
	  .example = "4",
	  .help = "Threads that serve clients. On two cores one is enough. A change takes a "
		  "restart of the server." },
	{ "relay", SCHEMA_OBJECT, MEMBER(struct config, relay), .readers = CONFIG_RECEIVE,
	  .object = &relay_object, .help = "Who may send through us without a login." },
	{ "routes", SCHEMA_OBJECT, SCHEMA_LIST, MEMBER(struct config, routes),
	  .readers = CONFIG_DELIVER, .object = &route_object, .max = ROUTES_MAX,
	  .derived = "by MX",
	  .example = "[{ to: \"*\", via: { host: smtp.example.com, ports: [587, 465], "
		  "username: apikey, password_file: /etc/packetboat/smarthost } }]",
	  .help = "Where mail that leaves us goes; the first that matches counts." },
	{ "dns", SCHEMA_OBJECT, MEMBER(struct config, dns), .readers = CONFIG_FACTS,
	  .object = &dns_object, .help = "Looking up names." },
	{ "outbound", SCHEMA_OBJECT, MEMBER(struct config, outbound), .readers = CONFIG_DELIVER,
	  .object = &outbound_object, .help = "Sending to other servers." },
	{ "limits", SCHEMA_OBJECT, MEMBER(struct config, limits), .readers = CONFIG_ALL,
	  .object = &limits_object, .help = "What a client may use of us." },
	{ "queue", SCHEMA_OBJECT, MEMBER(struct config, queue),
	  .readers = CONFIG_RECEIVE | CONFIG_DELIVER, .object = &queue_object,
	  .help = "Mail on its way." },
	{ "local", SCHEMA_LATER },
	{ "log", SCHEMA_OBJECT, MEMBER(struct config, log), .readers = CONFIG_ALL,
	  .object = &log_object, .help = "The log." },
	{ "include", SCHEMA_TEXT, SCHEMA_LIST, FORM_GLOB, MEMBER(struct config, include),
	  .max = 256, .derived = "none",
	  .example = "conf.d/*.yaml",
	  .help = "More files, such as conf.d/*.yaml, beside the one that names them. Lists and "
		  "maps are joined; a single value may be set once only." },
	{ "trace", SCHEMA_OBJECT, MEMBER(struct config, trace),
	  .readers = CONFIG_RECEIVE | CONFIG_DELIVER, .object = &trace_object,
	  .help = "What `packetboat trace` tells of each message." },
};
// clang-format on

const struct schema_object schema_config = { OBJECT(struct config, config_fields) };
