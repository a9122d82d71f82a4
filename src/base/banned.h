/**
 * Functions of libc that invite mistakes, turned into compile errors. The headers that declare them
 * are included first, so that their own declarations stay untouched.
 *
 * Instead: base/buf.h for building strings, base/str.h for cutting and numbers, base/time.h for
 * clocks, sys/spawn.h for processes.
 */
#ifndef HULL_BASE_BANNED_H
#define HULL_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BANNED(fn) sorry_##fn##_is_banned_see_base_banned_h

#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strncpy
#undef strncat
#undef strtok
#undef atoi
#undef atol
#undef gmtime
#undef localtime
#undef system
#undef popen
#undef fork
#undef vfork
#undef strerror

#define strcpy(...) BANNED(strcpy)
#define strcat(...) BANNED(strcat)
#define sprintf(...) BANNED(sprintf)
#define vsprintf(...) BANNED(vsprintf)
#define strncpy(...) BANNED(strncpy)
#define strncat(...) BANNED(strncat)
#define strtok(...) BANNED(strtok)
#define atoi(...) BANNED(atoi)
#define atol(...) BANNED(atol)
#define gmtime(...) BANNED(gmtime)
#define localtime(...) BANNED(localtime)
#define system(...) BANNED(system)
#define popen(...) BANNED(popen)
#define fork(...) BANNED(fork)
#define vfork(...) BANNED(vfork)
#define strerror(...) BANNED(strerror)

#endif
