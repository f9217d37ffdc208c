/* SPDX-License-Identifier: MIT */
/* Events for the guest: what an exit interrupted, what a handler raises, and how two combine. */
#pragma once

#include "vmm/vcpu.h"

/*
 * What the processor delivers when second comes up while first is being delivered: one of them, a
 * double fault, or (no valid event) a triple fault. SDM 3A table 6-5 "Conditions for Generating a
 * Double Fault". Only exceptions of the guest are combined; hidden faults are not.
 */
struct event event_combine(struct event first, struct event second);

/* The exception with this vector; error_code counts only for those that push one. */
struct event event_exception(uint8_t vector, uint32_t error_code);

/* Raises an exception of the instruction that caused the exit. */
void event_raise(struct vcpu *vcpu, uint8_t vector);
void event_raise_with_code(struct vcpu *vcpu, uint8_t vector, uint32_t error_code);
/* #PF with CR2 set. interrupted: the event in whose delivery the fault came, if any. */
void event_raise_page_fault(struct vcpu *vcpu, gva_t address, uint32_t error_code,
                            struct event interrupted);
/* Delivers interrupted once more: its delivery met a fault that only Umbra needed to see. */
void event_redeliver(struct vcpu *vcpu, struct event interrupted);
