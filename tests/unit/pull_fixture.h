/** A store and a fake registry with images to pull: for the tests of pulling and pushing. */
#ifndef HULL_TESTS_PULL_FIXTURE_H
#define HULL_TESTS_PULL_FIXTURE_H

#include "fake_registry.h"
#include "folder.h"
#include "registry/registry.h"
#include "store/pull.h"

struct fixture {
    char dir[64], root[80];
    char *unpack;
    struct store *s;
    struct arena *a;
    struct fake_registry reg;
    struct registry_opts ro;
    struct pull_result res;
    char log[4096]; /* states of the last pull */
};

extern const struct scope ns;
extern const char *const one[]; /* the layers of make_one */

/** For cmocka: *state is the fixture. */
int setup(void **state);
int teardown(void **state);
void open_store(struct fixture *f);
void read_file(struct fixture *f, const char *name, struct buf *out);
/** Serve an image whose layers are the files NAME.tar.gz (diff ids from NAME.tar). */
void serve_image(struct fixture *f, const char *tag, const char *const *layers, const char *arch);
/** Serve app:latest: one layer of 3 MB. */
void make_one(struct fixture *f);
/** Pull app:TAG as docker.io/library/app:latest. */
int pull(struct fixture *f, const char *tag, const char *platform, int cancel_fd, struct err *e);

#endif
