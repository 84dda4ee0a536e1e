// What people read about the configuration, generated from the schema: the reference, an example
// file, the values in force with where each comes from. Pure.
#pragma once

#include "config/load.h"

// docs/configuration.md.
void config_reference(struct buffer *out);
// A complete file with every key at its default, commented out, and its help.
void config_example(struct buffer *out);
// One line per key: "limits.message_size: 50MiB (default)", "hostname: a.example (file.yaml:1)".
// Secrets are not shown.
void config_explain(struct buffer *out, const struct config_loaded *loaded);
