// The data of an answer: passed on as it is with --json, else shown as text made from it.
#pragma once

#include <jansson.h>

#include "cli/call.h"
#include "cli/screen.h"

// Appends what people see. The answer comes from the server, yet a field may be missing.
typedef enum error answer_show_fn(struct call *call, const json_t *data, struct buffer *out);

// Prints call->data. The exit status.
int answer_print(struct call *call, answer_show_fn *show) must_check;

struct view answer_text(const json_t *object, const char *key); // empty where it is none
uint64_t answer_number(const json_t *object, const char *key);  // 0 where it is none

// "name value" as people read it: blanks for "_", a size where the name ends in bytes, yes or no.
void answer_add_field(struct buffer *out, bool colour, enum tone tone, const char *name,
		      const json_t *value);
