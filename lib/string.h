/* SPDX-License-Identifier: MIT */
/* The part of <string.h> that a freestanding program needs; semantics are those of ISO C. */
#pragma once

#include "lib/base.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);

/* Copies at most size - 1 characters and always terminates; false if text did not fit. */
bool string_copy(char *to, size_t size, const char *text);
