// The process that everybody starts: reads and checks the configuration, binds the ports, starts
// the others, hands them what is theirs, starts them again when they fall, and carries out reload
// and stop. It reads no byte from the network. Runs until stopped; returns the exit status.
//
// One thread. The parts: material (what is handed over), child (one process), crew (all of them and
// the channels between them), commands (what local commands ask of it).
#pragma once

int supervisor_serve(const char *config_path);
