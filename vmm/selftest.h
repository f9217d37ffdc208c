/* SPDX-License-Identifier: MIT */
/*
 * Self-tests: ways to make Umbra fail on purpose, or believe that the machine is a lesser one, so
 * that the tests can read what it says then. Chosen by the option selftest=NAME.
 */
#pragma once

#include "arch/x86/engine.h"

/* The same name, from the table, or NULL if there is no such self-test. */
const char *selftest_name(const char *name);
/* Provokes what the self-test is about, if it is a failure. Usually does not return. */
void selftest_provoke(const char *name);
/* True if the self-test wants the first guest to start in a state that VM entry refuses. */
bool selftest_spoils_guest(const char *name);
/* True if the self-test wants a panic while the first guest runs. */
bool selftest_panics_in_guest(const char *name);
/* How MSRs and CPUID.1:ECX are read under the self-test; the real ones if name is NULL. */
msr_reader *selftest_msr_reader(const char *name);
uint32_t selftest_cpuid_1_ecx(const char *name);
