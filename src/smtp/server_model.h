// For fuzz targets only: what the server machine may do with a command line, said a second time,
// from the RFCs and the design and without a look at the machine's own tables. Pure.
#pragma once

#include "smtp/server.h"

struct server_model {
	const struct smtp_server_settings *settings;
	bool refused;       // the connection itself was
	bool greeted;       // HELO or EHLO was accepted
	bool tls;           //
	bool authenticated; //
	bool open;          // MAIL was accepted
	bool logging_in;    // the next line answers a 334
	unsigned recipients, attempts;
	unsigned errors; // 5xx replies, and RCPT far beyond the limit, since the last message
};

// What a line leads to. Where sure is false it may be refused for what its arguments say.
struct server_demand {
	enum smtp_event_kind event; // NONE: only a reply
	unsigned code;              // of the reply where there is no event; 0: any from 400 on
	bool sure;
	bool closes;    // and the connection is closed with it
	bool challenge; // 334 may come as well
};

// line is without CR LF; more: bytes wait behind it.
struct server_demand server_model_demand(const struct server_model *model, struct view line,
					 bool more);
