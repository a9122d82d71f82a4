/** What every unit test includes: cmocka with the headers it forgets. Assert only from the main
 * thread. */
#ifndef HULL_TESTS_UNIT_TEST_H
#define HULL_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/defs.h"
#include "base/err.h"

/** The call must succeed; prints the error when it does not. */
#define assert_ok(call)                            \
    do {                                           \
        struct err *ok_e_ = &e;                    \
        if ((call) < 0)                            \
            fail_msg("%s: %s", #call, ok_e_->msg); \
    } while (0)

/** The call must fail with this kind and a message that contains text. */
#define assert_err(call, expected_kind, text)                                   \
    do {                                                                        \
        err_clear(&e);                                                          \
        if ((call) >= 0)                                                        \
            fail_msg("%s succeeded", #call);                                    \
        if (strstr(e.msg, text) == NULL || (int)e.kind != (int)(expected_kind)) \
            fail_msg("%s: kind %d, \"%s\"", #call, (int)e.kind, e.msg);         \
    } while (0)

#endif
