/**
 * The handful of macros that every file may use. Includes banned.h, so that the functions we do not
 * allow are compile errors everywhere.
 */
#ifndef HULL_BASE_DEFS_H
#define HULL_BASE_DEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/banned.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define CLEANUP(fn) __attribute__((cleanup(fn), unused)) /* clang: held is not used */
#define UNUSED __attribute__((unused))
#define WARN_UNUSED __attribute__((warn_unused_result))

/** Unpoisoned under AddressSanitizer builds only; see arena.c. */
#if defined(__SANITIZE_ADDRESS__)
#define HULL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HULL_ASAN 1
#endif
#endif
#ifndef HULL_ASAN
#define HULL_ASAN 0
#endif

#endif
