/** A server on a unix socket, whose handlers do what the tests of server and client ask for. */
#ifndef HULL_TESTS_HTTP_WORLD_H
#define HULL_TESTS_HTTP_WORLD_H

#include "base/json.h"
#include "rpc/http_server.h"

extern char dir[];    /* the test's folder */
extern char path[64]; /* of the socket in it */
extern struct http_server *server;
extern int entered_fd, release_fd, gone_fd; /* eventfds between handler and test */

#define GREETING(T, F)         \
    F(T, str, name, "Name", 0) \
    F(T, i64, count, "Count", 0)
JSON_TYPE(greeting, GREETING)

/** For cmocka: of the group. */
int make_dir(void **state);
int remove_dir(void **state);
/** For cmocka: the server of one test; an impatient one gives a head a moment and has three places.
 */
int start(void **state);
int start_impatient(void **state);
int stop(void **state);
#define WITH_SERVER(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
#define IMPATIENT(fn) cmocka_unit_test_setup_teardown(fn, start_impatient, stop)

/** The server's handler, for a server of one's own. */
void handle(struct http_req *rq, void *arg);

void signal_fd(int fd);
/** Wait for an eventfd and take its count; false after ten seconds. */
bool await_fd(int fd);

/** A connection for raw bytes. */
struct stream *connect_raw(void);
/** Everything until the server closes, or until it holds `until`. */
void read_until(struct stream *s, const char *until, struct buf *out);
/** Send text, half-close, and check the whole conversation's answers by what they contain. */
void talk(const char *text, const char *const *wanted);
#define TALK(text, ...) talk(text, (const char *const[]){__VA_ARGS__, NULL})
#define HOST "Host: docker\r\n"

#endif
